"""The chain of headers: what each field reads, and that no bytes make it raise."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from crafted import (
    ICMP,
    M1,
    M2,
    START,
    TCP,
    UDP,
    Dot1Q,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    Packet,
    ether,
    fragments,
    interface,
    ip,
    is_at,
    vxlan,
    who_has,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pktlab.frame import Frame
from pktlab.frames import pcapng
from pktlab.frames.headers import Fields, parse, parse_ipv4
from pktlab.frames.words import short_words, words

SAMPLES: dict[str, Packet] = {
    "who-has": who_has(),
    "is-at": is_at(),
    "echo": ether() / ip(ttl=7, id=300, tos=0x10, flags="DF") / ICMP(id=5, seq=9) / b"payload",
    "frag-needed": ether() / ip() / ICMP(type=3, code=4, nexthopmtu=1400) / ip() / UDP(sport=5, dport=6),
    "redirect": ether() / ip() / ICMP(type=5, code=1, gw="10.0.0.7") / ip() / UDP(sport=5, dport=6),
    "udp": ether() / ip() / UDP(sport=5555, dport=9) / b"hello",
    "syn": ether() / ip() / TCP(sport=5555, dport=80, seq=7, window=100, flags="SEC", options=[("MSS", 1460)]),
    "tag": ether() / Dot1Q(vlan=5, prio=3) / ip() / UDP(sport=5555, dport=9),
    "vxlan": vxlan(ether(M2, M1) / ip("10.1.0.1", "10.1.0.2") / ICMP(id=1, seq=2)),
    "fragment": ether() / fragments(ip(id=7) / UDP(sport=5, dport=6) / bytes(3000))[1],
    "echo6": ether() / IPv6(src="fe80::1", dst="fe80::2", hlim=3) / ICMPv6EchoRequest(id=5, seq=9),
    "solicitation": ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6ND_NS(tgt="fe80::2"),
}


def chain(packet: Packet | bytes) -> list[str]:
    return [header.protocol for header in parse(bytes(packet)).headers]


def fields(packet: Packet | bytes, protocol: str) -> Fields:
    found = parse(bytes(packet)).get(protocol)
    assert found is not None
    return found


def test_each_protocol_is_named_in_order() -> None:
    assert {name: chain(packet) for name, packet in SAMPLES.items()} == {
        "who-has": ["eth", "arp"],
        "is-at": ["eth", "arp"],
        "echo": ["eth", "ip", "icmp"],
        "frag-needed": ["eth", "ip", "icmp"],
        "redirect": ["eth", "ip", "icmp"],
        "udp": ["eth", "ip", "udp"],
        "syn": ["eth", "ip", "tcp"],
        "tag": ["eth", "vlan", "ip", "udp"],
        "vxlan": ["eth", "ip", "udp", "vxlan", "eth", "ip", "icmp"],
        "fragment": ["eth", "ip"],
        "echo6": ["eth", "ipv6", "icmpv6"],
        "solicitation": ["eth", "ipv6", "icmpv6"],
    }


def test_values_of_arp() -> None:
    assert fields(is_at(), "eth") == {"eth.dst": M1, "eth.src": M2, "eth.type": 0x0806}
    assert fields(is_at(), "arp") == {
        "arp.hw.type": 1,
        "arp.opcode": 2,
        "arp.src.hw_mac": M2,
        "arp.src.proto_ipv4": "192.168.3.102",
        "arp.dst.hw_mac": M1,
        "arp.dst.proto_ipv4": "192.168.3.101",
    }


def test_the_innermost_packet_is_the_one_in_the_tunnel() -> None:
    read = parse(bytes(SAMPLES["vxlan"]))
    assert read.depth == 1
    assert [header.protocol for header in read.innermost] == ["eth", "ip", "icmp"]
    assert read.innermost[1].fields["ip.src"] == "10.1.0.1"
    assert [header.offset for header in read.headers] == [0, 14, 34, 42, 50, 64, 84]
    assert read.headers[3].fields["vxlan.vni"] == 42


@pytest.mark.parametrize(("port", "depth"), [(4789, 1), (8472, 1), (4790, 0)])
def test_vxlan_is_known_by_its_port(port: int, depth: int) -> None:
    assert parse(bytes(vxlan(who_has(), port=port))).depth == depth


def test_vxlan_ports_are_a_parameter_and_the_flag_is_needed() -> None:
    frame = bytes(vxlan(who_has(), port=9999))
    assert parse(frame, vxlan_ports=frozenset({9999})).depth == 1
    assert parse(bytes(vxlan(who_has())), vxlan_ports=frozenset()).depth == 0
    assert parse(frame[:42] + b"\0" + frame[43:], vxlan_ports=frozenset({9999})).depth == 0


def test_vxlan_within_vxlan() -> None:
    read = parse(bytes(vxlan(vxlan(who_has()))))
    assert read.depth == 2
    assert [header.protocol for header in read.innermost] == ["eth", "arp"]


def test_payload_ends_where_the_length_says() -> None:
    assert parse(bytes(SAMPLES["udp"]) + bytes(13)).payload == b"hello"
    assert parse(bytes(SAMPLES["echo"]) + bytes(13)).payload == b"payload"
    assert parse(bytes(who_has()) + bytes(18)).payload == b""
    assert parse(bytes(ether() / ip() / UDP(sport=5555, dport=9, len=10) / b"hello")).payload == b"he"


def test_the_first_fragment_of_a_tunnel_is_not_followed() -> None:
    whole = ip("10.9.0.1", "10.9.0.2") / UDP(sport=39998, dport=4789) / bytes(vxlan(who_has() / bytes(2000)))[42:]
    first = ether() / fragments(whole)[0]
    assert chain(first) == ["eth", "ip", "udp"]


def test_options_are_read_over() -> None:
    frame = ether() / ip(options=b"\x94\x04\x00\x00") / UDP(sport=5, dport=6) / b"x"
    assert fields(frame, "ip")["ip.options"] == "94:04:00:00"
    assert fields(frame, "udp")["udp.dstport"] == 6
    assert fields(SAMPLES["syn"], "tcp")["tcp.options"] == "02:04:05:b4"


def test_offload_without_total_length_reaches_to_the_end() -> None:
    frame = bytearray(bytes(SAMPLES["echo"]))
    frame[16:18] = b"\0\0"
    assert parse(bytes(frame)).payload == b"payload"


def test_a_tcp_header_longer_than_the_packet_ends_the_chain() -> None:
    assert chain(ether() / ip() / TCP(sport=5555, dport=9, dataofs=15) / bytes(39)) == ["eth", "ip"]
    assert chain(ether() / ip() / TCP(sport=5555, dport=9, dataofs=15) / bytes(40)) == ["eth", "ip", "tcp"]


def test_802_3_has_a_length() -> None:
    frame = bytes.fromhex("0180c2000000") + bytes.fromhex(M1.replace(":", "")) + b"\x00\x03abc" + bytes(20)
    assert parse(frame).payload == b"abc"
    assert fields(frame, "eth")["eth.len"] == 3


@pytest.mark.parametrize(
    ("offset", "value"),
    [(14, 0x65), (14, 0x44), (14, 0x4F), (17, 19)],
    ids=["version", "header too short", "header behind the end", "total below header"],
)
def test_garbage_in_the_ip_header_ends_the_chain(offset: int, value: int) -> None:
    frame = bytearray(bytes(ether() / ip(len=0) / UDP(sport=5, dport=6)))
    frame[offset] = value
    assert chain(bytes(frame)) == ["eth"]
    assert parse(bytes(frame)).payload == bytes(frame[14:])


@pytest.mark.parametrize("name", SAMPLES)
def test_truncation_anywhere_keeps_every_byte_and_never_raises(name: str) -> None:
    whole = bytes(SAMPLES[name])
    full = parse(whole).headers
    for size in range(len(whole)):
        cut = parse(whole[:size])
        assert [h.protocol for h in cut.headers] == [h.protocol for h in full[: len(cut.headers)]]
        assert whole[:size].endswith(cut.payload)
        assert words(whole[:size])
        assert short_words(whole[:size])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([bytes(packet) for packet in SAMPLES.values()]),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
    st.binary(max_size=20),
)
def test_garbage_never_raises(frame: bytes, changes: list[tuple[int, int]], tail: bytes) -> None:
    data = bytearray(frame + tail)
    for offset, value in changes:
        data[offset % len(data)] = value
    read = parse(bytes(data))
    assert read.payload in bytes(data)
    assert "\n" not in words(bytes(data)) + short_words(bytes(data))
    parse_ipv4(bytes(data))


def test_wireshark_reads_the_same_values(tmp_path: Path) -> None:
    """Every field of every sample, but the flags (Wireshark calls false ""), is what tshark says under that name."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is missing: install the package tshark")
    file = tmp_path / "samples.pcapng"
    seen = interface("host/eth0")
    samples = {name: packet for name, packet in SAMPLES.items() if name != "vxlan"}
    with file.open("wb") as out:
        pcapng.write(out, [Frame(1, START, seen, "in", bytes(packet)) for packet in samples.values()], [seen])
    mine = [{k: v for h in parse(bytes(p)).headers for k, v in h.fields.items()} for p in samples.values()]
    names = sorted({name for frame in mine for name in frame} - {"ip.options"})
    command = ["tshark", "-n", "-r", str(file), "-o", "tcp.relative_sequence_numbers:FALSE", "-T", "json"]
    command += ["-E", "occurrence=f", *(part for name in names for part in ("-e", name))]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    compared = 0
    for sample, frame, told in zip(samples, mine, json.loads(result.stdout), strict=True):
        for name, value in frame.items():
            if name == "ip.options":
                continue
            theirs = told["_source"]["layers"][name][0]
            if isinstance(value, int):
                assert int({"True": "1", "False": "0"}.get(theirs, theirs), 0) == value, (sample, name)
            else:
                assert theirs.replace(":", "") == value.replace(":", ""), (sample, name)
            compared += 1
    assert compared > 150

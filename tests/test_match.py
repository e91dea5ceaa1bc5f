"""Matching by bytes gives Scapy's own answer, and seldom has to ask for it."""

from __future__ import annotations

import logging
import re
import tracemalloc
from array import array
from random import Random
from typing import Any

import anyframe
import pytest
import scapy.layers.dns  # noqa: F401  (whoever imports it binds port 53: what matches must not hang on that)
from crafted import (
    ICMP,
    IP,
    M1,
    M2,
    TCP,
    UDP,
    VXLAN,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    IPv6,
    Packet,
    ether,
    ip,
    is_at,
    sightings,
    vxlan,
    who_has,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.base_classes import Net
from scapy.layers.inet import IPerror, IPOption_NOP, IPOption_RR, UDPerror
from scapy.layers.l2 import ARP, GRE, LLC, Dot1AD
from scapy.packet import Raw, bind_layers, split_layers

from pktlab.frame import Frame
from pktlab.frames.dissect import Pattern, bind_vxlan, dissected
from pktlab.frames.match.layout import Header, expression, literal

logging.getLogger("scapy.runtime").setLevel(logging.CRITICAL)  # it tells of each broken option that it meets


def frame(packet: Packet | bytes) -> Frame:
    return sightings(("h/eth0", "in", packet))[0]


def agree(pattern: Pattern, data: bytes) -> bool:
    """Whether the pattern matches, after a look at all that leads to the answer."""
    expected = pattern.dissects(frame(data))
    possible, certain = pattern.matcher.possible(data) is not None, pattern.matcher.certain(data)
    assert possible or not expected, f"{pattern} is let go: {data.hex()}"
    assert expected or not certain, f"{pattern} is found: {data.hex()}"
    assert pattern.matches(frame(data)) == expected
    return expected


# Any frame, any pattern


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_the_answer_is_scapys(rng: Random) -> None:
    bind_vxlan([anyframe.OWN_PORT])
    data, other = anyframe.frame(rng), anyframe.frame(rng)
    if len(data) >= 14:
        pattern = Pattern(anyframe.pattern(rng, dissected(frame(data))))
        agree(pattern, data)
        agree(pattern, other)


def test_the_answer_is_scapys_for_frames_by_the_hundred() -> None:
    bind_vxlan([anyframe.OWN_PORT])
    matched = 0
    for seed in range(150):
        rng = Random(seed)
        data = anyframe.frame(rng)
        if len(data) >= 14:
            for _ in range(2):
                matched += agree(Pattern(anyframe.pattern(rng, dissected(frame(data)))), data)
    assert matched > 60


FIELDS = [("Ether", "type", 12, 16), ("IP", "ttl", 8, 8), ("IP", "frag", 6, 13), ("IP", "src", 12, 32)]
FIELDS += [("Dot1Q", "vlan", 0, 12), ("TCP", "flags", 12, 9), ("Ether", "dst", 0, 48)]


@given(st.sampled_from(FIELDS), st.data())
def test_a_range_of_numbers_as_an_expression(field: tuple[str, str, int, int], data: st.DataObject) -> None:
    layer, name, at, width = field
    top = 2**width - 1
    low, high = sorted((data.draw(st.integers(0, top)), data.draw(st.integers(0, top))))
    regex = Header(layer).require(name, ((low, high),)).regex()
    assert regex is not None
    for value in (low, high, low - 1, high + 1, (low + high) // 2, 0, top, data.draw(st.integers(0, top))):
        if 0 <= value <= top:
            raw = bytearray(40)
            raw[at : at + (width + 7) // 8] = value.to_bytes((width + 7) // 8, "big")
            assert (re.compile(regex.encode(), re.DOTALL).match(bytes(raw)) is not None) == (low <= value <= high)


def test_bytes_as_an_expression() -> None:
    every = bytes(range(256))
    assert re.fullmatch(literal(every).encode(), every, re.DOTALL)
    assert expression([frozenset({1, 2, 3, 9}), frozenset(range(256)), frozenset(range(256))]) == r"[\x01-\x03\x09].{2}"
    assert expression([frozenset()]) == "(?!)"


# What a pattern of every day costs

PING = ether() / ip() / ICMP(type=8, id=3, seq=4) / (b"a" * 56)
SYN = ether() / ip() / TCP(sport=40000, dport=80, flags="S", options=[("MSS", 1460), ("WScale", 7)])
TIMED = ether() / ip() / TCP(sport=40000, dport=80, flags="A", options=[("NOP", None)] * 2 + [("Timestamp", (1, 2))])
ASKED = ether() / ip() / UDP(sport=40000, dport=5300) / b"query"
ROUTED = (
    Ether(src=M1, dst=M2) / ip(options=[IPOption_RR(routers=["0.0.0.0"] * 9, pointer=4)]) / ICMP(id=3) / (b"a" * 56)
)
UNREACHABLE = (
    ether() / ip() / ICMP(type=3, code=3) / bytes(ip("10.0.0.2", "10.0.0.1") / UDP(sport=7, dport=9) / b"data")
)

BY_BYTES: list[tuple[Packet, Packet]] = [
    (ARP(op="who-has", pdst="192.168.3.102"), who_has()),
    (ARP(op="is-at", hwsrc=M2.upper()), is_at()),
    (ARP(psrc="192.168.3.101"), Ether(bytes(who_has()).ljust(60, b"\0"))),
    (Ether(dst=M2), PING),
    (Ether(src=M1) / IP(ttl=64), PING),
    (IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(type="echo-request"), PING),
    (IP(src=Net("10.0.0.0/24"), ttl=(1, 64)), PING),
    (IP(dst=["10.0.0.2", "10.0.0.3"], proto="icmp", flags=0, frag=0, version=4, ihl=5), PING),
    (ICMP(id=3, seq=4), PING),
    (ICMP() / Raw(b"a" * 56), PING),
    (IP() / ICMP(seq=(3, 5)) / Raw(), PING),
    (TCP(flags="S", dport=80), SYN),
    (IP() / TCP(dataofs=7), SYN),
    (TCP(flags="A"), TIMED / b"GET"),
    (TCP() / Raw(b"GET"), TIMED / b"GET"),
    (TCP() / Raw(b"GET"), ether() / ip() / TCP(flags="PA") / b"GET"),
    (UDP(dport=5300), ASKED),
    (UDP(dport=5300, sport=(1, 65535)) / Raw(b"query"), ASKED),
    (Raw(b"query"), ASKED),
    (IP(flags="MF", frag=0), ether() / ip(flags="MF") / UDP(sport=1, dport=2) / b"part"),
    (IP(frag=5), ether() / ip(frag=5) / (b"b" * 20)),
    (Dot1Q(vlan=5), ether() / Dot1Q(vlan=5, prio=3) / ip() / ICMP()),
    (Dot1AD(vlan=7) / Dot1Q(vlan=5), ether() / Dot1AD(vlan=7) / Dot1Q(vlan=5) / who_has()[ARP]),
    (ICMP(type=8), ether() / Dot1Q(vlan=5) / ip() / ICMP(type=8)),
    (ICMP(id=3), ROUTED),
    (UDP(dport=9), ether() / ip(options=[IPOption_NOP()] * 4) / UDP(sport=1, dport=9) / (b"c" * 60)),
    (VXLAN(vni=42), vxlan(PING)),
    (UDP(dport=4789) / VXLAN(vni=42) / Ether(src=M1), vxlan(PING)),
    (VXLAN(vni=42) / Ether() / IP(src="10.0.0.1"), vxlan(PING)),
    (ARP(op=1), vxlan(who_has())),
    (ICMP(type=8), vxlan(PING, port=8472)),
    (IP(src="10.0.0.1") / ICMP(), vxlan(ether() / Dot1Q(vlan=5) / ip() / ICMP())),
    (Raw(b"query"), vxlan(ASKED)),
    (ICMP(type=3, code=3), UNREACHABLE),
    (ICMP(type="dest-unreach") / IPerror(src="10.0.0.2") / UDPerror(dport=9), UNREACHABLE),
    (IPerror(dst="10.0.0.1"), UNREACHABLE),
    (IPv6(dst="fe80::2", hlim=64), ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest()),
    (UDP(dport=5300), ether() / IPv6(src="fe80::1", dst="fe80::2") / UDP(sport=1, dport=5300) / b"query"),
]


@pytest.mark.parametrize(("written", "target"), BY_BYTES, ids=str)
def test_what_is_usual_is_matched_without_scapy(
    written: Packet, target: Packet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = Pattern(written)
    assert pattern.dissects(frame(target))
    monkeypatch.setattr(Pattern, "dissects", lambda *_: pytest.fail("Scapy was asked"))
    assert pattern.matches(frame(target))


@pytest.mark.parametrize(("written", "_"), [case for case in BY_BYTES if case[0].name != "Raw"], ids=str)
def test_what_has_nothing_of_a_pattern_is_let_go_without_scapy(
    written: Packet, _: Packet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = Pattern(written)
    report = b"\x3a\x00\x05\x02\x00\x00\x01\x00\x8f\x00" + bytes(18)  # of a listener, as at each bring-up
    link = ether("02:00:00:00:00:91", "02:00:00:00:00:92")
    others = [link / ARP(op=7, hwsrc=M1, hwdst=M1, psrc="9.9.9.9", pdst="9.9.9.8"), link / SYN[IP], link / ASKED[IP]]
    others += [link / ip("7.7.7.7", "7.7.7.8", proto=99, ttl=9) / b"x"]
    others += [link / IPv6(src="fe80::9", dst="ff02::16", nh=0) / Raw(report)]
    no = [frame(each) for each in others if not pattern.dissects(frame(each))]
    assert len(no) >= 3
    monkeypatch.setattr(Pattern, "dissects", lambda *_: pytest.fail("Scapy was asked"))
    assert not any(pattern.matches(each) for each in no)


# Where Scapy is odd

QUOTED = bytes(ip("10.0.0.2", "10.0.0.1") / UDP(sport=7, dport=9) / (b"d" * 200))
ODD: list[tuple[Packet, Packet | bytes, bool]] = [
    # Fields that this type of ICMP has not are 0 to Scapy.
    (ICMP(seq=0), UNREACHABLE, True),
    (ICMP(seq=0), PING, False),
    (ICMP(nexthopmtu=0), PING, True),
    # ICMP that quotes much has extensions, and a broken one makes Scapy give up on ICMP.
    (ICMP(type=11), ether() / ip() / ICMP(type=11) / bytes(ip() / UDP() / (b"\0" * 200)), True),
    (UDPerror() / Raw(b"d" * 200), ether() / ip() / ICMP(type=11) / QUOTED, False),
    (UDPerror() / Raw(b"d" * 200), ether() / ip() / ICMP(type=5) / QUOTED, True),
    (ICMP(type=13), ether() / ip(proto=1) / b"\x0d\0\0\0\0\0\0\0", False),
    # A length field that is too short takes the next header away, one that is 0 takes nothing.
    (ICMP(), ether() / ip(len=24) / ICMP(), False),
    (ICMP(), ether() / ip(len=0) / ICMP(), True),
    (UDP(), ether() / ip(len=20) / UDP(sport=1, dport=2), False),
    (UDP() / Raw(b"abc"), ether() / ip() / UDP(sport=1, dport=2, len=11) / b"abcdef", True),
    (UDP() / Raw(b"abcdef"), ether() / ip() / UDP(sport=1, dport=2, len=11) / b"abcdef", False),
    (ICMP() / Raw(b"abc"), ether() / ip() / ICMP() / b"abcdef", False),
    # What cannot be read as what is bound is a payload.
    (IPv6() / Raw(b"short"), ether() / IPv6(src="fe80::1", dst="fe80::2", nh=6) / b"short", True),
    # Padding is no payload.
    (Raw(), Ether(bytes(ether() / ip() / UDP(sport=1, dport=2)).ljust(60, b"\0")), False),
    # There is no transport header in later fragments, to Scapy there is in the first.
    (UDP(), ether() / ip(frag=3) / bytes(UDP(sport=1, dport=2) / b"x"), False),
    (UDP(), ether() / ip(flags="MF") / UDP(sport=1, dport=2) / b"x", True),
    # Layers by other ways: in IP, in GRE, behind a length, behind a third tag, in a tunnel in a tunnel.
    (ICMP(), ether() / ip() / ip() / ICMP(), True),
    (ARP(op=1), ether() / ip() / GRE(proto=0x6558) / who_has(), True),
    (ICMP(), ether() / Dot1Q() / Dot1Q() / Dot1Q() / ip() / ICMP(), True),
    (ICMP(type=8), vxlan(vxlan(PING)), True),
    (ICMP(type=0), vxlan(vxlan(PING)), False),
    # VXLAN by either port; a bound port wins over what is in the datagram.
    (ICMP(), ether() / ip() / UDP(sport=4789, dport=9) / VXLAN(vni=1) / PING, True),
    (VXLAN(), ether() / ip() / UDP(sport=4789, dport=4754) / VXLAN(vni=1) / PING, False),
    (Raw(b"x"), ether() / ip() / UDP(sport=1, dport=4789) / b"x", True),
    # With both of these flags the number is three bytes further; with one of them IP may follow.
    (VXLAN(vni=42), ether() / ip() / UDP(dport=4789) / VXLAN(vni=42, flags=0x8C) / PING, True),
    (
        IP(dst="10.0.0.2"),
        ether() / ip("1.1.1.1", "1.1.1.2") / UDP(dport=4789) / VXLAN(flags=12, NextProtocol=1) / ip(),
        True,
    ),
    # A type that is a length.
    (Ether(), Ether(dst=M2, src=M1, type=100) / b"llc", False),
    (Dot1Q(prio=0, dei=0, vlan=260) / LLC(), ether() / Dot1Q(vlan=260, type=3) / b"\x42\x42\x03", True),
    (Dot1AD(prio=0, dei=0, vlan=260) / LLC(), ether() / Dot1AD(vlan=260, type=60) / b"\x42\x42\x07x", True),
    # ARP for other hardware has no MAC addresses.
    (
        ARP(op=1),
        ether() / ARP(op=1, hwtype=7, hwlen=6, hwsrc=b"abcdef", hwdst=b"abcdef", psrc="1.1.1.1", pdst="1.1.1.2"),
        True,
    ),
    (ARP(op=1), Ether(src=M1, dst=M2, type=0x0806) / b"\0\1\x08\0\0\0\0\1", True),
    # What cannot be read at all.
    (Ether(), b"", False),
    (Ether(), b"\x02" * 13, False),
]


@pytest.mark.parametrize(("written", "target", "expected"), ODD, ids=str)
def test_where_scapy_is_odd(written: Packet, target: Packet | bytes, expected: bool) -> None:
    assert agree(Pattern(written), bytes(target)) == expected


UNCOMPILED: list[tuple[Packet, Packet, Packet]] = [
    (TCP(options=[("MSS", 1460)]), ether() / ip() / TCP(options=[("MSS", 1460)]), TIMED),
    (IP() / GRE(proto=0x0800), ether() / ip() / GRE(proto=0x0800) / ip(), ether() / ip() / GRE(proto=0x6558) / PING),
    (ICMPv6EchoRequest(id=5), ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest(id=5), PING),
    (ICMP(type=13, ts_ori=7), ether() / ip() / ICMP(type=13, ts_ori=7), ether() / ip() / ICMP(type=13, ts_ori=8)),
]


@pytest.mark.parametrize(("written", "target", "other"), UNCOMPILED, ids=str)
def test_what_has_no_bytes_known_here_is_left_to_scapy(written: Packet, target: Packet, other: Packet) -> None:
    pattern = Pattern(written)
    assert agree(pattern, bytes(target))
    assert not agree(pattern, bytes(other))
    assert pattern.matcher.possible(bytes(who_has())) is None, "the layers before are compared nevertheless"


def test_a_port_that_is_bound_later_counts_for_later_patterns() -> None:
    data = bytes(ether() / ip() / UDP(sport=1, dport=6081) / VXLAN(vni=9, flags=8) / PING)
    assert not agree(Pattern(ICMP(type=8)), data)
    bind_vxlan([6081])
    assert agree(Pattern(ICMP(type=8)), data)


def test_a_layer_bound_by_the_user_is_taken_as_scapy_takes_it() -> None:
    data = bytes(ether() / ip() / UDP(sport=1, dport=777) / ip("3.3.3.3", "4.4.4.4") / ICMP(id=8))
    assert not agree(Pattern(IP(src="3.3.3.3")), data)
    bind_layers(UDP, IP, dport=777)
    try:
        assert agree(Pattern(IP(src="3.3.3.3")), data)
        assert agree(Pattern(ICMP(id=8)), data)
        assert not agree(Pattern(UDP() / Raw()), data)
    finally:
        split_layers(UDP, IP, dport=777)


# Many frames


def mixed(count: int) -> tuple[bytes, list[int], list[int], list[bytes]]:
    ordinary = [bytes(each) for each in (who_has(), TIMED / b"GET", ASKED, vxlan(SYN), ROUTED)]
    frames = [bytes(PING) if n % 100 == 7 else ordinary[n % len(ordinary)] for n in range(count)]
    offsets, at = [], 3
    for each in frames:
        offsets.append(at)
        at += len(each) + 5
    gap = b"\xff" * 5
    return b"\xff" * 3 + gap.join(frames) + gap, offsets, [len(each) for each in frames], frames


@pytest.mark.parametrize("kind", [bytes, memoryview, bytearray])
def test_frames_in_a_buffer(kind: Any) -> None:
    buffer, offsets, lengths, frames = mixed(1000)
    for written in (ICMP(type=8, id=3, seq=4), UDP(dport=5300), Raw(b"GET"), ARP()):
        pattern = Pattern(written)
        expected = [n for n, each in enumerate(frames) if pattern.dissects(frame(each))]
        assert expected
        assert list(pattern.scan(kind(buffer), array("Q", offsets), array("I", lengths))) == expected


def test_a_frame_in_a_buffer_ends_where_it_ends() -> None:
    data = bytes(PING)
    pattern = Pattern(ICMP(type=8))
    assert list(pattern.scan(data, [0], [len(data)])) == [0]
    for cut in range(len(data)):
        expected = pattern.dissects(frame(data[:cut]))
        assert list(pattern.scan(data, [0], [cut])) == ([0] if expected else [])


def test_a_frame_in_a_buffer_that_scapy_must_read_ends_where_it_ends() -> None:
    data = bytes(ether() / ip(len=0) / ICMP() / b"abc")
    assert list(Pattern(ICMP() / Raw(b"abc")).scan(data + b"def", [0], [len(data)])) == [0]
    assert list(Pattern(ICMP() / Raw(b"abcdef")).scan(data + b"def", [0], [len(data)])) == []


def test_a_search_takes_memory_for_the_matches_only() -> None:
    buffer, offsets, lengths, _ = mixed(4000)
    starts, sizes = array("Q", offsets), array("I", lengths)
    pattern = Pattern(ICMP(type=8, id=3, seq=4))
    list(pattern.scan(buffer, starts[:100], sizes[:100]))
    tracemalloc.start()
    try:
        assert sum(1 for _ in pattern.scan(buffer, starts, sizes)) == 40
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000

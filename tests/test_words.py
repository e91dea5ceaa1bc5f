"""tcpdump's words, compared with tcpdump's own."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from crafted import (
    ARP,
    ICMP,
    M1,
    M2,
    START,
    TCP,
    UDP,
    Dot1Q,
    Ether,
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

from pktlab.frame import Frame
from pktlab.frames import pcapng
from pktlab.frames.words import short_words, words

QUOTED = ip() / UDP(sport=5555, dport=9) / b"hello"
OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]


def tcp(flags: str, payload: bytes = b"", **fields: Any) -> Packet:
    numbers = {"seq": 1, "ack": 2, "window": 64240} | fields
    return ether() / ip() / TCP(sport=5555, dport=81, flags=flags, **numbers) / payload


def error(kind: int, code: int, quoted: Packet | bytes = QUOTED, **fields: Any) -> Packet:
    return ether() / ip("10.0.0.9", "10.0.0.1") / ICMP(type=kind, code=code, **fields) / quoted


SAME_AS_TCPDUMP = {
    "who-has": who_has(),
    "who-has, one that is known": ether() / ARP(op=1, hwsrc=M1, psrc="10.0.0.1", hwdst=M2, pdst="10.0.0.2"),
    "is-at": is_at(),
    "is-at, padded": is_at() / bytes(18),
    "echo request": ether() / ip() / ICMP(id=1, seq=1) / bytes(56),
    "echo reply": ether() / ip() / ICMP(type=0, id=65535, seq=300) / bytes(56),
    "SYN": tcp("S"),
    "SYN with options": tcp("S", options=OPTIONS),
    "SYN ECN": tcp("SEC"),
    "SYN-ACK": tcp("SA"),
    "ACK": tcp("A"),
    "SACK": tcp("A", options=[("NOP", None), ("NOP", None), ("SAck", (1, 5)), ("EOL", None)]),
    "data": tcp("PA", b"hello"),
    "FIN": tcp("FA"),
    "RST": tcp("R"),
    "urgent": tcp("UFA", b"abc", urgptr=3),
    "no flag": tcp(""),
    "UDP": ether() / ip() / UDP(sport=5555, dport=9) / b"hello",
    "UDP, empty": ether() / ip() / UDP(sport=5555, dport=9),
    "UDP, padded": ether() / ip() / UDP(sport=5555, dport=9) / b"a" / Ether(bytes(30)),
    "port unreachable, TCP": error(3, 3, ip() / TCP(sport=5, dport=6)),
    "need to frag": error(3, 4, nexthopmtu=1400),
    "redirect": error(5, 1, gw="10.0.0.7"),
    "redirect, net": error(5, 0, gw="10.0.0.7"),
    "time exceeded": error(11, 0),
    "reassembly time exceeded": error(11, 1),
    "VXLAN, ARP": vxlan(who_has()),
    "VXLAN, echo": vxlan(ether() / ip("10.1.0.1", "10.1.0.2") / ICMP(id=1, seq=1)),
    "ICMPv6 echo": ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest(id=1, seq=2, data=b"xx"),
    "neighbor solicitation": ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6ND_NS(tgt="fe80::2"),
    "UDP6": ether() / IPv6(src="fe80::1", dst="fe80::2") / UDP(sport=5, dport=6) / b"hello",
    "TCP6": ether() / IPv6(src="fe80::1", dst="fe80::2") / TCP(sport=5, dport=81, seq=3, window=9),
} | {f"unreachable, code {code}": error(3, code) for code in range(16) if code != 4}


@pytest.fixture(scope="module")
def tcpdump(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What tcpdump says of each, the inner packet of a tunnel joined on."""
    if not shutil.which("tcpdump"):
        pytest.skip("tcpdump is missing: install the package tcpdump")
    file = tmp_path_factory.mktemp("tcpdump") / "samples.pcapng"
    seen = interface("host/eth0")
    with file.open("wb") as out:
        pcapng.write(out, [Frame(1, START, seen, "in", bytes(p)) for p in SAME_AS_TCPDUMP.values()], [seen])
    # Without -t each packet starts with the time, and what starts without it goes on with the packet before.
    command = ["tcpdump", "-S", "-tt", "-n", "-r", str(file)]
    said: list[str] = []
    for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines():
        time, _, rest = line.partition(" ")
        if time.startswith("1700000000."):
            said.append(rest)
        else:
            said[-1] += f" / {line}"
    return dict(zip(SAME_AS_TCPDUMP, said, strict=True))


@pytest.mark.parametrize("name", SAME_AS_TCPDUMP)
def test_words_are_those_of_tcpdump(name: str, tcpdump: dict[str, str]) -> None:
    assert words(bytes(SAME_AS_TCPDUMP[name])) == tcpdump[name]


PARTS = fragments(ip(id=7) / UDP(sport=5, dport=6) / bytes(3000))


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (who_has(), "ARP, Request who-has 192.168.3.102 tell 192.168.3.101, length 28"),
        (is_at(), f"ARP, Reply 192.168.3.102 is-at {M2}, length 28"),
        (ether() / ARP(op=3, psrc="10.0.0.1", pdst="10.0.0.2", hwsrc=M1), "ARP, Unknown (3), length 28"),
        (error(3, 13), "IP 10.0.0.9 > 10.0.0.1: ICMP host 10.0.0.2 unreachable - admin prohibited filter, length 41"),
        (
            vxlan(who_has()),
            "IP 10.9.0.1.39998 > 10.9.0.2.4789: VXLAN, flags [I] (0x08), vni 42 / " + words(bytes(who_has())),
        ),
        (ether() / PARTS[0], "IP 10.0.0.1.5 > 10.0.0.2.6: UDP, length 3000 (frag 7:1480@0+)"),
        (ether() / PARTS[1], "IP 10.0.0.1 > 10.0.0.2: ip-proto-17, length 1480 (frag 7:1480@1480+)"),
        (ether() / PARTS[2], "IP 10.0.0.1 > 10.0.0.2: ip-proto-17, length 48 (frag 7:48@2960)"),
        (ether() / Dot1Q(vlan=5, prio=1) / QUOTED, "vlan 5, p 1, IP 10.0.0.1.5555 > 10.0.0.2.9: UDP, length 5"),
        (Ether(src=M1, dst=M2, type=0x88B5) / b"hello", f"{M1} > {M2}, ethertype 0x88b5, length 19"),
        (ether() / Dot1Q(vlan=5, type=0x88B5) / b"x", f"{M1} > {M2}, vlan 5, p 0, ethertype 0x88b5, length 19"),
        (ether() / ip(proto=89) / b"x", "IP 10.0.0.1 > 10.0.0.2: ip-proto-89, length 1"),
        (b"short", "[|ether], length 5"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words(frame: Packet | bytes, line: str) -> None:
    assert words(bytes(frame)) == line


@pytest.mark.parametrize(
    ("frame", "phrase"),
    [
        (who_has(), "ARP who-has 192.168.3.102"),
        (is_at(), "ARP is-at 192.168.3.102"),
        (ether() / ip() / ICMP(id=4, seq=1), "ICMP echo request 10.0.0.1 > 10.0.0.2 seq 1"),
        (ether() / ip() / ICMP(type=0, id=4, seq=2), "ICMP echo reply 10.0.0.1 > 10.0.0.2 seq 2"),
        (error(3, 3), "ICMP 10.0.0.2 udp port 9 unreachable 10.0.0.9 > 10.0.0.1"),
        (tcp("S"), "TCP SYN 10.0.0.1.5555 > 10.0.0.2.81"),
        (tcp("SA"), "TCP SYN-ACK 10.0.0.1.5555 > 10.0.0.2.81"),
        (ether() / QUOTED, "UDP 10.0.0.1.5555 > 10.0.0.2.9"),
        (vxlan(who_has()), "VXLAN vni 42 10.9.0.1 > 10.9.0.2 / ARP who-has 192.168.3.102"),
        (ether() / PARTS[1], "IP proto 17 10.0.0.1 > 10.0.0.2 (frag 7:1480@1480+)"),
        (ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6ND_NS(tgt="fe80::2"),
         "ICMP6 neighbor solicitation, who has fe80::2 fe80::1 > fe80::2"),
        (Ether(src=M1, dst=M2, type=0x88B5) / b"hello", f"{M1} > {M2}, ethertype 0x88b5, length 19"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_short_words(frame: Packet, phrase: str) -> None:
    assert short_words(bytes(frame)) == phrase


def test_vxlan_ports_are_a_parameter() -> None:
    frame = bytes(vxlan(who_has(), port=9999))
    assert words(frame) == "IP 10.9.0.1.39998 > 10.9.0.2.9999: UDP, length 50"
    assert "vni 42 / ARP" in words(frame, vxlan_ports=frozenset({9999}))
    assert short_words(frame, vxlan_ports=frozenset({9999})).startswith("VXLAN vni 42")


def test_a_router_may_quote_eight_bytes_only() -> None:
    quoted = bytes(ip() / TCP(sport=5, dport=6))[:28]
    assert "ICMP 10.0.0.2 tcp port 6 unreachable" in words(bytes(error(3, 3, quoted)))


def test_words_tell_the_length_that_was_sent() -> None:
    assert words(bytes(ether() / QUOTED)[:44]).endswith("UDP, length 5")
    assert words(bytes(ether() / ip(len=0) / ICMP(id=1, seq=1) / bytes(10))).endswith("seq 1, length 18")

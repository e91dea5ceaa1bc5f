"""A pattern matches by what was written down, and by nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from crafted import ICMP, IP, TCP, UDP, VXLAN, Dot1Q, Ether, Packet, sightings, vxlan
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Dot1AD
from scapy.packet import Raw

from pktlab.errors import PatternError
from pktlab.frame import Frame
from pktlab.frames.dissect import Pattern, bind_vxlan


def frame(packet: Packet | bytes) -> Frame:
    return sightings(("h/eth0", "in", packet))[0]


def matches(pattern: Any, packet: Packet | bytes) -> bool:
    return Pattern(pattern).matches(frame(packet))


# Any packet

MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
ADDRESSES = st.tuples(*[st.integers(1, 223), *[st.integers(0, 255)] * 3]).map(lambda parts: ".".join(map(str, parts)))
BYTE, WORD, LONG = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
PORTS = st.integers(1, 2**16 - 1).filter(lambda port: port not in (4789, 8472))
FIELDS: dict[type[Packet], dict[str, st.SearchStrategy[Any]]] = {
    Ether: {"src": MACS, "dst": MACS},
    Dot1Q: {"vlan": st.integers(0, 4095), "prio": st.integers(0, 7)},
    ARP: {
        "op": st.sampled_from(["who-has", "is-at", 3, 4]),
        "hwsrc": MACS,
        "psrc": ADDRESSES,
        "hwdst": MACS,
        "pdst": ADDRESSES,
    },
    IP: {
        "src": ADDRESSES,
        "dst": ADDRESSES,
        "ttl": BYTE,
        "id": WORD,
        "tos": BYTE,
        "flags": st.sampled_from(["", "DF"]),
    },
    UDP: {"sport": PORTS.filter(lambda port: port > 1024), "dport": PORTS.filter(lambda port: port > 50000)},
    TCP: {
        "sport": PORTS,
        "dport": PORTS,
        "seq": LONG,
        "ack": LONG,
        "window": WORD,
        "flags": st.sampled_from(["S", "SA", "A", "PA", "FA", "R", ""]),
    },
    ICMP: {"type": st.sampled_from(["echo-request", "echo-reply"]), "id": WORD, "seq": WORD},
    Raw: {"load": st.binary(min_size=30, max_size=40)},
}
STACKS = [
    (Ether, ARP),
    (Ether, Dot1Q, ARP),
    (Ether, IP, UDP, Raw),
    (Ether, IP, TCP, Raw),
    (Ether, IP, ICMP, Raw),
    (Ether, Dot1Q, IP, UDP, Raw),
]
Written = list[tuple[type[Packet], dict[str, Any]]]


@st.composite
def written(draw: st.DrawFn) -> Written:
    """The layers of a packet, each with all its fields."""
    stack = draw(st.sampled_from(STACKS))
    return [(kind, {name: draw(values) for name, values in FIELDS[kind].items()}) for kind in stack]


@st.composite
def some(draw: st.DrawFn, layers: Written) -> Written:
    """Neighbouring layers, each with some of its fields."""
    first = draw(st.integers(0, len(layers) - 1))
    last = draw(st.integers(first, len(layers) - 1))
    return [
        (kind, {name: value for name, value in fields.items() if draw(st.booleans())})
        for kind, fields in layers[first : last + 1]
    ]


def packet(layers: Written) -> Packet:
    kind, fields = layers[0]
    whole = kind(**fields)
    for kind, fields in layers[1:]:
        whole = whole / kind(**fields)
    return whole


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_some_fields_of_a_packet_match_it_and_one_that_differs_does_not(data: st.DataObject) -> None:
    layers = data.draw(written())
    whole = packet(layers)
    tunnelled = data.draw(st.booleans())
    carried = frame(vxlan(whole) if tunnelled else whole)
    chosen = data.draw(some(layers))
    assert Pattern(packet(chosen)).matches(carried)

    named = [(place, name) for place, (_kind, fields) in enumerate(chosen) for name in fields]
    assume(named)
    place, name = data.draw(st.sampled_from(named))
    kind, fields = chosen[place]
    other = data.draw(FIELDS[kind][name].filter(lambda value: value != fields[name]))
    wrong = [*chosen[:place], (kind, fields | {name: other}), *chosen[place + 1 :]]
    # The layers of the tunnel itself are there to be matched, too.
    outside = tunnelled and Pattern(packet(wrong)).matches(frame(vxlan(Raw())))
    assert Pattern(packet(wrong)).matches(carried) == outside


@given(written())
@settings(max_examples=50, deadline=None)
def test_a_layer_that_is_not_there_does_not_match(layers: Written) -> None:
    whole = packet(layers)
    there = {kind for kind, _fields in layers}
    for kind in FIELDS:
        assert matches(kind(), whole) == (kind in there)


# By hand

ECHO = Ether(src="02:00:00:00:00:0a", dst="02:00:00:00:00:0b") / IP(src="10.0.0.1", dst="10.0.0.2", ttl=63) / ICMP(id=7)
SYN = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=4000, dport=80, flags="S", seq=5)


@pytest.mark.parametrize(
    ("pattern", "target", "expected"),
    [
        # Enums by name or number.
        (ICMP(type="echo-request"), ECHO, True),
        (ICMP(type=8), ECHO, True),
        (ICMP(type="echo-reply"), ECHO, False),
        (ICMP(type=0), ECHO, False),
        (IP(proto="icmp"), ECHO, True),
        (IP(proto="tcp"), ECHO, False),
        (Ether(type="IPv4"), ECHO, True),
        (Ether(type=0x0806), ECHO, False),
        (TCP(dport=443), SYN, False),
        # The case of a MAC address does not matter.
        (Ether(src="02:00:00:00:00:0A"), ECHO, True),
        (Ether(src="02:00:00:00:00:0B"), ECHO, False),
        # Networks, ranges, lists.
        (IP(dst="10.0.0.0/24"), ECHO, True),
        (IP(dst="10.0.0.0/30"), ECHO, True),
        (IP(dst="10.0.1.0/24"), ECHO, False),
        (IP(ttl=(1, 63)), ECHO, True),
        (IP(ttl=(63, 64)), ECHO, True),
        (IP(ttl=(64, 255)), ECHO, False),
        (IP(ttl=[62, 63]), ECHO, True),
        (IP(ttl=[61, 62]), ECHO, False),
        (TCP(dport=[80, 443]), SYN, True),
        (TCP(dport=[(1, 79), 443]), SYN, False),
        (TCP(dport=[(1, 80), 443]), SYN, True),
        (IP(dst=["10.0.0.2", "10.0.0.3"]), ECHO, True),
        (IP(dst=["10.0.0.4", "10.0.0.3"]), ECHO, False),
        # Flags are meant as written, all of them.
        (TCP(flags="S"), SYN, True),
        (TCP(flags=2), SYN, True),
        (TCP(flags="SA"), SYN, False),
        (TCP(flags=""), SYN, False),
        (IP(flags="DF"), SYN, False),
        # A value that is Scapy's default, written down, counts; not written, it does not.
        (IP(ttl=64), ECHO, False),
        (IP(), ECHO, True),
        (ICMP(id=0), ECHO, False),
        (ICMP(seq=0), ECHO, True),
        # Layers follow each other.
        (IP(src="10.0.0.1") / ICMP(id=7), ECHO, True),
        (Ether() / ICMP(), ECHO, False),
        (IP() / TCP(), ECHO, False),
        (ECHO, ECHO, True),
        (SYN, SYN, True),
        (Raw(b"x"), ECHO, False),
        (Raw(b"x"), ECHO / Raw(b"x"), True),
        (Raw(b"x"), ECHO / Raw(b"xy"), False),
    ],
    ids=lambda value: value if isinstance(value, bool) else repr(value)[:60],
)
def test_by_hand(pattern: Packet, target: Packet, expected: bool) -> None:
    assert matches(pattern, target) is expected
    # A tunnel around it has no ICMP and no TCP; where the inner one matches, so does the whole.
    if expected:
        assert matches(pattern, vxlan(target))


def test_vlan_tags_of_two_kinds() -> None:
    tagged = Ether() / Dot1AD(vlan=7) / Dot1Q(vlan=8) / IP() / UDP()
    assert matches(Dot1Q(vlan=8), tagged)
    assert matches(Dot1AD(vlan=7), tagged)
    assert not matches(Dot1Q(vlan=7), tagged)


def test_the_header_of_the_tunnel_and_what_is_in_it() -> None:
    carried = vxlan(ECHO, vni=42)
    assert matches(VXLAN(vni=42), carried)
    assert not matches(VXLAN(vni=43), carried)
    assert matches(VXLAN() / Ether() / IP(dst="10.0.0.2"), carried)
    assert matches(UDP() / VXLAN(vni=42) / Ether(src="02:00:00:00:00:0a"), carried)
    assert matches(IP(dst="10.9.0.2"), carried)
    assert not matches(IP(dst="10.9.0.2") / ICMP(), carried)
    assert not matches(VXLAN(), ECHO)


def test_a_tunnel_on_a_port_of_its_own() -> None:
    carried = bytes(vxlan(ECHO, port=55555))
    assert not matches(ICMP(id=7), carried)
    bind_vxlan({55555})
    assert matches(ICMP(id=7), carried)


@pytest.mark.parametrize("kind", ["dest-unreach", "time-exceeded"])
def test_what_an_icmp_error_quotes_is_not_matched(kind: str) -> None:
    quoted = IP(src="10.0.0.1", dst="10.0.0.2", ttl=1) / UDP(sport=4000, dport=53) / b"question"
    error = Ether() / IP(src="10.0.0.254", dst="10.0.0.1") / ICMP(type=kind) / quoted
    assert matches(ICMP(type=kind), error)
    assert matches(IP(src="10.0.0.254"), error)
    assert not matches(IP(dst="10.0.0.2"), error)
    assert not matches(UDP(), error)
    assert not matches(UDP(dport=53), error)
    assert not matches(IP(ttl=1), error)


def test_an_icmp_error_about_an_echo_request_is_none() -> None:
    error = Ether() / IP(src="10.0.0.254", dst="10.0.0.1") / ICMP(type=3, code=1) / IP(dst="10.0.0.2") / ICMP(id=7)
    assert not matches(ICMP(type="echo-request"), error)
    assert not matches(ICMP(id=7), error)
    assert matches(ICMP(type=3, code=1), error)


@pytest.mark.parametrize("junk", [b"\xff" * 14, bytes(ECHO)[:20], bytes(ECHO)[:-3]])
def test_a_frame_that_is_cut_short_is_no_error(junk: bytes) -> None:
    for pattern in (Ether(), IP(), ICMP(), ARP(op="who-has"), UDP(dport=53)):
        matches(pattern, junk)


@pytest.mark.parametrize("wrong", [ICMP, "ICMP()", b"bytes", None, 7, [ICMP()]])
def test_what_is_no_pattern(wrong: object) -> None:
    with pytest.raises(PatternError) as caught:
        Pattern(wrong)
    assert caught.value.remedy


def test_a_pattern_in_short() -> None:
    assert str(Pattern(ARP(op="who-has", pdst="10.0.0.2"))) == "ARP op who-has pdst 10.0.0.2"
    assert str(Pattern(IP(dst="10.0.0.0/24") / UDP(dport=53))).startswith("IP dst 10.0.0.0/24 / UDP dport ")
    assert str(Pattern(ICMP())) == "ICMP"


def test_a_pattern_is_not_used_up() -> None:
    """It can be asked again, of other frames; and the packet that it was made of is as it was."""
    written_down = TCP(dport=[80, 443])
    before = dict(written_down.fields)
    pattern = Pattern(written_down)
    assert [pattern.matches(frame(each)) for each in (SYN, ECHO, SYN)] == [True, False, True]
    assert written_down.fields == before

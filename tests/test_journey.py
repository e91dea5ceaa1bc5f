"""Which sightings make up one packet's journey. The orders are those that the kernel was seen to produce."""

from __future__ import annotations

import time
from itertools import chain
from typing import Any

import pytest
from crafted import (
    ICMP,
    M1,
    M2,
    M3,
    M4,
    START,
    TCP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6ND_NS,
    IPv6,
    Packet,
    ether,
    fragments,
    interface,
    ip,
    is_at,
    packets,
    sightings,
    vxlan,
    who_has,
)

from pktlab.frame import Frame
from pktlab.frames.journey import follow

Sighting = tuple[str, str, Packet]
IN, OUT = "in", "out"


def numbers(*seen: tuple[str, str, Packet | bytes] | tuple[str, str, Packet | bytes, int]) -> list[int]:
    """The packet number of each sighting."""
    frames = sightings(*seen)
    journeys = follow(frames)
    assert [journey.number for journey in journeys] == list(range(1, len(journeys) + 1))
    assert sorted(f.number for j in journeys for f in j.frames) == [f.number for f in frames]
    assert all(frame.packet == journey.number for journey in journeys for frame in journey.frames)
    return packets(frames)


def udp(src: str = "10.0.0.1", dst: str = "10.0.0.2", sport: int = 5555, dport: int = 80, **fields: Any) -> Packet:
    return ether() / ip(src, dst, **fields) / UDP(sport=sport, dport=dport) / b"same"


def flood(packet: Packet) -> list[Sighting]:
    return [
        ("h1/eth0", OUT, packet),
        ("sw/p1", IN, packet),
        ("sw/p2", OUT, packet),
        ("sw/p3", OUT, packet),
        ("sw/br0", IN, packet),
        ("h2/eth0", IN, packet),
        ("h3/eth0", IN, packet),
    ]


def test_nothing_seen_is_no_journey() -> None:
    assert follow([]) == []


def test_a_flood_is_one_journey() -> None:
    assert numbers(*flood(who_has())) == [1] * 7


def test_an_answer_is_another() -> None:
    back: list[Sighting] = [("h2/eth0", OUT, is_at()), ("sw/p2", IN, is_at()), ("sw/p1", OUT, is_at())]
    assert numbers(*flood(who_has()), *back, ("h1/eth0", IN, is_at())) == [1] * 7 + [2] * 4


def test_each_arp_retry_is_a_journey() -> None:
    assert numbers(*flood(who_has()), *flood(who_has()), *flood(who_has())) == [1] * 7 + [2] * 7 + [3] * 7


def test_a_retry_goes_further_than_a_lost_request() -> None:
    assert numbers(*flood(who_has())[:2], *flood(who_has())) == [1] * 2 + [2] * 7


def test_identical_packets_in_flight_at_once_are_told_apart() -> None:
    places = [("h1/eth0", OUT), ("sw/p1", IN), ("sw/p2", OUT), ("h2/eth0", IN)]
    frames = sightings(*chain.from_iterable([(name, way, udp())] * 5 for name, way in places))
    journeys = follow(frames)
    assert [[(str(f.interface), f.direction) for f in journey.frames] for journey in journeys] == [places] * 5


def test_of_two_open_ones_the_one_extended_last_is_meant() -> None:
    first, second = ("h1/eth0", OUT, udp()), ("sw/p1", IN, udp())
    assert numbers(first, first, second, second, ("sw/p2", OUT, udp())) == [1, 2, 2, 1, 1]


def test_lo_shows_a_packet_out_and_in() -> None:
    request, reply = (
        ether() / ip() / ICMP(id=1, seq=1),
        ether() / ip("10.0.0.2", "10.0.0.1") / ICMP(type=0, id=1, seq=1),
    )
    once: list[Sighting] = [("h/lo", OUT, request), ("h/lo", IN, request), ("h/lo", OUT, reply), ("h/lo", IN, reply)]
    assert numbers(*once, *once) == [1, 1, 2, 2, 3, 3, 4, 4]


def test_echoes_differ_by_sequence_number() -> None:
    first, second = (ether() / ip(id=0) / ICMP(id=1, seq=seq) for seq in (1, 2))
    assert numbers(("h1/e", OUT, first), ("h1/e", OUT, second), ("h2/e", IN, first), ("h2/e", IN, second)) == [
        1,
        2,
        1,
        2,
    ]


def test_a_router_takes_ttl_and_macs() -> None:
    before, after = udp(ttl=64), Ether(src=M3, dst=M4) / udp(ttl=63).payload
    assert numbers(("h1/e", OUT, before), ("rt/a", IN, before), ("rt/b", OUT, after), ("h2/e", IN, after)) == [1] * 4


@pytest.mark.parametrize(
    "changed", [udp(tos=8), udp(chksum=8), udp(options=b"\1\1\1\0")], ids=["tos", "chksum", "options"]
)
def test_other_fields_that_change_on_the_way(changed: Packet) -> None:
    assert numbers(("h1/e", OUT, udp()), ("h2/e", IN, changed)) == [1, 1]


@pytest.mark.parametrize(
    "other",
    [
        ether() / ip(id=2) / UDP(sport=5555, dport=80) / b"same",
        ether() / ip() / UDP(sport=5555, dport=80) / b"lame",
        ether() / ip() / UDP(sport=5555, dport=80) / b"same!",
        ether() / ip() / TCP(sport=5555, dport=80) / b"same",
        ether() / ip(flags="MF") / UDP(sport=5555, dport=80) / b"same",
    ],
    ids=["id", "payload", "length", "protocol", "MF"],
)
def test_what_nobody_changes_tells_packets_apart(other: Packet) -> None:
    assert numbers(("h1/e", OUT, udp()), ("rt/a", IN, udp()), ("rt/b", OUT, other)) == [1, 1, 2]


@pytest.mark.parametrize("other", [{"seq": 6}, {"ack": 6}, {"flags": "PA"}], ids=str)
def test_what_nobody_changes_of_tcp_tells_packets_apart(other: dict[str, Any]) -> None:
    common: dict[str, Any] = {"sport": 1, "dport": 2, "seq": 5, "ack": 5, "flags": "A"}
    one, two = (ether() / ip() / TCP(**common | fields) for fields in ({}, other))
    assert numbers(("h1/e", OUT, one), ("sw/p1", IN, two)) == [1, 2]


def test_arp_for_other_addresses_is_another_packet() -> None:
    assert numbers(("h1/e", OUT, who_has()), ("sw/p1", IN, who_has("192.168.3.103"))) == [1, 2]


def test_nat_changes_addresses_within_the_node_only() -> None:
    before = udp(ttl=64)
    after = udp("192.0.2.1", sport=1024, ttl=63)
    way: list[Sighting] = [("h1/e", OUT, before), ("gw/in", IN, before), ("gw/ext", OUT, after), ("srv/e", IN, after)]
    assert numbers(*way) == [1] * 4
    assert numbers(*way, *way) == [1] * 4 + [2] * 4
    assert numbers(("h1/e", OUT, before), ("gw/ext", OUT, after)) == [1, 2]


def test_dnat_and_the_answer_changed_back() -> None:
    """The same payload both ways with IP id 0, as UDP with DF is sent: an echo server."""
    there, changed = udp(dst="10.96.0.10", ttl=64, id=0), udp(dst="10.2.0.5", ttl=63, id=0)
    back = udp("10.2.0.5", "10.0.0.1", 80, 5555, ttl=64, id=0)
    restored = udp("10.96.0.10", "10.0.0.1", 80, 5555, ttl=63, id=0)
    assert (
        numbers(
            ("c/e", OUT, there),
            ("gw/a", IN, there),
            ("gw/b", OUT, changed),
            ("srv/e", IN, changed),
            ("srv/e", OUT, back),
            ("gw/b", IN, back),
            ("gw/a", OUT, restored),
            ("c/e", IN, restored),
        )
        == [1] * 4 + [2] * 4
    )


@pytest.mark.parametrize("ttl", [64, 128])
def test_an_echo_of_the_same_bytes_is_an_answer(ttl: int) -> None:
    there, back = udp(id=0, ttl=ttl), udp("10.0.0.2", "10.0.0.1", 80, 5555, id=0, ttl=64)
    assert numbers(("c/e", OUT, there), ("srv/e", IN, there), ("srv/e", OUT, back), ("c/e", IN, back)) == [1, 1, 2, 2]


def test_nat_of_a_ping_changes_its_identifier() -> None:
    before, after = ether() / ip(ttl=64) / ICMP(id=1, seq=1), ether() / ip("192.0.2.1", ttl=63) / ICMP(id=7, seq=1)
    assert numbers(("gw/a", IN, before), ("gw/b", OUT, after), ("srv/e", IN, after)) == [1] * 3


def test_nat_of_tcp() -> None:
    def syn(src: str, sport: int, seq: int = 5) -> Packet:
        return ether() / ip(src, "198.51.100.1") / TCP(sport=sport, dport=80, flags="S", seq=seq)

    assert numbers(
        ("gw/a", IN, syn("10.0.0.1", 1)), ("gw/b", OUT, syn("192.0.2.1", 2)), ("gw/b", OUT, syn("192.0.2.1", 2, 6))
    ) == [1, 1, 2]


@pytest.mark.parametrize("together", [False, True], ids=["one after the other", "at once"])
def test_two_hosts_behind_one_masquerade_are_two_journeys(together: bool) -> None:
    """Identical payload, identification and even source port: only the gateway's choice of port differs."""
    hosts = []
    for host, address, port in (("a", "10.0.0.1", 5555), ("b", "10.0.0.3", 1024)):
        before, after = udp(address, "198.51.100.1", ttl=64), udp("192.0.2.1", "198.51.100.1", port, ttl=63)
        way = [(f"{host}/e", OUT, before), (f"gw/{host}", IN, before), ("gw/ext", OUT, after), ("srv/e", IN, after)]
        hosts.append(way)
    if together:
        (a1, a2, a3, a4), (b1, b2, b3, b4) = hosts
        assert numbers(a1, b1, a2, a3, b2, a4, b3, b4) == [1, 2, 1, 1, 2, 1, 2, 2]
    else:
        assert numbers(*hosts[0], *hosts[1]) == [1] * 4 + [2] * 4


def test_of_two_that_wait_in_the_node_the_more_alike_is_meant() -> None:
    """Both wait for the ARP of the backend; DNAT leaves the source as it is."""
    there = [udp(f"10.0.0.{n}", "10.96.0.10", ttl=64) for n in (1, 3)]
    changed = [udp(f"10.0.0.{n}", "10.2.0.5", ttl=63) for n in (1, 3)]
    assert numbers(
        ("gw/a", IN, there[0]), ("gw/b", IN, there[1]), ("gw/c", OUT, changed[0]), ("gw/c", OUT, changed[1])
    ) == [1, 2, 1, 2]


def test_a_packet_that_is_in_the_node_is_preferred_to_one_that_left() -> None:
    """Though the other, which left by the same public address, is more alike."""
    first, gone = udp("10.0.0.1", ttl=64), udp("192.0.2.1", sport=1, ttl=63)
    second, out = udp("10.0.0.3", sport=9, ttl=64), udp("192.0.2.1", sport=5555, ttl=63)
    assert numbers(
        ("gw/a", IN, first), ("gw/x", OUT, gone), ("srv/e", IN, gone), ("gw/b", IN, second), ("gw/y", OUT, out)
    ) == [1, 1, 1, 2, 2]


def test_what_a_node_sends_itself_is_not_what_it_sent_before() -> None:
    assert numbers(("h/a", OUT, udp(id=0)), ("h/b", OUT, udp(dst="10.5.0.5", id=0))) == [1, 2]


def test_what_a_program_sends_on_is_a_packet_of_its_own() -> None:
    taken, sent = udp(id=0, ttl=64), udp("10.5.0.1", "10.5.0.5", 7777, 80, id=0, ttl=64)
    assert numbers(("h/a", IN, taken), ("h/b", OUT, sent)) == [1, 2]


def test_the_same_payload_put_in_through_two_taps_is_two_packets() -> None:
    assert numbers(("sw/tap0", IN, udp()), ("sw/br0", IN, udp()), ("sw/tap1", IN, udp("10.0.0.3"))) == [1, 1, 2]


def test_dnat_on_a_bridge_shows_between_port_and_bridge() -> None:
    before, after = udp(), udp(dst="10.0.0.9")
    assert numbers(("sw/p1", IN, before, 5), ("sw/br0", IN, after, 5)) == [1, 1]
    assert numbers(("sw/p1", IN, before, 5), ("sw/br0", IN, after, 6)) == [1, 1]
    assert numbers(("sw/p1", IN, before, 5), ("sw/br0", IN, udp("10.0.0.8", "10.0.0.9"), 6)) == [1, 2]
    assert numbers(("sw/p1", IN, before, 5), ("sw/br0", IN, ether(src=M4) / after.payload, 6)) == [1, 2]


@pytest.mark.parametrize("inner", [ether() / ip() / ICMP(id=1, seq=1), who_has()], ids=["echo", "arp"])
def test_vxlan_put_on_and_taken_off(inner: Packet) -> None:
    way = [
        ("n1/p1", IN, inner),
        ("n1/vx0", OUT, inner),
        ("n1/eth0", OUT, vxlan(inner)),
        ("n2/eth0", IN, vxlan(inner)),
        ("n2/vx0", IN, inner),
        ("n2/p1", OUT, inner),
    ]
    assert numbers(*way) == [1] * 6
    assert numbers(*way, *way) == [1] * 6 + [2] * 6


def test_the_outer_header_is_routed_and_the_packet_stays_one() -> None:
    inner = ether() / ip() / ICMP(id=1, seq=1)
    outer = vxlan(inner)
    routed = Ether(src=M1, dst=M4) / ip("10.9.0.1", "10.9.0.2", ttl=63, id=99) / outer["UDP"]
    assert numbers(("n1/e", OUT, outer), ("rt/a", IN, outer), ("rt/b", OUT, routed), ("n2/e", IN, routed)) == [1] * 4


def test_head_end_replication_is_one_packet() -> None:
    """A broadcast leaves once to each other tunnel endpoint, through one interface."""
    inner = who_has()
    copies = [vxlan(inner, dst=f"10.9.0.{n}") for n in (2, 3)]
    way = [
        ("n1/p1", IN, inner),
        ("n1/vx0", OUT, inner),
        *(("n1/eth0", OUT, copy) for copy in copies),
        ("n2/eth0", IN, copies[0]),
        ("n2/vx0", IN, inner),
        ("n3/eth0", IN, copies[1]),
        ("n3/vx0", IN, inner),
    ]
    assert numbers(*way) == [1] * 8
    assert numbers(*way, *way) == [1] * 8 + [2] * 8


def test_a_tunnel_through_one_interface_may_carry_what_passes_it_plain() -> None:
    inner = ether() / ip() / ICMP(id=1, seq=1)
    assert numbers(("n1/eth0", IN, inner), ("n1/eth0", IN, vxlan(inner))) == [1, 1]
    assert numbers(("n1/eth0", IN, inner), ("n1/eth0", IN, inner)) == [1, 2]


def test_vxlan_ports_are_a_parameter() -> None:
    inner = ether() / ip() / ICMP(id=1, seq=1)
    frames = sightings(("n1/vx0", OUT, inner), ("n1/eth0", OUT, vxlan(inner, port=9999)))
    follow(frames)
    assert packets(frames) == [1, 2]
    follow(frames, vxlan_ports=frozenset({9999}))
    assert packets(frames) == [1, 1]


def test_each_fragment_is_a_packet() -> None:
    parts = [ether() / part for part in fragments(ip(id=7) / UDP(sport=5, dport=6) / bytes(5000))]
    assert len(parts) == 4
    assert parts[1].payload.payload == parts[2].payload.payload
    natted = [ether() / p for p in fragments(ip("192.0.2.1", id=7, ttl=63) / UDP(sport=9, dport=6) / bytes(5000))]
    assert (
        numbers(
            *(("gw/a", IN, part) for part in parts),
            *(("gw/b", OUT, part) for part in natted),
            *(("srv/e", IN, part) for part in natted),
        )
        == [1, 2, 3, 4] * 3
    )


def error(quoted: Packet | bytes, src: str = "10.0.0.9", dst: str = "10.0.0.1", **fields: int) -> Packet:
    return ether() / ip(src, dst, **fields) / ICMP(type=3, code=3) / quoted


@pytest.mark.parametrize("kept", [8, 100], ids=["eight bytes quoted", "all quoted"])
@pytest.mark.parametrize(
    "layer",
    [UDP(sport=1, dport=9) / b"data", TCP(sport=1, dport=9, seq=77), ICMP(id=1, seq=3) / b"data"],
    ids=["udp", "tcp", "icmp"],
)
def test_an_error_is_followed_though_nat_changes_what_it_quotes(layer: Packet, kept: int) -> None:
    other = layer.copy()
    other.fields |= {"id": 99} if isinstance(layer, ICMP) else {"sport": 99}
    before = bytes(ip("192.0.2.1", "10.0.0.2", id=5) / other)[: 20 + kept]
    after = bytes(ip("10.0.0.1", "10.0.0.2", id=5) / layer)[: 20 + kept]
    unlike = bytes(ip("10.0.0.1", "10.0.0.2", id=6) / layer)[: 20 + kept]
    came, left, another = error(before, dst="192.0.2.1", ttl=64), error(after, ttl=63), error(unlike, ttl=63)
    assert numbers(("gw/b", IN, came), ("gw/a", OUT, left)) == [1, 1]
    assert numbers(("gw/b", IN, came), ("gw/a", OUT, another)) == [1, 2]


def test_a_routing_loop_is_one_journey() -> None:
    seen: list[Sighting] = [("h/e", OUT, udp(ttl=6))]
    for ttl in range(6, 1, -2):
        seen += [("r1/a", IN, udp(ttl=ttl)), ("r1/b", OUT, udp(ttl=ttl - 1))]
        seen += [("r2/a", IN, udp(ttl=ttl - 1)), ("r2/b", OUT, udp(ttl=ttl - 2))]
    assert numbers(*seen[:-1]) == [1] * (len(seen) - 1)


@pytest.mark.parametrize("ttls", [(1, 2, 3), (3, 2, 1), (64, 1)], ids=str)
def test_the_same_packet_sent_with_other_ttls_is_another_packet(ttls: tuple[int, ...]) -> None:
    seen: list[Sighting] = []
    for ttl in ttls:
        seen += [("h/e", OUT, udp(ttl=ttl)), ("r/a", IN, udp(ttl=ttl))]
        if ttl > 1:
            seen += [("r/b", OUT, udp(ttl=ttl - 1))]
    expected = [number for number, ttl in enumerate(ttls, 1) for _ in range(3 if ttl > 1 else 2)]
    assert numbers(*seen) == expected


def test_nor_is_one_that_is_put_in_again_with_a_lower_ttl() -> None:
    way: list[Sighting] = [("r/tap", IN, udp(ttl=3)), ("r/b", OUT, udp(ttl=2)), ("h/e", IN, udp(ttl=2))]
    assert numbers(*way, ("r/tap", IN, udp(ttl=2))) == [1, 1, 1, 2]
    assert numbers(*way[:2], ("r/tap", IN, udp(ttl=1))) == [1, 1, 2]


def test_unknown_protocols_are_compared_with_their_macs() -> None:
    one, other = (Ether(src=src, dst=M2, type=0x88B5) / b"hello" for src in (M1, M3))
    assert numbers(("sw/p1", IN, one), ("sw/p2", OUT, one), ("sw/p3", OUT, other)) == [1, 1, 2]
    assert numbers(("h/e", OUT, one), ("h/e.5", IN, Ether(src=M1, dst=M2) / Dot1Q(vlan=5, type=0x88B5) / b"hello")) == [
        1,
        1,
    ]
    assert numbers(("h/e", OUT, b"short"), ("s/p", IN, b"short"), ("s/p", IN, b"shore")) == [1, 1, 2]


def test_a_tag_put_on_leaves_the_packet_the_same() -> None:
    plain = udp()
    assert numbers(("h/e.5", OUT, plain), ("h/e", OUT, ether() / Dot1Q(vlan=5) / plain.payload)) == [1, 1]


def test_ipv6() -> None:
    def solicitation(target: str) -> Packet:
        return ether() / IPv6(src="fe80::1", dst="ff02::1") / ICMPv6ND_NS(tgt=target)

    one, other = solicitation("fe80::5"), solicitation("fe80::6")
    assert numbers(("h/e", OUT, one), ("h/e", OUT, other), ("s/p", IN, one), ("s/p", IN, other)) == [1, 2, 1, 2]
    before, after = (ether() / IPv6(src="fd::1", dst="fd::2", hlim=h) / UDP(sport=1, dport=2) / b"x" for h in (64, 63))
    assert numbers(("r/a", IN, before), ("r/b", OUT, after)) == [1, 1]


@pytest.mark.parametrize("identical", [True, False])
def test_the_time_for_a_frame_does_not_grow(identical: bool) -> None:
    """40,000 identical frames would take minutes if each were compared with those before it."""
    data = bytes(udp())
    places = [(interface("h1/e"), OUT), (interface("s/p1"), IN), (interface("s/p2"), OUT), (interface("h2/e"), IN)]
    frames = [
        Frame(0, START, name, direction, data if identical else data + n.to_bytes(4, "big"))
        for n in range(10_000)
        for name, direction in places
    ]
    started = time.process_time()
    assert len(follow(frames)) == 10_000
    assert time.process_time() - started < 3

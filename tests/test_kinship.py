"""The journeys of a few frames are the same whether all frames are followed or only those that may belong to them."""

from __future__ import annotations

from random import Random

import anyframe
from crafted import (
    ICMP,
    IP,
    TCP,
    UDP,
    Dot1Q,
    Ether,
    ICMPv6EchoRequest,
    IPv6,
    Packet,
    ether,
    ip,
    sightings,
    vxlan,
    who_has,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IPOption_NOP

from pktlab.frame import Frame
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import follow, loose_key
from pktlab.frames.kinship import kin

PORTS = VXLAN_PORTS | {anyframe.OWN_PORT}
PLACES = [(f"{netns}/{nic}", way) for netns in ("a", "rt", "b") for nic in ("eth0", "eth1") for way in ("in", "out")]


def remade(rng: Random, data: bytes) -> bytes:
    """The frame as a node on its way may send it on: other addresses, TTL, tags, in a tunnel or out of it."""
    packet: Packet = Ether(data)
    match rng.choice(("same", "same", "ttl", "nat", "options", "tag", "tunnel", "untunnel", "padded")):
        case "ttl" if IP in packet:
            packet[IP].ttl = 7
        case "nat" if IP in packet:
            packet[IP].dst = "10.7.7.7"
            if UDP in packet:
                packet[UDP].dport = rng.choice((9, 4789, anyframe.OWN_PORT))
        case "options" if IP in packet:
            packet[IP].options, packet[IP].ihl, packet[IP].len = [IPOption_NOP()] * 4, None, None
        case "tag":
            packet = Ether(src=packet.src, dst=packet.dst) / Dot1Q(vlan=9) / packet.payload
        case "tunnel":
            packet = vxlan(packet, port=rng.choice(sorted(PORTS)))
        case "untunnel" if Ether in packet.payload:
            packet = packet.payload[Ether]
        case "padded":
            return data.ljust(60, b"\0")
    return bytes(packet)


def capture(rng: Random) -> list[Frame]:
    usual = [ether() / ip(id=n) / UDP(sport=1, dport=2) / b"x" for n in range(3)]
    usual += [ether() / ip(id=0, flags="DF") / TCP(seq=n) for n in range(2)] + [who_has(), ether() / ip() / ICMP(id=4)]
    usual += [ether() / IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest(id=n) for n in range(2)]
    made = [bytes(each) for each in usual] + [data for _ in range(4) if len(data := anyframe.frame(rng)) >= 14]
    seen = []
    for _ in range(rng.randint(1, 60)):
        data = rng.choice(made)
        if rng.random() < 0.4:
            data = remade(rng, data)
            made.append(data)
        seen.append((*rng.choice(PLACES), data))
    return sightings(*seen)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_the_journeys_of_a_few_frames_need_no_others(rng: Random) -> None:
    frames = capture(rng)
    few = sorted(rng.sample(frames, min(len(frames), rng.randint(1, 3))), key=lambda frame: frame.number)
    every = follow(frames, vxlan_ports=PORTS)
    expected = [journey.frames for journey in every if any(frame in journey.frames for frame in few)]

    alike = kin(frames, few, vxlan_ports=PORTS)

    journeys = follow(alike, vxlan_ports=PORTS)
    assert [each.frames for each in journeys if any(frame in each.frames for frame in few)] == expected


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_kin_are_the_frames_with_the_same_key(rng: Random) -> None:
    frames = capture(rng)
    one = rng.choice(frames)
    key = loose_key(one.data, PORTS)

    assert kin(frames, [one], vxlan_ports=PORTS) == [f for f in frames if loose_key(f.data, PORTS) == key]


def test_a_packet_in_a_tunnel_with_options_or_a_tag_is_kin_to_itself_without() -> None:
    bare = ether() / ip(id=7) / UDP(sport=1, dport=2) / (b"x" * 40)
    tagged = ether() / Dot1Q(vlan=3) / bare[IP]
    optioned = ether() / ip(id=7, options=[IPOption_NOP()] * 4) / UDP(sport=1, dport=2) / (b"x" * 40)
    under6 = ether() / IPv6(src="fe80::1", dst="fe80::2") / vxlan(bare)[UDP]
    other = ether() / ip(id=8) / UDP(sport=1, dport=2) / (b"x" * 40)
    forms = (bare, tagged, optioned, vxlan(bare), vxlan(tagged), vxlan(vxlan(bare)), under6)
    frames = sightings(*[("a/eth0", "in", each) for each in (*forms, other, vxlan(other))])

    for each in frames[: len(forms)]:
        assert kin(frames, [each]) == frames[: len(forms)]
    assert kin(frames, frames[len(forms) :]) == frames[len(forms) :]


def test_frames_that_cannot_be_read_are_kin_by_their_bytes() -> None:
    broken = ether() / ip(id=7, len=5) / (b"x" * 40)
    tagged = ether() / Dot1Q(vlan=3, type=0x0800) / bytes(broken)[14:]
    other = ether() / ip(id=8, len=5) / (b"x" * 40)
    frames = sightings(*[("a/eth0", "in", each) for each in (broken, tagged, other)])

    assert kin(frames, frames[:1]) == frames[:2]


def test_nothing_is_kin_to_nothing() -> None:
    assert kin(sightings(("a/eth0", "in", who_has())), []) == []

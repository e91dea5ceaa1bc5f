"""Paths, what a failed one says, what changed on the way, and the comments in the pcapng."""

from __future__ import annotations

import pytest
from crafted import (
    ICMP,
    M1,
    M2,
    M3,
    M4,
    UDP,
    Ether,
    Packet,
    ether,
    interface,
    ip,
    is_at,
    sightings,
    vxlan,
    who_has,
)

from pktlab.frame import Frame
from pktlab.frames.annotate import comment_texts
from pktlab.frames.journey import Journey, follow
from pktlab.frames.path import Change, Path, first_difference, path_of, rewrites, short_names
from pktlab.interface import Interface

IN, OUT = "in", "out"
VETH0, VETH1, BR0 = (interface(f"host/{name}") for name in ("veth0", "veth1", "br0"))


def swallowed() -> list[Frame]:
    frames = sightings(
        ("host/veth1", OUT, is_at()), ("host/veth0", IN, is_at(), 2345), ("host/br0", IN, is_at(), 1002345)
    )
    follow(frames)
    return frames


def test_a_path_is_a_list_of_interfaces() -> None:
    path = path_of(swallowed())
    assert path == [VETH1, VETH0, BR0]
    assert path != [VETH1, BR0, VETH0]
    assert path != [VETH1, VETH0]
    assert path == [Interface("host", "veth1", kind="veth"), VETH0, BR0]


def test_each_interface_counts_once_in_order_of_first_sighting() -> None:
    packet = is_at()
    frames = sightings(
        ("h/a", OUT, packet), ("h/b", IN, packet), ("h/b", OUT, packet), ("h/c", IN, packet), ("h/a", IN, packet)
    )
    path = path_of(frames)
    assert path == [interface("h/a"), interface("h/b"), interface("h/c")]
    assert [frame.number for frame in path.first] == [1, 2, 4]
    assert [frame.number for frame in path.sightings] == [1, 2, 3, 4, 5]


def test_a_path_knows_its_journeys() -> None:
    frames = sightings(("h/a", OUT, who_has()), ("h/a", OUT, who_has()), ("h/b", IN, who_has()))
    follow(frames)
    assert path_of(frames).journeys == (1, 2)
    assert path_of([]) == []
    assert path_of([]).journeys == ()


def test_names_are_short_where_that_is_clear() -> None:
    assert str(path_of(swallowed())) == "veth1 > veth0 > br0"
    twins = sightings(("h1/eth0", OUT, is_at()), ("sw/p1", IN, is_at()), ("h2/eth0", IN, is_at()))
    assert str(path_of(twins)) == "h1/eth0 > p1 > h2/eth0"
    one = path_of(twins[:2])
    assert str(one) == "eth0 > p1"
    one.asked("ARP", [frame.interface for frame in twins])
    assert str(one) == "h1/eth0 > p1"
    assert str(path_of([])) == ""
    assert short_names([VETH0, VETH0, BR0]) == {VETH0: "veth0", BR0: "br0"}


def test_no_difference_says_nothing() -> None:
    assert first_difference(path_of(swallowed()), [VETH1, VETH0, BR0]) == ""
    assert first_difference(path_of([]), []) == ""


def test_the_first_hop_that_differs() -> None:
    other = interface("other/very-long-name")
    assert first_difference(path_of(swallowed()), [VETH1, BR0], [VETH0, VETH1, BR0, other]) == (
        "hop 2 differs: expected host/br0, seen host/veth0\n"
        "\n"
        f"  hop 1  host/veth1  out  frame 1  +0.000000000 s  ARP, Reply 192.168.3.102 is-at {M2}, length 28\n"
        f"  hop 2  host/veth0  in   frame 2  +0.000001345 s  ARP, Reply 192.168.3.102 is-at {M2}, length 28\n"
        "\n"
        "  interface             in  out\n"
        "  host/veth0             1    0\n"
        "  host/veth1             0    1\n"
        "  host/br0               1    0\n"
        "  other/very-long-name   0    0"
    )


@pytest.mark.parametrize(
    ("seen", "expected", "first_line", "hops"),
    [
        (2, [VETH1, VETH0, BR0], "the path ends after hop 2; expected next host/br0", ["hop 2"]),
        (3, [VETH1, VETH0], "hop 3 was not expected: host/br0", ["hop 2", "hop 3"]),
        (3, [BR0], "hop 1 differs: expected host/br0, seen host/veth1", ["hop 1"]),
        (3, [], "hop 1 was not expected: host/veth1", ["hop 1"]),
        (0, [VETH1], "seen nowhere; expected host/veth1 first", []),
    ],
)
def test_how_a_path_can_differ(seen: int, expected: list[Interface], first_line: str, hops: list[str]) -> None:
    lines = first_difference(path_of(swallowed()[:seen]), expected).splitlines()
    assert lines[0] == first_line
    assert [line[2:7] for line in lines if line.startswith("  hop")] == hops
    table = lines[-1 - len({*path_of(swallowed()[:seen]), *expected}) :]
    assert table[0].split() == ["interface", "in", "out"]


def test_the_table_counts_every_sighting() -> None:
    frames = sightings(
        ("h/a", OUT, who_has()), ("h/lo", OUT, who_has()), ("h/lo", IN, who_has()), ("h/lo", IN, who_has())
    )
    assert "  h/lo        2    1" in first_difference(path_of(frames), []).splitlines()


def changes(*seen: tuple[str, str, Packet] | tuple[str, str, Packet, int]) -> dict[tuple[str, str], dict[str, Change]]:
    """What was rewritten in the one journey that this is."""
    (journey,) = follow(sightings(*seen))
    return {(str(a), str(b)): fields for (a, b), fields in rewrites(journey).items()}


def udp(src: str = "10.0.0.1", dst: str = "10.0.0.2", sport: int = 5555, ttl: int = 64) -> Packet:
    return ether() / ip(src, dst, ttl=ttl) / UDP(sport=sport, dport=80) / b"same"


def routed(packet: Packet) -> Packet:
    return Ether(src=M3, dst=M4) / packet.payload


def test_a_bridge_changes_nothing() -> None:
    packet = who_has()
    assert (
        changes(("h1/e", OUT, packet), ("s/p1", IN, packet), ("s/p2", OUT, packet), ("s/br0", IN, packet, 2000)) == {}
    )


def test_a_router_changes_macs_and_ttl() -> None:
    after = routed(udp(ttl=63))
    assert changes(("h1/e", OUT, udp()), ("r/a", IN, udp()), ("r/b", OUT, after), ("h2/e", IN, after)) == {
        ("r/a", "r/b"): {"eth.dst": (M2, M4), "eth.src": (M1, M3), "ip.ttl": (64, 63)}
    }


def test_a_router_on_a_stick_changes_it_on_one_interface() -> None:
    assert changes(("r/a", IN, udp()), ("r/a", OUT, udp(ttl=63))) == {("r/a", "r/a"): {"ip.ttl": (64, 63)}}


def test_nat_changes_address_and_port_but_checksums_are_left_out() -> None:
    after = udp("192.0.2.1", sport=1024)
    assert changes(("gw/a", IN, udp()), ("gw/b", OUT, after)) == {
        ("gw/a", "gw/b"): {"ip.src": ("10.0.0.1", "192.0.2.1"), "udp.srcport": (5555, 1024)}
    }


def test_what_came_back_changed_was_changed_where_it_was() -> None:
    after = udp(ttl=63)
    way = ("h/a", OUT, udp()), ("r/a", IN, udp()), ("r/b", OUT, after), ("h/b", IN, after)
    assert changes(*way) == {("r/a", "r/b"): {"ip.ttl": (64, 63)}}


def test_two_nodes_each_change_their_part() -> None:
    one, two = udp(ttl=63), udp("192.0.2.1", ttl=62)
    way = ("r/a", IN, udp()), ("r/b", OUT, one), ("gw/a", IN, one), ("gw/b", OUT, two)
    assert changes(*way) == {
        ("r/a", "r/b"): {"ip.ttl": (64, 63)},
        ("gw/a", "gw/b"): {"ip.src": ("10.0.0.1", "192.0.2.1"), "ip.ttl": (63, 62)},
    }


ON, OFF = {"vxlan.vni": (None, 42)}, {"vxlan.vni": (42, None)}


@pytest.mark.parametrize("same_time", [True, False], ids=["with the kernel's times", "with other times"])
def test_a_tunnel_is_put_on_and_taken_off(same_time: bool) -> None:
    inner = who_has()
    outer = vxlan(inner)
    assert changes(
        ("n1/p1", IN, inner),
        ("n1/vx0", OUT, inner),
        ("n1/eth0", OUT, outer),
        ("n2/eth0", IN, outer, 7000),
        ("n2/vx0", IN, inner, 7000 if same_time else 7001),
        ("n2/p1", OUT, inner),
    ) == {("n1/vx0", "n1/eth0"): ON, ("n2/eth0", "n2/vx0"): OFF}


def test_a_flood_beside_a_tunnel_takes_no_tunnel_off() -> None:
    inner = who_has()
    copies = [vxlan(inner, dst=f"10.9.0.{n}") for n in (2, 3)]
    assert changes(
        ("n1/p1", IN, inner),
        ("n1/vx0", OUT, inner),
        ("n1/eth0", OUT, copies[0]),
        ("n1/eth0", OUT, copies[1]),
        ("n1/p2", OUT, inner),
        ("n2/eth0", IN, copies[0], 8000),
        ("n3/eth0", IN, copies[1], 9000),
        ("n2/vx0", IN, inner, 8000),
        ("n3/vx0", IN, inner, 9000),
    ) == {("n1/vx0", "n1/eth0"): ON, ("n2/eth0", "n2/vx0"): OFF, ("n3/eth0", "n3/vx0"): OFF}


def test_vxlan_ports_are_a_parameter() -> None:
    ports = frozenset({9999})
    inner = who_has()
    (journey,) = follow(sightings(("n/vx", OUT, inner), ("n/e", OUT, vxlan(inner, port=9999))), vxlan_ports=ports)
    assert rewrites(journey, vxlan_ports=ports) == {(interface("n/vx"), interface("n/e")): ON}
    assert comment_texts([journey], vxlan_ports=ports)[2][0].startswith(
        "VXLAN vni 42 10.9.0.1 > 10.9.0.2 / ARP who-has"
    )
    expected = [interface("n/vx")]
    assert "vni 42" in first_difference(path_of(journey.frames), expected, vxlan_ports=ports)


def test_comments_count_the_hops() -> None:
    (journey,) = follow(swallowed())
    assert comment_texts([journey]) == {
        1: ["ARP is-at 192.168.3.102: hop 1 of 3"],
        2: ["ARP is-at 192.168.3.102: hop 2 of 3"],
        3: ["ARP is-at 192.168.3.102: hop 3 of 3, stops here"],
    }


def test_a_packet_that_comes_round_stops_nowhere_new() -> None:
    """Its last sighting is on an earlier hop, so the last hop is not where it stops."""
    echo = ether() / ip() / ICMP(id=1, seq=1)
    frames = sightings(("h/a", OUT, echo), ("h/b", IN, echo), ("h/a", IN, echo))
    texts = comment_texts([Journey(1, frames)])
    assert [texts[n][0].partition(": ")[2] for n in (1, 2, 3)] == ["hop 1 of 2", "hop 2 of 2", "hop 1 of 2"]
    lo = sightings(("h/lo", OUT, echo), ("h/lo", IN, echo))
    assert [text for (text,) in comment_texts(follow(lo)).values()] == [
        "ICMP echo request 10.0.0.1 > 10.0.0.2 seq 1: hop 1 of 1",
        "ICMP echo request 10.0.0.1 > 10.0.0.2 seq 1: hop 1 of 1, stops here",
    ]


def test_comments_name_each_packet_as_it_was_there() -> None:
    after = udp("192.0.2.1")
    texts = comment_texts(follow(sightings(("gw/a", IN, udp()), ("gw/b", OUT, after))))
    assert texts[1] == ["UDP 10.0.0.1.5555 > 10.0.0.2.80: hop 1 of 2"]
    assert texts[2] == ["UDP 192.0.2.1.5555 > 10.0.0.2.80: hop 2 of 2, stops here"]


def test_a_path_is_shown_as_a_list() -> None:
    assert repr(Path(swallowed())) == "[host/veth1, host/veth0, host/br0]"

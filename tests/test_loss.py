"""Whatever overflows, an act is inconclusive and says by how much; it never passes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from inside import pair, sandboxed
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pktlab.errors import Inconclusive
from pktlab.kernel import backlog, inject, ring, storage
from pktlab.kernel.backlog import Backlog
from pktlab.network import Network
from pktlab.topology import Topology

HEADER = b"\x02\xff\0\0\0\1" + b"\x02\0\0\0\0\1" + b"\x88\xb6"


def storm() -> Topology:
    """Two bridges joined by three veth pairs: each frame that comes in goes out twice."""
    topology = Topology()
    sw = topology.namespace("sw")
    _host, port = sw.veth("host", "port")
    ends = [sw.veth(f"a{n}", f"b{n}") for n in range(3)]
    sw.bridge("bra", ports=[port, *(a for a, _ in ends)])
    sw.bridge("brb", ports=[b for _, b in ends])
    return topology


def rage(net: Network) -> None:
    """Let it begin, and end it at once."""
    devices = net.topology.namespaces["sw"].devices
    net.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B6) / Raw(b"round and round"), dev=devices["host"])
    for name in ("a1", "a2"):
        net.down(devices[name])


@sandboxed
def test_frames_dropped_in_a_full_backlog_make_it_inconclusive() -> None:
    topology = storm()
    with Network(topology) as net:
        with pytest.raises(Inconclusive) as caught, net.capture():
            rage(net)
        dropped = net._testbed.backlog.dropped(net._testbed.namespaces)
        assert sum(dropped.values()) > 100
        assert all(where.startswith("sw/") for where in dropped)
        where, count = max(dropped.items(), key=lambda each: each[1])
        assert f"{count} behind {where}" in caught.value.message
        assert "backlog" in caught.value.message


def rage_and_vanish(net: Network, *, by_hand: bool) -> None:
    rage(net)
    sw = net.topology.namespaces["sw"]
    for name in ("a0", "a1", "a2", "host", "bra", "brb"):
        if by_hand:
            assert net.run(sw, ["ip", "link", "delete", name])
        else:
            net.delete(sw.devices[name])


@pytest.mark.parametrize("by_hand", [False, True])
@sandboxed
def test_they_are_not_forgotten_with_the_interface(by_hand: bool) -> None:
    """An interface that is deleted takes its counters with it, whoever deletes it."""
    with Network(storm()) as net:
        with pytest.raises(Inconclusive, match="backlog") as caught, net.capture():
            rage_and_vanish(net, by_hand=by_hand)
        for name in ("a0", "b2"):
            told = re.search(rf"(\d+) behind sw/{name}\b", caught.value.message)
            assert told, caught.value.message
            assert int(told[1]) > 10


@sandboxed
def test_an_interface_that_a_program_moved_is_not_gone() -> None:
    topology = pair()
    a, b = topology.namespaces.values()
    with Network(topology) as net:
        for old, new in ((a, b), (b, a)):
            net.run(old, ["ip", "link", "set", "eth0", "name", "moving"])
            assert net.run(old, ["ip", "link", "set", "moving", "netns", new.name])
            net._testbed.backlog._before -= 3
            net.settle()
            assert net._testbed.dropped() == {}


@sandboxed
def test_drops_that_a_lab_means_are_none_of_the_backlogs() -> None:
    """A frame that is too long for the other end is dropped there, by its MTU."""
    topology = pair()
    one, two = topology.namespaces["a"].devices["eth0"], topology.namespaces["b"].devices["eth0"]
    long = HEADER + bytes(1400)
    quiet = backlog._machine()
    # Whatever else goes on here.
    backlog._machine = lambda: quiet
    with Network(topology) as net:
        net.run(topology.namespaces["b"], ["ip", "link", "set", "eth0", "mtu", "1000"])
        with net.capture():
            inject_quietly(net, long)
        namespaces = net._testbed.namespaces
        assert backlog.driver_drops(namespaces["b"]) == {"lo": 0, two.name: 0}
        assert backlog.driver_drops(namespaces["a"]) == {"lo": 0, one.name: 10}
        assert net._testbed.backlog.dropped(net._testbed.namespaces) == {}
        # Where the machine drops something meanwhile, they may be among it: at most so many.
        net._testbed.backlog._before -= 3
        assert net._testbed.backlog.dropped(net._testbed.namespaces) == {"a/eth0": 3}
        with pytest.raises(Inconclusive, match="3 behind a/eth0"):
            net.check_losses()
        assert [f.interface for f in net.recording.frames] == [one] * 10


def inject_quietly(net: Network, frame: bytes) -> None:
    """Send ten, out of an interface that tells of their loss."""
    with pytest.raises(Inconclusive, match="dropped 10 of 10"):
        inject.send(net._testbed.namespaces["a"], "eth0", [frame], count=10)


@sandboxed
def test_somebody_elses_storm_is_none_of_ours() -> None:
    with Network(pair()) as net:
        net._testbed.backlog._before -= 1000
        with net.capture():
            pass


def test_the_machines_own_count_is_readable() -> None:
    assert Backlog().dropped({}) == {}


def small_queue() -> None:
    pass


def small_ring() -> None:
    ring.MOST = ring.LEAST = 2 * ring.BLOCK


def small_storage() -> None:
    storage.SEGMENT = storage.MEMORY_LIMIT = 256 << 10
    storage.FILE_LIMIT = 0


@pytest.mark.parametrize("limit", [small_queue, small_ring, small_storage])
@sandboxed
def test_flooding_past_any_capacity(limit: Callable[[], None]) -> None:
    """What is there and what was lost are all that was sent."""
    limit()
    frames = [(HEADER + n.to_bytes(4, "big")).ljust(60, b".") for n in range(5000)]
    queue = 1 if limit is small_queue else 1 << 20
    with Network(pair(), queue=queue) as net:
        recorder = net._testbed.recorder
        with (
            pytest.raises(Inconclusive, match=r"the capture lost \d+ frames"),
            net.capture(ring=limit is small_ring),
            recorder.fairly(),
        ):
            inject.send(net._testbed.namespaces["a"], "eth0", frames, count=4)
        lost = net.losses()
        # A marker of our own may be among what was lost; there are eight in an act of this kind.
        assert 0 <= len(net.recording.frames) + sum(lost.values()) - 2 * 4 * len(frames) <= 8
        assert all(lost.values())
        assert net.recording.proof.lost == sum(lost.values())

"""settle() waits for what is on its way, and not a moment longer; no wait is without a bound."""

from __future__ import annotations

import os
import socket
import statistics
import time
from typing import Any

import pytest
from inside import pair, sandboxed
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from pktlab.errors import DeadlineExceeded
from pktlab.kernel.fence import _MARKER, Fence
from pktlab.kernel.queue import ETH_P_MARKER
from pktlab.network import Network, testbed
from pktlab.topology import Topology


def ask_in_vain(net: Network) -> None:
    """Make the stack of a look for a neighbour that is not there."""
    asking = net.socket(net.topology.namespaces["a"], "udp")
    asking.sendto(b"?", ("10.0.0.77", 9))


@sandboxed
def test_silence_takes_no_time() -> None:
    with Network(pair()) as net:
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert net.settle() == 0
            took.append(time.monotonic() - began)
        assert statistics.median(took) < 0.02, took


@sandboxed
def test_a_question_for_a_neighbour_is_waited_for() -> None:
    topology = pair(arp_timeout=0.3)
    a = topology.namespaces["a"]
    with Network(topology) as net:
        with net.capture() as seen:
            began = time.monotonic()
            ask_in_vain(net)
        assert 0.25 < time.monotonic() - began < 5
        assert [(n.address, n.state) for n in net.neighbours(a)] == [("10.0.0.77", "FAILED")]
    assert seen.count(ARP(op="who-has", pdst="10.0.0.77")) == 1


@sandboxed
def test_an_answer_ends_the_wait() -> None:
    """Long before the question would be given up."""
    topology = pair(arp_timeout=20)
    with Network(topology) as net, net.capture() as seen:
        began = time.monotonic()
        net.socket(topology.namespaces["a"], "udp").sendto(b"?", ("10.0.0.2", 9))
        net.settle()
        assert time.monotonic() - began < 5
        assert seen.count(ARP(op="is-at")) == 1


@sandboxed
def test_a_question_that_outlasts_the_bound() -> None:
    testbed.SETTLE_SECONDS = 0.2
    with Network(pair(arp_timeout=30)) as net:
        began = time.monotonic()
        ask_in_vain(net)
        with pytest.raises(DeadlineExceeded, match=r"did not fall silent within 0\.2 s \(2 frames so far\)"):
            net.settle()
        assert time.monotonic() - began < 5


def loop() -> Topology:
    """Two bridges joined by two veth pairs, and a host on one of them."""
    topology = Topology()
    sw = topology.namespace("sw")
    _host, port = sw.veth("host", "port")
    (a1, b1), (a2, b2) = sw.veth("a1", "b1"), sw.veth("a2", "b2")
    sw.bridge("bra", ports=[port, a1, a2])
    sw.bridge("brb", ports=[b1, b2])
    return topology


@sandboxed
def test_a_storm_is_told_in_time_and_ends_when_the_loop_is_cut() -> None:
    testbed.SETTLE_SECONDS = 0.3
    topology = loop()
    devices = topology.namespaces["sw"].devices
    with Network(topology, queue=1 << 18) as net:
        net.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B6) / Raw(b"round and round"), dev=devices["host"])
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            net.settle()
        assert time.monotonic() - began < 10
        assert "did not fall silent within 0.3 s" in caught.value.message
        assert "a loop of bridges" in caught.value.remedy
        testbed.SETTLE_SECONDS = 10.0
        net.down(devices["a2"])
        assert net.settle() > 1000
        assert net.settle() == net.settle()


@sandboxed
def test_a_tree_has_no_storm() -> None:
    topology = loop()
    devices = topology.namespaces["sw"].devices
    devices["a2"].down()
    with Network(topology) as net:
        net.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B6) / Raw(b"once"), dev=devices["host"])
        assert net.settle() == 6


@sandboxed
def test_a_round_visits_every_processor_and_comes_back() -> None:
    fence = Fence()
    before = os.sched_getaffinity(0)
    visited: list[set[int]] = []
    original = os.sched_setaffinity

    def note(pid: int, cpus: set[int]) -> None:
        visited.append(set(cpus))
        original(pid, cpus)

    os.sched_setaffinity = note  # type: ignore[assignment]
    fence.round()
    fence.close()
    assert os.sched_getaffinity(0) == before
    if len(before) > 1:
        assert visited == [*({cpu} for cpu in sorted(before)), before]


@sandboxed
def test_a_marker_that_is_dropped_is_sent_again() -> None:
    """The backlog of a CPU is that of the whole machine: another one's storm fills it."""

    class Full(socket.socket):
        frames = 0

        def send(self, *args: Any) -> int:
            Full.frames += 1
            return super().send(*args) if Full.frames > 2 else 0

    fence = Fence()
    began = time.monotonic()
    fence._socket = Full(socket.AF_PACKET, socket.SOCK_RAW, 0, fileno=fence._socket.detach())
    fence.round(timeout=10.0)
    assert Full.frames >= 3
    assert time.monotonic() - began < 5
    # A late one is of no use for what comes after it.
    fence._socket.send(_MARKER.pack(ETH_P_MARKER, fence._number))
    fence._pass(1.0)
    assert fence._number == Full.frames - 1


@sandboxed
def test_a_marker_that_does_not_come_back() -> None:
    fence = Fence()
    fence._socket.close()
    fence._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    fence._socket.bind(("lo", 0))
    with pytest.raises(DeadlineExceeded, match=r"did not come back within 0\.05 s"):
        fence.round(timeout=0.05)


@sandboxed
def test_arming_waits_for_stamps_of_arrival() -> None:
    fence = Fence()
    passes = iter([(7, 5), (6, 5), (5, 5), (4, 5)])
    fence._pass = lambda timeout: next(passes)  # type: ignore[method-assign]
    fence.arm()
    assert next(passes) == (4, 5)
    fence._pass = lambda timeout: (7, 5)  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded, match="did not stamp frames"):
        fence.arm(timeout=0.05)


@sandboxed
def test_a_network_is_armed_before_it_is_up() -> None:
    def refuse(self: Fence) -> None:
        raise DeadlineExceeded("not armed")

    Fence.arm = refuse  # type: ignore[assignment, method-assign]
    with pytest.raises(DeadlineExceeded, match="not armed"):
        Network(pair())


@sandboxed
def test_armed_when_stamps_are_those_of_arrival() -> None:
    fence = Fence()
    fence.arm()
    for _ in range(50):
        stamp, sent = fence._pass(1.0)
        assert 0 < stamp <= sent

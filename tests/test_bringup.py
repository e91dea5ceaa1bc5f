"""A network is ready when its constructor returns, and that is soon."""

from __future__ import annotations

import os
import resource
import statistics
import threading
import time
from collections.abc import Callable

import pytest
from inside import pair, sandboxed
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab.errors import DeadlineExceeded
from pktlab.kernel import carrier, sandbox, tables
from pktlab.network import Network
from pktlab.topology import Topology

# Of several bring-ups in a row. On an idle machine with two cores the median is about 12 ms; on a busy one the fastest
# still shows whether anything is waited for that does not happen, such as the second for a carrier.
MEDIAN, FASTEST = 0.060, 0.150


def switch(hosts: int) -> Topology:
    """A bridge of so many ports in a namespace of its own, each leading to a host: h0, h1, ..."""
    topology = Topology()
    sw = topology.namespace("sw")
    ports = []
    for number in range(hosts):
        host = topology.namespace(f"h{number}")
        port, eth0 = sw.veth(f"p{number}", "eth0", netns=host)
        eth0.address(f"10.0.{(number + 1) >> 8}.{(number + 1) & 255}/16")
        ports.append(port)
    sw.bridge("br0", ports=ports)
    return topology


def small() -> Topology:
    """A pair of namespaces, and a bridge of three ports in one of them."""
    topology = pair()
    a = topology.namespaces["a"]
    a.bridge("br0", ports=[a.veth(f"p{i}", f"h{i}")[0] for i in range(3)])
    return topology


def first_ping() -> list[object]:
    """Whether the very first ping is answered, and how many questions and answers it took on the way."""
    topology = pair()
    with Network(topology) as net, net.capture() as seen:
        answer = net.ping("10.0.0.2", ns=topology.namespaces["a"])
        return [answer.ok, seen.count(ARP(op="who-has")), seen.count(ARP(op="is-at")), seen.count(ICMP())]


def test_the_first_ping_is_answered_in_30_fresh_networks() -> None:
    assert [sandbox.call(first_ping) for _ in range(30)] == [[True, 1, 1, 2]] * 30


@sandboxed
def test_the_first_ping_through_every_port_of_a_bridge_is_answered() -> None:
    for _ in range(5):
        topology = switch(6)
        with Network(topology) as net, net.capture() as seen:
            for number in range(6):
                target = f"10.0.0.{(number + 1) % 6 + 1}"
                assert net.ping(target, ns=topology.namespaces[f"h{number}"]), f"h{number}"
            assert seen.count(ARP(op="who-has")) == seen.count(ARP(op="is-at")) == 6


def test_up_in_milliseconds(record_property: Callable[[str, object], None]) -> None:
    def seconds() -> float:
        with Network(small()) as net:
            return net.bring_up

    every = [sandbox.call(seconds) for _ in range(15)]
    figures = f"median {statistics.median(every) * 1000:.1f} ms of {[round(s * 1000, 1) for s in every]}"
    record_property("bring_up", figures)
    assert min(every) < FASTEST, figures
    if os.getloadavg()[0] < 1:
        assert statistics.median(every) < MEDIAN, figures


@sandboxed
def test_nothing_is_on_its_way_when_it_is_up() -> None:
    """No frame of its own: a capture begins with what the act does."""
    topology = switch(3)
    with Network(topology) as net:
        assert net.settle() == 0
        assert net.recording.frames == []


@sandboxed
def test_a_port_that_does_not_come_up_is_named() -> None:
    topology = small()
    a = topology.namespaces["a"]
    device = a.devices["h1"]
    wanted = carrier.expected(topology.settings)
    with Network(topology) as net:
        net.down(device)
        bed = net._testbed
        with pytest.raises(DeadlineExceeded) as caught:
            carrier.wait(wanted, bed.netlinks, bed.pause, timeout=0.05)
    assert "a/p1 not forwarding" in caught.value.message
    assert "a/p0" not in caught.value.message
    assert "a/br0" not in caught.value.message


@sandboxed
def test_an_ordinary_users_limit_of_descriptors_is_no_limit_of_namespaces() -> None:
    """Most shells begin with 1,024, and four namespaces take more than 12."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (12, hard))
    with Network(switch(3)) as net:
        assert net.ping("10.0.0.2", ns=net.topology.namespaces["h0"])
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, 1 << 16), hard)


@sandboxed
def test_teardown_waits_for_nothing() -> None:
    """Its names are free at once, its descriptors soon; the next network is up while the kernel still clears away."""
    before = len(os.listdir("/proc/self/fd"))
    with Network(small()) as net:
        assert net.ping("10.0.0.2", ns=net.topology.namespaces["a"])
    assert os.listdir("/run/netns") == []
    with Network(small()) as net:
        assert net.ping("10.0.0.2", ns=net.topology.namespaces["a"])
    for thread in threading.enumerate():
        if thread.name == "closing":
            thread.join(10)
    # One stays for each thread that ever entered a namespace: where it came from.
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_declaring_takes_as_long_for_each_host_of_many() -> None:
    def seconds(hosts: int) -> float:
        began = time.process_time()
        switch(hosts)
        return time.process_time() - began

    few, many = (min(seconds(hosts) for _ in range(5)) for hosts in (100, 1000))
    assert many < 40 * few


def test_what_is_waited_for() -> None:
    """A veth end that is down, or whose peer is, has no carrier; nor has a bridge of such ports."""
    topology = Topology()
    host = topology.namespace("host")
    (v0, v1), (p0, p1), (q0, q1) = (host.veth(f"{n}0", f"{n}1") for n in "vpq")
    br0, br1 = host.bridge("br0", ports=[p0, v0]), host.bridge("br1", ports=[q0])
    br2 = host.bridge("br2")
    v1.down()
    br1.down()
    assert carrier.expected(topology.settings) == {
        p0: "forwarding",
        p1: "up",
        q0: "up",
        q1: "up",
        br0: "up",
    }
    assert br2 not in carrier.expected(topology.settings)


def test_what_has_no_carrier_has_none_when_the_act_begins() -> None:
    """The end of a veth whose other end is down: the kernel may take a second to say so."""

    def state() -> tuple[int, int]:
        topology = Topology()
        host = topology.namespace("host")
        v0, v1 = host.veth("v0", "v1")
        v0.down()
        with Network(topology) as net:
            return tables.carriers(net._testbed.netlinks["host"])[v1.index]

    # UP and no RUNNING; lower layer down.
    assert {(flags & 0x41, operational) for flags, operational in (sandbox.call(state) for _ in range(20))} == {(1, 3)}

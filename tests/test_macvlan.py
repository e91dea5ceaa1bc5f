"""A broadcast has reached every macvlan device when the network is silent, however many there are."""

from __future__ import annotations

from collections import Counter

from inside import sandboxed
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pktlab.network import Network
from pktlab.topology import Topology

ALL = Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B6)


@sandboxed
def test_no_broadcast_waits_in_a_work_queue() -> None:
    """There it would be held back behind the fence, and one of more than a thousand be dropped in silence."""
    topology = Topology()
    a, b = topology.namespace("a"), topology.namespace("b")
    far, near = a.veth("eth0", "eth0", netns=b)
    above = [b.macvlan(f"mac{n}", link=near, mode=mode) for n, mode in enumerate(("private", "vepa", "bridge"))]
    with Network(topology) as net:
        for n in range(50):
            with net.capture() as seen:
                net.send(ALL / Raw(b"one %d" % n), dev=far)
            assert seen.where(Raw(b"one %d" % n)) == {far, near, *above}
        before = len(net.recording.frames)
        with net.capture():
            net.send(ALL / Raw(b"many"), dev=far, count=20_000)
        found = Counter(frame.interface for frame in net.recording.frames[before:])
        assert found == dict.fromkeys([far, near, *above], 20_000)

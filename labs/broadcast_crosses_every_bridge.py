"""A broadcast crosses every bridge.

    +- a1 -+  +- a2 -+      +- b -+                +- c -+
    | eth0 |  | eth0 |      | eth0|                | eth0|
    +--||--+  +--||--+      +--||-+                +--||-+
    +--||--------||---+    +---||----------+    +-----||-------+
    |  h1        h2   |    |   pb          |    |     pc       |
    |  hub         up ====== side --- over ====== back         |
    +-- segment ------+    +-- left -------+    +-- right -----+

Four hosts on one wire, so to say: a hub with two of them, and two bridges in a row. A broadcast gets everywhere and
reaches every host once, as does a frame for a MAC that nobody knows. What the hub's hosts say to each other reaches
left all the same, as a hub repeats everything; there it stops, since left knows both to be on that side.

See IEEE 802.1D-2004, 7.8 and 7.9; should_deliver() and br_flood() in net/bridge/br_forward.c.
"""

from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
a1, a2, b, c = (topology.namespace(name) for name in ("a1", "a2", "b", "c"))
segment, left, right = (topology.namespace(name) for name in ("segment", "left", "right"))
one, h1 = a1.veth("eth0", "h1", netns=segment)
two, h2 = a2.veth("eth0", "h2", netns=segment)
bee, pb = b.veth("eth0", "pb", netns=left)
sea, pc = c.veth("eth0", "pc", netns=right)
up, side = segment.veth("up", "side", netns=left)
over, back = left.veth("over", "back", netns=right)
hub = segment.bridge("hub", ports=[h1, h2, up], ageing_time=0)
br_left = left.bridge("br0", ports=[side, pb, over])
br_right = right.bridge("br0", ports=[back, pc])
one.address("10.0.0.1/24")
two.address("10.0.0.2/24")
sea.address("10.0.0.4/24")

HOSTS = {one, two, bee, sea}
WIRES = {h1, h2, up, side, pb, over, back, pc}
TYPE = 0x88B5  # a type for experiments, which no stack answers
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("bridge-multi-hop-broadcast")
@refutes("broadcast-storm-needs-loop")
def test_broadcast(net: Network) -> None:
    """It is seen on every interface, the bridges' own too, and comes to each host once: many bridges make no storm."""
    question = ARP(op="who-has", pdst=sea.ip)
    with net.capture() as seen:
        assert net.ping(sea.ip, ns=a1)
    assert seen.where(question) == HOSTS | WIRES | {hub, br_left, br_right}
    assert {len(seen.frames(question, on=each)) for each in HOSTS | WIRES} == {1}
    assert seen.where(ARP(op="is-at")) == {sea, pc, back, over, side, up, h1, one, h2, two}


@confirms("bridge-multi-hop-broadcast")
def test_nobody_knows_the_mac(net: Network) -> None:
    """A frame for a MAC that was never heard is flooded by each bridge in turn; no bridge takes it for its own."""
    frame = Ether(dst="02:00:00:00:00:99", type=TYPE)
    with net.capture() as seen:
        net.send(frame, dev=one)
    assert seen.where(frame) == HOSTS | WIRES


@confirms("bridge-local-traffic-stays")
def test_two_on_one_side(net: Network) -> None:
    """What a1 and a2 say to each other comes to left, which has learned where both are, and no further."""
    assert net.ping(two.ip, ns=a1)
    assert {entry.mac: entry.dev for entry in net.fdb(side) if entry.state == "learned"} == {
        one.mac: "side",
        two.mac: "side",
    }
    with net.capture() as seen:
        assert net.ping(two.ip, ns=a1)
    for packet in (echo, echo_reply):
        assert seen.where(packet) == {one, two, h1, h2, up, side}


def test_before_it_has_learned(net: Network) -> None:
    """What left has not learned it passes on, though both are on one side of it."""
    frame = Ether(dst=two.mac, type=TYPE)
    with net.capture() as seen:
        net.send(frame, dev=one)
    assert seen.where(frame) == HOSTS | WIRES
    net.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=TYPE), dev=two)
    with net.capture() as seen:
        net.send(frame, dev=one)
    assert seen.where(frame) == {one, two, h1, h2, up, side}


def test_one_bridge_less(net: Network) -> None:
    """With the wire between the bridges cut, a broadcast ends at left."""
    question = ARP(op="who-has", pdst=sea.ip)
    net.down(over)
    with net.capture() as seen:
        assert not net.ping(sea.ip, ns=a1)
    assert seen.where(question) == {one, two, bee, h1, h2, up, side, pb, hub, br_left}

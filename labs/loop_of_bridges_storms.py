"""A loop of bridges storms.

    +- a ---+      +- left ------+          +- right -----+      +- b ---+
    |  eth0 ========= la     l1 ============== r1     rb ========== eth0 |
    +-------+      |         l2 ============== r2         |      +-------+
                   +-------------+          +-------------+

Two wires between two bridges, for safety's sake: and one broadcast goes round for ever, in both directions, with a copy
for each host every time, for a frame has no hop limit. Each bridge learns a's MAC anew at every turn, behind the wrong
port. STP takes one of the wires out of use until the other fails. How many bridges there are matters nothing.
What saves this machine is a fuse: after a quota of bytes left passes nothing on.

See IEEE 802.1D-2004, 17; net/bridge/br_stp.c; quota in nft(8).
"""

from scapy.layers.l2 import Ether

from pktlab import Network, Topology, refutes

topology = Topology()
a, b, left, right = (topology.namespace(name) for name in ("a", "b", "left", "right"))
a0, la = a.veth("eth0", "la", netns=left)
b0, rb = b.veth("eth0", "rb", netns=right)
l1, r1 = left.veth("l1", "r1", netns=right)
l2, r2 = left.veth("l2", "r2", netns=right)
br_left = left.bridge("br0", ports=[la, l1, l2])
br_right = right.bridge("br0", ports=[rb, r1, r2])
# A frame counts for 46 bytes here, its header not included: left passes on a hundred, and right would a thousand.
FUSE = "table bridge fuse {{ chain forward {{ type filter hook forward priority 0; quota over {} bytes drop; }}; }}"
left.nft(FUSE.format(4600))
with topology.scenery("the spare fuse, for when the first is taken away"):
    right.nft(FUSE.format(46000))

broadcast = Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / bytes(46)  # a type for experiments, which no stack answers
EVERYWHERE = {a0, la, l1, l2, br_left, r1, r2, rb, br_right, b0}


def learned(net: Network) -> str:
    """The port behind which left takes a to be."""
    return next(entry.dev for entry in net.fdb(br_left) if entry.mac == a0.mac)


def block_by_stp(net: Network) -> None:
    """Let the bridges speak STP until they agree: left has the lower id, so right closes its second way there."""
    for bridge in (br_right, br_left):
        net.set_bridge(bridge, stp=True, hello_time=1)
    net.wait(lambda: net.links(r2)[0].port == "blocking", timeout=5)


@refutes("broadcast-storm-needs-loop")
def test_one_broadcast(net: Network) -> None:
    """Until the fuse blows a's one frame comes back to a, and to b, dozens of times, and left has lost track of a."""
    with net.capture() as seen:
        assert net.send(broadcast, dev=a0) == 1
    assert seen.where(broadcast) == EVERYWHERE
    assert 20 < len(seen.frames(broadcast, on=a0)) < 100
    assert 20 < len(seen.frames(broadcast, on=b0)) < 100
    assert learned(net) in ("l1", "l2")


@refutes("broadcast-storm-needs-loop")
def test_one_wire(net: Network) -> None:
    """With one wire each host sees the frame once, and left knows where a is."""
    net.down(l2)
    with net.capture() as seen:
        net.send(broadcast, dev=a0)
    assert {len(seen.frames(broadcast, on=each)) for each in (a0, la, l1, r1, rb, b0)} == {1}
    assert learned(net) == "la"


def test_two_wires_and_stp(net: Network) -> None:
    """STP leaves both wires in and closes one port: each host sees the frame once."""
    block_by_stp(net)
    assert [net.links(port)[0].port for port in (l1, l2, r1, r2)] == ["forwarding"] * 3 + ["blocking"]
    with net.capture() as seen:
        net.send(broadcast, dev=a0)
    assert seen.where(broadcast) == EVERYWHERE
    assert {len(seen.frames(broadcast, on=each)) for each in (a0, la, l1, r1, rb, b0, l2, r2)} == {1}
    assert learned(net) == "la"


def test_the_wire_in_use_fails(net: Network) -> None:
    """Then STP opens the port again, beginning with listening."""
    block_by_stp(net)
    net.down(l1)
    net.wait(lambda: net.links(r2)[0].port == "listening", timeout=5)

"""Watching a bridge changes it.

    a                box                    b
    +----------+     +----------------+     +----------+
    |  eth0 ========== pa -- br0 -- pb ========== eth0 |
    | 10.0.0.1 |     |    10.0.0.254  |     | 10.0.0.2 |
    +----------+     +----------------+     +----------+

A port of a bridge is promiscuous, or its NIC would not let in what is for somebody behind another port. The
bridge device is not: it sees what is for its box, and not what its ports say to each other. Whoever starts tcpdump on
br0 makes it promiscuous, and then it sees that too: to look is to change what is there. With -p tcpdump leaves it as it
is, as the capture of this lab does.

See tcpdump(8) on -p, br_handle_frame_finish() in net/bridge/br_input.c (local_rcv), br_manage_promisc() in
net/bridge/br_if.c.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, PktlabError, Topology, confirms

topology = Topology()
a, b, box = (topology.namespace(name) for name in ("a", "b", "box"))
a0, pa = a.veth("eth0", "pa", netns=box)
b0, pb = b.veth("eth0", "pb", netns=box)
br0 = box.bridge("br0", ports=[pa, pb])
a0.address("10.0.0.1/24")
b0.address("10.0.0.2/24")
br0.address("10.0.0.254/24")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
unknown = Ether(dst="02:00:00:00:00:99", type=0x88B5)  # a type for experiments, which no stack answers
LISTEN = ["tcpdump", "-Z", "root", "-n", "-i", "br0"]


def watch(net: Network, *options: str) -> None:
    """Start tcpdump on br0."""
    try:
        net.start(box, [*LISTEN, *options], ready="listening on br0")
    except PktlabError as error:
        if "Couldn't change to 'root'" not in str(error):
            raise
        pytest.skip("tcpdump wants to leave its groups, which the kernel denies in an ordinary user's sandbox")


@pytest.mark.parametrize("by_tcpdump", [False, True])
@confirms("capture-br0-promisc-effect")
def test_promiscuous(net: Network, by_tcpdump: bool) -> None:
    """Made so by tcpdump or by ip, br0 sees the ping between its ports, and what is flooded for nobody knows whom."""
    if by_tcpdump:
        watch(net)
    else:
        assert net.run(box, ["ip", "link", "set", "br0", "promisc", "on"])
    assert net.links(br0)[0].promiscuity == 1
    with net.capture() as seen:
        assert net.ping(b0.ip, ns=a)
        net.send(unknown, dev=a0)
    assert seen.where(echo) == {a0, pa, br0, pb, b0}
    assert seen.where(echo_reply) == {b0, pb, br0, pa, a0}
    assert seen.where(unknown) == {a0, pa, br0, pb, b0}


@pytest.mark.parametrize("watched", [False, True])
@confirms("capture-br0-promisc-effect")
def test_not_promiscuous(net: Network, watched: bool) -> None:
    """With -p as with nobody watching: broadcasts, what is for br0, and what br0 itself sends."""
    if watched:
        watch(net, "-p")
    assert net.links(br0)[0].promiscuity == 0
    with net.capture() as seen:
        assert net.ping(b0.ip, ns=a)
        net.send(unknown, dev=a0)
    assert seen.path(echo) == [a0, pa, pb, b0]
    assert seen.path(echo_reply) == [b0, pb, pa, a0]
    assert br0 not in seen.where(unknown)
    assert br0 in seen.where(ARP(op="who-has", pdst=b0.ip))
    with net.capture() as seen:
        assert net.ping(br0.ip, ns=a)
    assert seen.path(echo) == [a0, pa, br0]
    assert seen.path(echo_reply) == [br0, pa, a0]


def test_a_mac_of_a_port(net: Network) -> None:
    """A frame for pb's own MAC is for the box as well: it comes up on br0, and does not go out of pb."""
    frame = Ether(dst=pb.mac, type=0x88B5)
    with net.capture() as seen:
        net.send(frame, dev=a0)
    assert seen.path(frame) == [a0, pa, br0]


@confirms("enslaved-port-promisc")
def test_ports_are_promiscuous(net: Network) -> None:
    """pa takes in what is for b's MAC as long as it is a port; the switch is thrown by joining, and back by leaving."""
    frame = Ether(dst=b0.mac, type=0x88B5)
    assert [net.links(port)[0].promiscuity for port in (pa, pb)] == [1, 1]
    with net.capture() as seen:
        net.send(frame, dev=a0)
    assert seen.path(frame) == [a0, pa, pb, b0]
    net.detach(pa)
    assert net.links(pa)[0].promiscuity == 0
    with net.capture() as seen:
        net.send(frame, dev=a0)
    assert seen.path(frame) == [a0, pa]

"""A veth joins container and host.

    host                               container
    +------------------------+        +-------------------+
    |  br0 10.0.0.1/24       |        |                   |
    |   |                    |        |                   |
    |  p1 ============================= eth0              |
    |                        |        |  10.0.0.2/24      |
    |  veth0 ========================== veth1 (recipe)    |
    +------------------------+        +-------------------+

One end lies in the container and has its address, the other is a port of a bridge in the host that has one too: so the
two talk, and the bridge is what the container talks to. In `ip link add veth0 type veth peer name veth1 netns NS` the
words behind "peer" are about the peer: veth1 is what lands in NS, and veth0 stays. Either end gets its MAC by lot.

See veth(4), ip-link(8), veth_newlink() in drivers/net/veth.c, eth_random_addr() in include/linux/etherdevice.h.
"""

from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
host, container = topology.namespace("host"), topology.namespace("container")
p1, eth0 = host.veth("p1", "eth0", netns=container)
br0 = host.bridge("br0", ports=[p1]).address("10.0.0.1/24")
eth0.address("10.0.0.2/24")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("veth-plus-bridge-host-container")
def test_both_ask(net: Network) -> None:
    """Packets and answers go by the port and the bridge, in both directions."""
    with net.capture() as seen:
        assert net.ping("10.0.0.1", ns=container).ttl == 64
    assert (seen.path(echo), seen.path(echo_reply)) == ([eth0, p1, br0], [br0, p1, eth0])
    with net.capture() as seen:
        assert net.ping("10.0.0.2", ns=host).ttl == 64
    assert (seen.path(echo), seen.path(echo_reply)) == ([br0, p1, eth0], [eth0, p1, br0])


def test_no_address_on_the_bridge(net: Network) -> None:
    """The question still comes to br0, but host has no address to answer with, and no way to the container."""
    net.del_address(br0, "10.0.0.1/24")
    with net.capture() as seen:
        assert not net.ping("10.0.0.1", ns=container)
        assert net.ping("10.0.0.2", ns=host).error == "Network is unreachable"
    assert seen.path(ARP(op="who-has")) == [eth0, p1, br0]
    assert seen.where(ARP(op="is-at")) == set()


def test_not_a_port(net: Network) -> None:
    """With p1 taken out of the bridge the question ends on p1."""
    net.detach(p1)
    with net.capture() as seen:
        assert not net.ping("10.0.0.1", ns=container)
    assert seen.path(ARP(op="who-has", pdst="10.0.0.1")) == [eth0, p1]


@refutes("veth-recipe-peer-netns-which")
def test_which_end_goes(net: Network) -> None:
    """veth1 lands in the container, where alone it can be given an address; host has veth0 and knows no veth1."""
    words = "link add veth0 type veth peer name veth1 netns container"
    assert net.run(host, ["ip", *words.split()])
    assert "veth0" in [link.name for link in net.links(host)]
    assert "veth1" in [link.name for link in net.links(container)]
    assert net.run(host, ["ip", "address", "add", "192.168.1.1/24", "dev", "veth0"])
    refused = net.run(host, ["ip", "address", "add", "192.168.1.2/24", "dev", "veth1"])
    assert refused.stderr.strip() == 'Cannot find device "veth1"'
    veth0, veth1 = net.interface(host, "veth0"), net.interface(container, "veth1")
    for end in veth0, veth1:
        net.up(end)
    net.add_address(veth1, "192.168.1.2/24")
    with net.capture() as seen:
        assert net.ping("192.168.1.2", dev=veth0)
    assert seen.path(echo) == [veth0, veth1]


@refutes("veth-mac-consecutive")
def test_macs_of_twenty_pairs(net: Network) -> None:
    """No two are neighbours: 46 bits are drawn by lot for each end (two say unicast, and locally administered)."""
    pairs = [f"link add a{n} type veth peer name b{n} netns container" for n in range(20)]
    assert net.run(host, ["ip", "-batch", "-"], input="\n".join(pairs))
    macs = {link.name: int(link.mac.replace(":", ""), 16) for ns in (host, container) for link in net.links(ns)}
    ends = [(macs[f"a{n}"], macs[f"b{n}"]) for n in range(20)]
    assert [pair for pair in ends if abs(pair[0] - pair[1]) == 1] == []
    assert {mac >> 40 & 3 for pair in ends for mac in pair} == {2}
    assert len({mac for pair in ends for mac in pair}) == 40

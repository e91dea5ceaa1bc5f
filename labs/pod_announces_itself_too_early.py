"""A pod announces itself too early.

    node                                               one, then two: 10.22.0.3, given out again
    +--------------------------------------------+     +---------------+
    |  10.22.0.3 at one's MAC    cni0 -- veth... ========= eth0        |   "10.22.0.3 is at my MAC"
    |                             |              |     +---------------+
    |                             +---- vetho ============ eth0  other 10.22.0.2
    +--------------------------------------------+

An incident, github.com/containernetworking/plugins/issues/756 (and 463, 858): a pod that gets the address of one that
ended is not reached from its node for some ten seconds. The node still has the MAC of the old pod. That is what the
announcement (a gratuitous ARP) is for, which the kernel sends for arp_notify as eth0 comes up; it is seen on the host's
end of the veth, but not on cni0, for a port of a bridge forwards only after its carrier's news, which comes later. The
reporter suspected the target MAC of zeros in it: said again at the right time, the very same frame is believed.

Real: the plugins bridge and host-local, 1.1.1 as in the incident; 0.8 sent the announcement itself, later. See
"arp_notify" in the kernel's ip-sysctl.rst, inetdev_event() in net/ipv4/devinet.c, br_port_carrier_check() in
net/bridge/br_if.c, neigh_carrier_down() in net/core/neighbour.c.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Interface, Network, Topology

topology = Topology()
node, one, two, other = map(topology.namespace, ("node", "one", "two", "other"))
eth_o, vetho = other.veth("eth0", "vetho", netns=node)
cni0 = node.bridge("cni0", ports=[vetho]).address("10.22.0.1/29").down()  # The plugin sets it up.
eth_o.address("10.22.0.2/29")

ADDRESS = "10.22.0.3"
ipam = {"type": "host-local", "ranges": [[{"subnet": "10.22.0.0/29", "rangeStart": ADDRESS, "rangeEnd": ADDRESS}]]}
conf = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0", "ipam": ipam}
announcement = Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op="who-has", psrc=ADDRESS, hwdst="00:00:00:00:00:00", pdst=ADDRESS)
echo = ICMP(type="echo-request")


def succeed(net: Network) -> tuple[str, Interface, Interface]:
    """Let `one` come, be spoken to and go, and `two` come; return one's MAC and both ends of two's veth."""
    plugins = net.cni(node, conf)
    mac = net.links(plugins.add(one).devices[2])[0].mac
    assert net.ping(ADDRESS, ns=node)
    plugins.delete(one)
    pod = plugins.add(two)
    assert pod.ip == ADDRESS
    return mac, pod.devices[1], pod.devices[2]


def test_before(net: Network) -> None:
    """The announcement ends on the veth; what the node has for two goes to one's MAC, everywhere, and to nobody."""
    with net.capture() as seen:
        old, veth, eth0 = succeed(net)
    assert seen.paths(announcement)[-1] == [eth0, veth]
    assert [(entry.address, entry.mac) for entry in net.neighbours(cni0)] == [(ADDRESS, old)]
    with net.capture() as seen:
        assert not net.ping(ADDRESS, ns=node)
    assert seen.where(Ether(dst=old) / IP() / echo) == {cni0, veth, eth0, vetho, eth_o}
    assert seen.count(ARP()) == 0
    assert net.ping("10.22.0.2", ns=node)


def test_after(net: Network) -> None:
    """Said again, now that the port forwards, it is heard by all, and the node corrects what it knows."""
    old, veth, eth0 = succeed(net)
    assert not net.ping(ADDRESS, ns=node)
    with net.capture() as seen:
        net.send(announcement, dev=eth0)
    assert seen.where(announcement) == {eth0, veth, cni0, vetho, eth_o}
    new = net.links(eth0)[0].mac
    assert [(entry.address, entry.mac) for entry in net.neighbours(cni0)] == [(ADDRESS, new)]
    assert new != old
    assert net.ping(ADDRESS, ns=node)


def test_alone_on_the_bridge(net: Network) -> None:
    """With no other pod cni0 loses its carrier as `one` goes, and with that all it knows: two is reached at once."""
    net.down(eth_o)
    _old, veth, eth0 = succeed(net)
    assert net.neighbours(cni0) == []
    with net.capture() as seen:
        assert net.ping(ADDRESS, ns=node)
    assert seen.path(echo) == [cni0, veth, eth0]

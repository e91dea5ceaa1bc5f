"""flannel.1 gets another MAC, and the other nodes keep the old one.

     a .1.2             n1                                   n2               c .2.2
    +------+    +--------------------+          +--------------------+      +------+
    | eth0 ======= cni0   flannel.1  |          |  flannel.1   cni0 ======= | eth0 |
    +------+    |             |      |          |      |             |      +------+
                |            eth0 ==== switch ==== eth0              |
                +--------------------+          +--------------------+
    10.244.2.0 is at flannel.1's old MAC              flannel.1 has a new MAC

An incident, github.com/flannel-io/flannel/issues/1155 (and 1795, 1330): no pod of one node is reached from the others,
until flannel is restarted there. flanneld writes the MAC of its flannel.1 into its lease, and the other nodes make of
it a permanent neighbour and an FDB entry. systemd 242 gave new devices a MAC of its own choice, after flanneld had read
the first. Packets cross the tunnel and are unwrapped; inside is a MAC that flannel.1 has no more, so they are another
host's. A permanent neighbour is not asked for and does not age. The fix, pull request 1485, gives the device its MAC
as it is made, and then systemd leaves it alone. A change later on costs n2 all of its own entries as well.

Rebuilt: flannel's devices and entries, see pktlab.Cluster; AddARP() and AddFDB() in pkg/backend/vxlan/device.go. See
eth_type_trans() in net/ethernet/eth.c, ip_rcv_core() in net/ipv4/ip_input.c, MACAddressPolicy in systemd.link(5).
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Cluster, Device, Network, Topology

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2, n3 = (cluster.node(name) for name in ("n1", "n2", "n3"))
a, c, e = n1.pod("a"), n2.pod("c"), n3.pod("e")

NEW = "0a:58:c0:a8:00:02"
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
out = [a.eth0, a.veth, n1.bridge, n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel]
way = str(n2.subnet[0])


def race(net: Network) -> None:
    """Give n2's flannel.1 another MAC, before n2's flanneld has written its entries for the others."""
    net.set_mac(n2.tunnel, NEW)
    for node in n1, n3:
        net.add_neighbour(n2.tunnel, str(node.subnet[0]), node.tunnel.mac)


def known(net: Network, tunnel: Device) -> list[tuple[str, str, str]]:
    """The neighbours behind a flannel.1."""
    return [(one.address, one.mac, one.state) for one in net.neighbours(tunnel)]


def test_before(net: Network) -> None:
    """What is for n2's pods gets as far as flannel.1 of n2, and no further, from every node; nobody asks anything."""
    assert net.ping(c.ip, dev=a.eth0)
    race(net)
    with net.capture() as seen:
        assert not net.ping(c.ip, dev=a.eth0)
        assert not net.ping(c.ip, dev=e.eth0)
    assert seen.path(Ether(dst=n2.tunnel.mac) / IP(src=a.ip) / echo) == out[3:]
    assert [path[-1] for path in seen.paths(IP(dst=c.ip) / echo)] == [n2.tunnel, n2.tunnel]
    assert {n1.tunnel, n2.tunnel}.isdisjoint(seen.where(ARP()))
    assert (way, n2.tunnel.mac, "PERMANENT") in known(net, n1.tunnel)


def test_the_other_direction(net: Network) -> None:
    """c's packets arrive, for n2 knows the others rightly; it is the answers that do not. n1 and n3 are well."""
    race(net)
    with net.capture() as seen:
        assert not net.ping(a.ip, dev=c.eth0)
        assert net.ping(e.ip, dev=a.eth0)
    assert seen.path(IP(src=c.ip, dst=a.ip) / echo) == [c.eth0, c.veth, n2.bridge, *out[::-1]]
    assert seen.path(IP(src=a.ip, dst=c.ip) / echo_reply) == out


def test_after(net: Network) -> None:
    """As when n2's lease is written anew: a neighbour and an FDB entry at the new MAC, on each node; it takes both."""
    race(net)
    for node, pod in (n1, a), (n3, e):
        net.add_neighbour(node.tunnel, way, NEW)
        with net.capture() as seen:
            assert not net.ping(c.ip, dev=pod.eth0)
        assert seen.path(echo)[-1] == node.tunnel
        net.add_fdb(node.tunnel, NEW, dst=n2.ip)
        with net.capture() as seen:
            assert net.ping(c.ip, dev=pod.eth0)
        assert seen.path(echo)[-4:] == [n2.tunnel, n2.bridge, c.veth, c.eth0]


def test_a_change_later_on(net: Network) -> None:
    """A device that gets another MAC forgets its neighbours, even permanent ones: n2's packets do not leave."""
    assert len(known(net, n2.tunnel)) == 2
    net.set_mac(n2.tunnel, NEW)
    assert known(net, n2.tunnel) == []
    with net.capture() as seen:
        assert not net.ping(a.ip, dev=c.eth0)
    assert seen.path(echo) == [c.eth0, c.veth, n2.bridge]
    assert seen.where(ARP(op="who-has", pdst=str(n1.subnet[0]))) == {n2.tunnel}

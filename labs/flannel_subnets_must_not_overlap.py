"""Two nodes with one pod subnet are deaf to each other, tunnel or not.

     a .1.2            n1                    n2                    n3            twin .1.9
    +------+    +-------------+       +-------------+       +-------------+      +------+
    | eth0 ====== cni0        |       |        cni0 |       |        cni0 ======== eth0 |
    +------+    |   flannel.1 |       | flannel.1 | |       | flannel.1   |      +------+
                |     eth0    |       |   eth0    | |       |    eth0     |
                +----- || ----+       +--- || --- || +      +---- || -----+
                   === switch ================    c .2.2 =======
          10.244.1.0/24                10.244.2.0/24               10.244.1.0/24 again

A pod takes what is of its own subnet for its LAN: it asks for the address there, where nobody has it, and the packet
never becomes one for the gateway, let alone the tunnel. The nodes do not correct that, for each has the subnet itself.
Others can have one route to 10.244.1.0/24, to one of the two; the pods of the other are lost to them.

Rebuilt: flannel's devices and entries, see pktlab.Cluster. flanneld leaves alone what has its own subnet: reset() in
pkg/subnet/watch.go of flannel-io/flannel; it also takes care, by a transaction in etcd, that none is given out twice,
createSubnet() in pkg/subnet/etcd/registry.go. See ip_route_output_key_hash_rcu() in net/ipv4/route.c.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Cluster, Network, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
n3 = cluster.node("n3", subnet="10.244.1.0/24")
a, c, twin = n1.pod("a"), n2.pod("c"), n3.pod("twin", ip="10.244.1.9")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
wire = [n2.tunnel, n2.eth0, n2.port, n1.port, n1.eth0, n1.tunnel]


@confirms("flannel-unique-pod-ip")
def test_between_the_two(net: Network) -> None:
    """Each way it is a question on the sender's own bridge, and no packet; the nodes reach one another."""
    with net.capture() as seen:
        assert not net.ping(twin.ip, dev=a.eth0)
        assert not net.ping(a.ip, dev=twin.eth0)
        assert net.ping(n3.ip, ns=n1.ns)
    assert seen.where(ARP(op="who-has", pdst=twin.ip)) == {a.eth0, a.veth, n1.bridge}
    assert seen.where(ARP(op="who-has", pdst=a.ip)) == {twin.eth0, twin.veth, n3.bridge}
    assert (seen.count(IP(dst=twin.ip) / echo), seen.count(IP(dst=a.ip) / echo)) == (0, 0)
    assert {n1.tunnel, n3.tunnel}.isdisjoint(seen.where(Ether()))


def test_from_elsewhere(net: Network) -> None:
    """n2 sends both to n1: a answers, for the twin n1 asks in vain. What the twin sends arrives; answers go astray."""
    with net.capture() as seen:
        assert net.ping(a.ip, dev=c.eth0)
        assert not net.ping(twin.ip, dev=c.eth0)
        assert not net.ping(c.ip, dev=twin.eth0)
    first = [c.eth0, c.veth, n2.bridge, *wire]
    assert seen.path(IP(dst=a.ip) / echo) == [*first, n1.bridge, a.veth, a.eth0]
    assert seen.path(IP(dst=twin.ip) / echo) == first
    assert seen.path(IP(src=twin.ip, dst=c.ip) / echo)[-1] == c.eth0
    assert seen.path(IP(src=c.ip, dst=twin.ip) / echo_reply) == first


def test_a_subnet_of_its_own(net: Network) -> None:
    """As soon as n3 and its pod have a range that nobody has, and n1 and n3 the other's lease, a reaches the twin."""
    for dev, host in (n3.tunnel, "0/32"), (n3.bridge, "1/24"), (twin.eth0, "9/24"):
        net.del_address(dev, f"10.244.1.{host}")
        net.add_address(dev, f"10.244.3.{host}")
    net.add_route(twin.ns, "default", via="10.244.3.1")
    for node, other, subnet in (n1, n3, "10.244.3"), (n3, n1, "10.244.1"):
        net.add_neighbour(node.tunnel, f"{subnet}.0", other.tunnel.mac)
        net.add_fdb(node.tunnel, other.tunnel.mac, dst=other.ip)
        net.add_route(node.ns, f"{subnet}.0/24", via=f"{subnet}.0", dev=node.tunnel, onlink=True)
    with net.capture() as seen:
        assert net.ping("10.244.3.9", dev=a.eth0)
    way = [a.eth0, a.veth, n1.bridge, n1.tunnel, n1.eth0, n1.port, n3.port, n3.eth0]
    assert seen.path(echo) == [*way, n3.tunnel, n3.bridge, twin.veth, twin.eth0]

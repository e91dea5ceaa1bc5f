"""Calico wraps nothing: from node to node a pod's packet goes as it is.

    a 10.244.1.2             n1                                       n2             c 10.244.2.2
    +----------+   +--------------------+   +--------+   +--------------------+   +----------+
    |   eth0 ====== calia        eth0 ===== switch ===== eth0        calic ====== eth0   |
    +----------+   |  10.244.2.0/26     |   +--------+   |  10.244.1.0/26     |   +----------+
                   |    via n2          |                |    via n1          |
                   |  10.244.1.0/26     |                |  10.244.2.0/26     |
                   |    blackhole       |                |    blackhole       |
                   +--------------------+                +--------------------+

The pool of addresses is cut into blocks of 64, a /26, and a node owns one or more. Between nodes of one LAN that is all
there is: a route for each block via its owner. That has a /32 for each of its pods, and a blackhole for the rest of
the block, else what is for a pod that is gone would leave by the default route.

Rebuilt: what Calico's CNI plugin, felix and BIRD write, as pktlab/cluster/calico.py says; real BIRD is in the lab
calico_bgp_needs_a_reflector_or_a_mesh. See confd/etc/calico/confd/templates/bird_aggr.cfg.template of
projectcalico/calico, "blackhole" in ip-route(8), ip_forward() in net/ipv4/ip_forward.c, RFC 7348.
"""

import statistics

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

from pktlab import Cluster, Network, Seen, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "calico-cross-subnet")
n1, n2 = cluster.node("n1"), cluster.node("n2")
a, b, c = n1.pod("a"), n1.pod("b"), n2.pod("c")

FREE, AGAIN = "10.244.1.9", "10.244.9.9"
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
WAY = [a.eth0, a.veth, n1.eth0, n1.port, n2.port, n2.eth0, c.veth, c.eth0]


@confirms("calico-no-encap-no-nat")
def test_on_the_wire(net: Network) -> None:
    """Between the nodes both addresses are the pods' own and nothing is around them; two routers took 2 off the TTL."""
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).ttl == 62
    bare = Ether(src=n1.eth0.mac, dst=n2.eth0.mac) / IP(src=a.ip, dst=c.ip, proto="icmp", ttl=63) / echo
    assert seen.path(bare) == [n1.eth0, n1.port, n2.port, n2.eth0]
    assert (seen.path(echo), seen.path(echo_reply)) == (WAY, WAY[::-1])
    assert {name for change in seen.rewrites(echo).values() for name in change} == {"eth.src", "eth.dst", "ip.ttl"}
    assert {len(frame.data) for frame in seen.frames(echo)} == {98}
    assert seen.count(UDP()) == 0


def test_without_the_route(net: Network) -> None:
    """n1 sends what is for c by its default route then, where nobody knows of pods."""
    net.del_route(n1.ns, str(n2.subnet), via=n2.ip)
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).icmp == (3, 1)
    assert seen.path(echo) == [a.eth0, a.veth]
    assert n1.eth0 in seen.where(ARP(op="who-has", pdst="192.168.0.254"))


@confirms("calico-blackhole-block")
def test_the_rest_of_the_block(net: Network) -> None:
    """A free address of n1's own block ends in n1 without a word; without the blackhole n1 would send it away."""
    rows = [row.split() for row in net.run(n1.ns, ["route", "-n"]).stdout.splitlines()]
    assert [(row[2], row[-1]) for row in rows if row[0] == str(n1.subnet[0])] == [("255.255.255.192", "*")]
    with net.capture() as seen:
        assert net.ping(b.ip, ns=a.ns)
        assert net.ping(a.ip, ns=c.ns)
        assert [net.ping(FREE, ns=pod.ns).error for pod in (a, c)] == ["", ""]
    assert seen.paths(IP(dst=FREE)) == [[a.eth0, a.veth], WAY[:1:-1]]
    net.del_route(n1.ns, str(n1.subnet), type="blackhole")
    with net.capture() as seen:
        assert net.ping(FREE, ns=a.ns).icmp == (3, 1)
    assert n1.eth0 in seen.where(ARP(op="who-has", pdst="192.168.0.254"))


def lasted(seen: Seen, dst: str) -> float:
    """How long the packets to an address took from eth0 to eth0, in nanoseconds, the median of all."""
    left, came = (seen.frames(IP(dst=dst) / UDP(dport=9), on=dev) for dev in (a.eth0, c.eth0))
    return statistics.median(last.time - first.time for first, last in zip(left, came, strict=True))


@confirms("calico-faster")
def test_beside_vxlan(net: Network) -> None:
    """The same two pods, in turn without a tunnel and through one: it takes 50 bytes more a packet, and longer."""
    net.add_address(c.eth0, f"{AGAIN}/32")
    net.add_route(n2.ns, AGAIN, dev=c.veth, scope="link")
    net.add_neighbour(n1.tunnel, "10.244.2.0", n2.tunnel.mac)
    net.add_fdb(n1.tunnel, n2.tunnel.mac, dst=n2.ip)
    net.add_route(n1.ns, AGAIN, via="10.244.2.0", dev=n1.tunnel, onlink=True)
    assert [net.ping(dst, ns=a.ns).ttl for dst in (c.ip, AGAIN)] == [62, 62]
    net.socket(c.ns, "udp").bind(("", 9))
    packets = [Ether(dst=a.veth.mac) / IP(dst=dst) / UDP(dport=9) / Raw(bytes(1000)) for dst in (c.ip, AGAIN)]
    with net.capture() as seen:
        net.send(packets, dev=a.eth0, count=100, rate=2000)
    assert (seen.count(VXLAN()), seen.count(IP(dst=c.ip) / UDP(dport=9))) == (100, 100)
    sizes = [{len(f.data) for f in seen.frames(IP(dst=dst) / UDP(dport=9), on=n1.eth0)} for dst in (c.ip, AGAIN)]
    assert sizes == [{1042}, {1092}]
    assert lasted(seen, c.ip) < lasted(seen, AGAIN)

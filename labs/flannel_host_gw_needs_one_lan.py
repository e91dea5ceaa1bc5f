"""flannel's host-gw backend needs nodes on one LAN.

     a .1.2          n1                      n2            c .2.2
    +------+    +-----------+          +-----------+      +------+
    | eth0 ====== cni0 eth0 ==== lan0 === eth0 cni0 ====== eth0  |
    +------+    +-----------+      |   +-----------+      +------+
                                router                            n3       e .3.2
                                   |                        +-----------+ +------+
                                 lan1 ======================== eth0 cni0 == eth0 |
                                                            +-----------+ +------+

Nodes that are neighbours need no tunnel: each is a router for its pods, and the others have a route to its subnet via
its address. The packet goes as it is, at full size. A route's next hop must be a neighbour, though. n3 is none: the
router between would have to know the pods' subnets, and it has only its own two LANs. flannel then makes no route.

Rebuilt: flanneld's routes, RegisterNetwork() in pkg/backend/hostgw/hostgw.go of flannel-io/flannel, which keeps to the
nodes that it can reach directly. See fib_check_nh_v4_gw() in net/ipv4/fib_semantics.c.
"""

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether

from pktlab import Cluster, Network, Topology

topology = Topology()
cluster = Cluster(topology, "host-gw")
n1, n2 = cluster.node("n1"), cluster.node("n2")
n3 = cluster.node("n3", lan=1)
a, b, c, e = n1.pod("a"), n1.pod("b"), n2.pod("c"), n3.pod("e")
router = topology.namespaces["router"]
to_lan0, to_lan1 = router.devices["eth0"], router.devices["eth1"]

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
there = [a.eth0, a.veth, n1.bridge, n1.eth0, n1.port, n2.port, n2.eth0, n2.bridge, c.veth, c.eth0]


def test_on_one_lan(net: Network) -> None:
    """From NIC to NIC the packet is the pod's own, with the nodes' MACs, as large as it was; two routers took a TTL."""
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0, size=1472, df=True).ttl == 62
    assert (seen.path(echo), seen.path(echo_reply)) == (there, there[::-1])
    assert seen.path(Ether(src=n1.eth0.mac, dst=n2.eth0.mac) / IP(src=a.ip, dst=c.ip, ttl=63) / echo) == there[3:7]
    assert (seen.count(UDP()), seen.where(ARP(pdst=n2.ip)) >= {n1.eth0, n2.eth0}) == (0, True)


def test_without_the_route(net: Network) -> None:
    """The route is all that there is: without it n1 asks its default router, which knows of no pods, not even a."""
    net.del_route(n1.ns, str(n2.subnet), via=n2.ip)
    with net.capture() as seen:
        assert not net.ping(c.ip, dev=a.eth0)
        assert net.ping(b.ip, dev=a.eth0)
    assert [path[-1] for path in seen.paths(echo)] == [to_lan0, b.eth0]
    assert seen.count(ICMP(type="dest-unreach")) == 0


def test_another_lan(net: Network) -> None:
    """n3 answers, its pods do not: n1 has no route and is refused one via n3. Routes in the router would do."""
    assert net.ping(n3.ip, ns=n1.ns)
    with net.capture() as seen:
        assert not net.ping(e.ip, dev=a.eth0)
    assert seen.path(echo)[-1] == to_lan0
    refused = net.run(n1.ns, ["ip", "route", "add", str(n3.subnet), "via", n3.ip])
    assert "Nexthop has invalid gateway" in refused.stderr
    for node in n1, n3:
        net.add_route(router, str(node.subnet), via=node.ip)
    with net.capture() as seen:
        assert net.ping(e.ip, dev=a.eth0).ttl == 61
    way = [each for each in seen.path(echo) if each.netns != "lan0" and each.netns != "lan1"]
    assert way[2:-2] == [n1.bridge, n1.eth0, to_lan0, to_lan1, n3.eth0, n3.bridge]

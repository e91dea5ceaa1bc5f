"""Only what leaves the cluster takes the node's address.

     a .1.2   b .1.3          n1                                 n2                 c .2.2
    +------+ +------+  +---------------------+          +---------------------+   +------+
    | eth0 === eth0 ==== cni0 . . flannel.1  |          |  flannel.1 . . cni0 ==== eth0  |
    +------+ +------+  |   .                 |          |                     |   +------+
                       |   . . . . . . eth0 ==== switch ==== eth0             |
                       +---------------------+    ||    +---------------------+
                                                 eth0  ext 192.168.0.3, no node

ext knows nothing of 10.244.0.0/16 and no router that would, so a pod must not show itself there: its node puts its own
address in the source on the way out, and takes it back for the answer. Among pods nobody translates: each sees who the
other is. From outside a pod is reached where its node translates a port, or by who has a route to its node.

Rebuilt: flannel's devices and its rules for what pods send, as MasqRules() in pkg/iptables/iptables.go of
flannel-io/flannel; a hostPort's rule, as in plugins/meta/portmap of containernetworking/plugins.
"""

import errno
import os

from scapy.layers.inet import ICMP, IP, TCP

from pktlab import Cluster, Namespace, Network, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "vxlan", masquerade=True)
n1, n2 = cluster.node("n1"), cluster.node("n2")
a, b, c = n1.pod("a"), n1.pod("b"), n2.pod("c")
ext, eth_e = cluster.host("ext")

echo, echo_reply, syn = ICMP(type="echo-request"), ICMP(type="echo-reply"), TCP(flags="S")


def client(net: Network, ns: Namespace, ip: str, port: int = 80) -> str:
    """Connect from a namespace while c serves on its port 80; who the client was to c, or what failed."""
    with net.socket(c.ns, "tcp") as server, net.socket(ns, "tcp", timeout=0.5) as made:
        server.bind((c.ip, 80))
        server.listen()
        error = made.connect_ex((ip, port))
        return os.strerror(error) if error else str(server.accept()[1][0])


@confirms("pod-egress-snat", "pod-egress-reply-restored")
def test_out_of_the_cluster(net: Network) -> None:
    """On cni0 the source is a, on eth0 it is n1; the answer is for n1 until eth0, and for a from cni0 on."""
    with net.capture() as seen:
        assert net.ping(eth_e.ip, dev=a.eth0).source == eth_e.ip
    way = [a.eth0, a.veth, n1.bridge, n1.eth0, n1.port, *seen.path(echo)[-2:]]
    assert (seen.path(echo), seen.path(echo_reply)) == (way, way[::-1])
    assert seen.rewrites(echo)[n1.bridge, n1.eth0]["ip.src"] == (a.ip, n1.ip)
    assert seen.rewrites(echo_reply)[n1.eth0, n1.bridge]["ip.dst"] == (n1.ip, a.ip)
    assert seen.paths(IP(src=eth_e.ip, dst=a.ip) / echo_reply) == [way[2::-1]]


@confirms("flannel-no-nat-between-pods", "flannel-same-node-no-tunnel")
def test_within_the_cluster(net: Network) -> None:
    """From node to node and on one node, a is a to the other pod. A node that is no pod's is outside."""
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0)
        assert net.ping(b.ip, dev=a.eth0)
        assert net.ping(n2.ip, dev=a.eth0)
    tunnel = [n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel]
    assert seen.path(IP(src=a.ip, dst=c.ip) / echo) == [a.eth0, a.veth, n1.bridge, *tunnel, n2.bridge, c.veth, c.eth0]
    assert seen.path(IP(src=a.ip, dst=b.ip) / echo) == [a.eth0, a.veth, b.veth, b.eth0]
    assert seen.path(IP(src=n1.ip, dst=n2.ip) / echo) == [n1.eth0, n1.port, n2.port, n2.eth0]


def test_without_the_rules(net: Network) -> None:
    """ext hears from a itself, has no way to answer, and is silent; pods among themselves do not notice."""
    net.nft(n1.ns, "delete table ip flannel")
    with net.capture() as seen:
        assert not net.ping(eth_e.ip, dev=a.eth0)
        assert net.ping(c.ip, dev=a.eth0)
    assert seen.path(IP(src=a.ip, dst=eth_e.ip))[-1] == eth_e
    assert seen.count(IP(dst=a.ip) / echo_reply, on=eth_e) == 0


def test_into_the_cluster(net: Network) -> None:
    """ext gets to c by a port of n2, and is itself to c; by c's address only once it has a route."""
    assert client(net, a.ns, c.ip) == a.ip
    with net.capture() as seen:
        assert client(net, ext, c.ip) == os.strerror(errno.EHOSTUNREACH)
    assert seen.count(syn) == 0
    dnat = f"fib daddr type local tcp dport 8080 dnat to {c.ip}:80"
    net.nft(n2.ns, f"table ip portmap {{ chain prerouting {{ type nat hook prerouting priority -100; {dnat}; }}; }}")
    with net.capture() as seen:
        assert client(net, ext, n2.ip, 8080) == eth_e.ip
    assert seen.rewrites(syn)[n2.eth0, n2.bridge]["ip.dst"] == (n2.ip, c.ip)
    net.add_route(ext, "10.244.2.0/24", via=n2.ip)
    assert client(net, ext, c.ip) == eth_e.ip

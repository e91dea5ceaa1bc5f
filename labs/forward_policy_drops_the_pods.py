"""A forward policy that drops takes the pods' packets, and no one else's.

     a .1.2             n1                                n2                 c .2.2
    +------+    +-----------------+              +-----------------+        +------+
    | eth0 ======= cni0 . . eth0 ===== switch ===== eth0 . . cni0 ============ eth0 |
    +------+    |  10.244.1.1     |              |    ^    .2.1    |        +------+
                +-----------------+              +----|------------+
                                                 FORWARD: policy DROP

An incident, github.com/kelseyhightower/kubernetes-the-hard-way/issues/697 (and kubernetes/kubernetes 39823, 108718):
from one node the bridge of the other answers, the pod behind it does not; on its own node the pod answers. dockerd
was installed on that node too. It switches forwarding on, and so that the machine is no router for everybody sets the
policy of FORWARD to DROP; its exceptions name docker0, not the pods' bridge. What is for the node itself passes INPUT,
what one of its own programs says passes OUTPUT, and neither meets that policy.

Rebuilt: dockerd's policy, setupIPForwarding() in libnetwork/drivers/bridge/setup_ip_forwarding.go of moby/moby, and its
rules for docker0; the pods' network is the plain routes of kubernetes-the-hard-way, as host-gw has them; the fix as
flanneld writes it, ForwardRules() in pkg/iptables/iptables.go of flannel-io/flannel.
"""

from scapy.layers.inet import ICMP, IP

from pktlab import Cluster, Network, Topology

topology = Topology()
cluster = Cluster(topology, "host-gw")
n1, n2 = cluster.node("n1"), cluster.node("n2")
a, c, d = n1.pod("a"), n2.pod("c"), n2.pod("d")
n2.ns.nft("table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop; }; }")
with topology.scenery("dockerd's exceptions, of which none is for pods"):
    n2.ns.nft("""add rule ip filter FORWARD oifname "docker0" ct state related,established accept
        add rule ip filter FORWARD iifname "docker0" accept""")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
wire = [n1.eth0, n1.port, n2.port, n2.eth0]


def test_before(net: Network) -> None:
    """To n2's bridge all is well, to the pod behind it nothing: what is for the pod ends on the NIC of n2."""
    with net.capture() as seen:
        assert net.ping(n2.gateway, ns=n1.ns)
        assert not net.ping(c.ip, ns=n1.ns)
        assert not net.ping(c.ip, ns=a.ns)
    assert [path[-1] for path in seen.paths(IP(dst=c.ip) / echo)] == [n2.eth0, n2.eth0]
    assert seen.path(IP(dst=n2.gateway) / echo) == wire


def test_out_of_the_node(net: Network) -> None:
    """The way out is closed as well: c's question to a, which would be answered, ends on c's own bridge."""
    with net.capture() as seen:
        assert not net.ping(a.ip, ns=c.ns)
    assert seen.path(echo) == [c.eth0, c.veth, n2.bridge]


def test_on_the_node_itself(net: Network) -> None:
    """Its own programs reach the pod, and pods on one bridge reach one another; that hides the fault."""
    with net.capture() as seen:
        assert net.ping(c.ip, ns=n2.ns)
        assert net.ping(c.ip, ns=d.ns)
    assert seen.paths(echo) == [[n2.bridge, c.veth, c.eth0], [d.eth0, d.veth, c.veth, c.eth0]]
    # With br_netfilter, which kube-proxy asks for, frames that stay on the bridge meet the policy too.
    net.sysctl(n2.ns, "net.bridge.bridge-nf-call-iptables", 1)
    with net.capture() as seen:
        assert not net.ping(c.ip, ns=d.ns)
    assert seen.path(echo) == [d.eth0, d.veth]


def test_after(net: Network) -> None:
    """flanneld accepts whatever is from or for a pod, and leaves the policy as it is: the rest is still not routed."""
    pods = cluster.pod_network
    net.nft(
        n2.ns, f"add rule ip filter FORWARD ip saddr {pods} accept; add rule ip filter FORWARD ip daddr {pods} accept"
    )
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns)
        assert net.ping(c.ip, ns=n1.ns)
    assert seen.path(IP(src=a.ip) / echo) == [a.eth0, a.veth, n1.bridge, *wire, n2.bridge, c.veth, c.eth0]
    assert seen.path(IP(dst=a.ip) / echo_reply)[-1] == a.eth0

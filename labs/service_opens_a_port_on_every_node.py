"""A NodePort is open on every node.

    ext .0.3                      n1 192.168.0.1
    +------+                    +----------------+
    | eth0 ==== switch ========== eth0 - rules   |
    +------+      ||            +----------------+
                  ||              n2 192.168.0.2                 web .2.2
                  ||            +--------------------------+    +------+
                  ++============= eth0 - rules - cni0 - veth ===== eth0 | 8080
                                +--------------------------+    +------+

A NodePort is a rule more on each node: what comes to the node's own address at port 30080 is for the service. Where the
pod is does not matter, as the node that was asked sends the packet on; but then the answer has to come back to it, for
nobody else can change it back. So it asks in its own name (masquerade), and web does not hear who the client is. With
externalTrafficPolicy Local a node serves its own pods only: no detour, no masquerade, and no answer elsewhere.

Rebuilt: kube-proxy's rules, as syncProxyRules() in pkg/proxy/iptables/proxier.go of kubernetes/kubernetes writes them,
and flannel's routes (host-gw). See "masquerade" and "fib" in nft(8), nf_nat_masquerade_ipv4().
"""

from scapy.layers.inet import IP, TCP
from tcp_calls import SILENCE, reached

from pktlab import Cluster, Network, Topology, confirms, refutes

topology = Topology()
cluster = Cluster(topology, "host-gw")
n1, n2 = cluster.node("n1"), cluster.node("n2")
web = n2.pod("web")
ext, nic = cluster.host("ext")
plug = topology.namespaces["lan0"].devices["ext"]
cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[web], node_port=30080)
cluster.service("near", "10.96.0.11", port=80, target_port=8080, endpoints=[web], node_port=30081, local=True)

syn, synack = TCP(flags="S"), TCP(flags="SA")
inside = [n2.bridge, web.veth, web.eth0]


def called(net: Network, ip: str, port: int = 30080) -> str:
    """Connect from ext while web listens on 8080; who the client was to web, or why there was no connection."""
    return reached(net, ext, ip, port, server=web.eth0, listens=8080)


@confirms("svc-nodeport-external")
@refutes("svc-nodeport-only-some-nodes")
def test_any_node_will_do(net: Network) -> None:
    """The pod is on n2 alone, and both nodes lead to it: n2 at once, n1 by sending the packet on."""
    with net.capture() as seen:
        assert called(net, n2.ip) == n2.gateway
        assert called(net, n1.ip) == n1.ip
    direct, detour = seen.paths(syn)
    assert direct == [nic, plug, n2.port, n2.eth0, *inside]
    assert detour == [nic, plug, n1.port, n1.eth0, n2.port, n2.eth0, *inside]


@refutes("svc-nodeport-adds-pair")
def test_a_rule_and_no_device(net: Network) -> None:
    """Taken away and put back, the rule closes and opens the port; the node's interfaces are the same throughout."""
    links = net.links(n1.ns)
    net.nft(n1.ns, "flush chain ip nat KUBE-NODEPORTS")
    assert (called(net, n1.ip), net.links(n1.ns)) == ("Connection refused", links)
    net.nft(n1.ns, cluster.rules(n1, {}))
    assert (called(net, n1.ip), net.links(n1.ns)) == (n1.ip, links)
    assert [link.name for link in links] == ["lo", "eth0", "cni0"]


@confirms("svc-nodeport-client-ip-snat")
def test_in_whose_name(net: Network) -> None:
    """n1 puts its address in the place of ext's. If it does not, web answers ext directly, and ext has never asked that
    address. n2, which the answer passes anyway, could do without."""
    with net.capture() as seen:
        assert called(net, n1.ip) == n1.ip
    changed = seen.rewrites(syn)[n1.eth0, n1.eth0]
    assert (changed["ip.src"], changed["ip.dst"]) == ((nic.ip, n1.ip), (n1.ip, web.ip))
    for node in (n1, n2):
        net.nft(node.ns, "flush chain ip nat KUBE-MARK-MASQ")
    with net.capture() as seen:
        assert called(net, n1.ip) == SILENCE
    assert seen.path(IP(src=nic.ip, dst=web.ip) / syn)[-1] == web.eth0
    answer = IP(src=web.ip, dst=nic.ip) / synack
    assert seen.paths(answer)[0] == [*inside[::-1], n2.eth0, n2.port, plug, nic]
    assert called(net, n2.ip) == nic.ip


def test_local_only(net: Network) -> None:
    """With externalTrafficPolicy Local web hears ext's own address, by n2; n1 has no pod of the service and drops."""
    with net.capture() as seen:
        assert called(net, n2.ip, 30081) == nic.ip
        assert called(net, n1.ip, 30081) == SILENCE
    kept, dropped = seen.paths(syn)
    assert kept == [nic, plug, n2.port, n2.eth0, *inside]
    assert dropped == [nic, plug, n1.port, n1.eth0]

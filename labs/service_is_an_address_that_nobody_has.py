"""A service is an address that nobody has.

     client .1.2              n1                                    n2               web .2.3
    +------+   +---------------------------+          +---------------------------+   +------+
    | eth0 ==== veth - rules - cni0        |          |        cni0 - veth =========== eth0  |
    +------+   |                |          |          |         |                 |   +------+
               |             flannel.1     |          |      flannel.1            |
               |                eth0 ======= switch ======= eth0                  |
               +---------------------------+    |     +---------------------------+
                                               ext        10.96.0.10:80 stands for 10.244.2.3:8080

No interface has the address 10.96.0.10. A packet to its port 80 is on its way to anywhere, when the first node that it
meets has a rule for it: from there on it is a packet to a pod. The answer is changed back on that very node, so its
client never hears of the pod. Every node has the same rules, and a client of any node is served by its own.

Rebuilt: kube-proxy's rules, as syncProxyRules() in pkg/proxy/iptables/proxier.go of kubernetes/kubernetes writes them,
and flannel's network. See "dnat" and "reject" in nft(8), nf_nat_manip_pkt() in net/netfilter/nf_nat_proto.c.
"""

from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP
from tcp_calls import reached

from pktlab import Cluster, Namespace, Network, Topology, confirms, depends

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
client, near, web = n1.pod("client"), n2.pod("near"), n2.pod("web")
ext, nic = cluster.host("ext")
plug = topology.namespaces["lan0"].devices["ext"]
service = cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[web])
empty = cluster.service("empty", "10.96.0.11", port=80, target_port=8080, endpoints=[])

syn, synack, echo = TCP(flags="S"), TCP(flags="SA"), ICMP(type="echo-request")
out = [client.eth0, client.veth, n1.bridge]
over = [n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel, n2.bridge, web.veth, web.eth0]


def called(net: Network, ns: Namespace, ip: str = service.ip, port: int = 80) -> str:
    """Connect while web listens on 8080; the client's address as web sees it, or why there was no connection."""
    return reached(net, ns, ip, port, server=web.eth0, listens=8080)


@confirms("svc-clusterip-dnat", "svc-same-cluster-pod-ok")
def test_the_destination_is_translated(net: Network) -> None:
    """On its way onto cni0 the service becomes the pod, and in the answer the pod the service."""
    with net.capture() as seen:
        assert called(net, client.ns) == client.ip
        assert called(net, near.ns) == near.ip
    assert seen.paths(syn)[0] == out + over
    there, back = seen.rewrites(IP(src=client.ip) / syn), seen.rewrites(IP(dst=client.ip) / synack)
    assert there[client.veth, n1.bridge]["ip.dst"] == (service.ip, web.ip)
    assert there[client.veth, n1.bridge]["tcp.dstport"] == (80, 8080)
    assert back[n1.tunnel, n1.bridge]["ip.src"] == (web.ip, service.ip)
    assert seen.where(IP(dst=service.ip) / syn) == {client.eth0, client.veth, near.eth0, near.veth}
    everybody = (node.ns for node in (n1, n2, client, near, web))
    held = [address.partition("/")[0] for ns in everybody for link in net.links(ns) for address in link.addresses]
    assert web.ip in held
    assert service.ip not in held


@confirms("svc-clusterip-ping")
def test_a_ping(net: Network) -> None:
    """The rule is for TCP port 80. A ping is no more than a packet to nowhere, and so is another port: the node routes
    them to its own gateway."""
    with net.capture() as seen:
        assert not net.ping(service.ip, dev=client.eth0)
        assert called(net, client.ns, port=81) == "No route to host"
    assert seen.path(echo) == seen.path(TCP(flags="S", dport=81)) == out
    assert n1.eth0 in seen.where(ARP(op="who-has", pdst="192.168.0.254"))
    with net.capture() as seen:
        assert net.ping(web.ip, dev=client.eth0)
    assert seen.path(echo) == out + over


def test_a_node_without_rules(net: Network) -> None:
    """The client's own node translates, or nobody does: what n2 has is of no use to client, and enough for near."""
    net.nft(n1.ns, "flush ruleset")
    with net.capture() as seen:
        assert called(net, client.ns) == "No route to host"
        assert called(net, near.ns) == near.ip
    assert seen.path(IP(src=client.ip) / syn) == out
    assert called(net, client.ns, web.ip, 8080) == client.ip


@depends("svc-clusterip-outside-unreachable", on="whether a machine outside has a route to a node for that address")
def test_from_outside(net: Network) -> None:
    """ext knows no way to 10.96.0.10, and that is all that keeps it out: given a route to a node it is served."""
    with net.capture() as seen:
        assert called(net, ext) == "No route to host"
    assert seen.where(syn) == set()
    net.add_route(ext, "10.96.0.0/16", via=n1.ip)
    with net.capture() as seen:
        assert called(net, ext) == n1.tunnel.ip
    assert seen.paths(syn)[0] == [nic, plug, n1.port, n1.eth0, n1.tunnel, *over[3:]]
    assert seen.rewrites(syn)[n1.eth0, n1.tunnel]["ip.src"] == (nic.ip, n1.tunnel.ip)


def test_a_service_without_pods(net: Network) -> None:
    """It is refused by the client's node, at once; as soon as it has a pod, it answers."""
    with net.capture() as seen:
        assert called(net, client.ns, empty.ip) == "Connection refused"
    assert seen.path(syn) == out
    refusal = ICMP(type="dest-unreach", code="port-unreachable")
    assert seen.path(IP(dst=client.ip) / refusal) == out[::-1]
    net.nft(n1.ns, cluster.rules(n1, {empty: [web]}))
    assert called(net, client.ns, empty.ip) == client.ip

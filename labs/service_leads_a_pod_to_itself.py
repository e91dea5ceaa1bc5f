"""A service leads a pod to itself.

    web .1.2            n1
    +------+      +--------------------------------+
    |      | ------->  veth -> rules: to web, -+   |
    | eth0 ==     |           in n1's name     |   |     cni0 .1.1
    |      | <-------  veth (hairpin) <--------+   |
    +------+      +--------------------------------+

A pod that asks a service may be given itself. Then the packet has to leave the bridge by the port that it came in by,
which a bridge does for a port in hairpin mode only; and it must not come in under the pod's own address, which a
stack takes from nobody else. So the rules mark what an endpoint sends to itself, and the node asks in its own name.

Rebuilt: kube-proxy's rules, as writeServiceToEndpointRules() and syncProxyRules() in pkg/proxy/iptables/proxier.go of
kubernetes/kubernetes write them; the veth as kube-flannel's conflist has it made (hairpinMode). See "hairpin" in
bridge(8), should_deliver() in net/bridge/br_forward.c, ip_route_input_slow() in net/ipv4/route.c.
"""

from scapy.layers.inet import IP, TCP
from tcp_calls import SILENCE, reached

from pktlab import Cluster, Network, Topology

topology = Topology()
cluster = Cluster(topology, "bridge")
n1 = cluster.node("n1")
web = n1.pod("web")
service = cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[web])

syn, synack = TCP(flags="S"), TCP(flags="SA")


def called(net: Network) -> str:
    """Connect from web to the service, that is to web: who asked, as web sees it, or why there was no connection."""
    return reached(net, web.ns, service.ip, 80, server=web.eth0, listens=8080)


def test_it_meets_itself(net: Network) -> None:
    """Out and in by the same veth, as a packet to web from n1; to web, as client, it is the service that answers."""
    with net.capture() as seen:
        assert called(net) == n1.gateway
    asked, came = IP(src=web.ip, dst=service.ip) / syn, IP(src=n1.gateway, dst=web.ip) / syn
    assert [seen.where(each) for each in (asked, came)] == [{web.eth0, web.veth}] * 2
    said, heard = IP(src=web.ip, dst=n1.gateway) / synack, IP(src=service.ip, dst=web.ip) / synack
    assert [seen.count(each, on=web.eth0) for each in (said, heard)] == [1, 1]


def test_without_hairpin(net: Network) -> None:
    """The bridge does not send back by the port what came in by it: the packet ends on n1."""
    assert net.run(n1.ns, ["bridge", "link", "set", "dev", web.veth.name, "hairpin", "off"])
    with net.capture() as seen:
        assert called(net) == SILENCE
    assert seen.path(syn) == [web.eth0, web.veth, n1.bridge]
    assert seen.count(syn, on=web.eth0) == 1


def test_in_its_own_name(net: Network) -> None:
    """Without the mark web gets a packet from web, and takes it for forged: it says nothing."""
    net.nft(n1.ns, "flush chain ip nat KUBE-MARK-MASQ")
    with net.capture() as seen:
        assert called(net) == SILENCE
    assert seen.count(IP(src=web.ip, dst=service.ip) / syn, on=web.eth0) == 1
    assert seen.count(IP(src=web.ip, dst=web.ip) / syn, on=web.eth0) == 1
    assert seen.where(synack) == set()

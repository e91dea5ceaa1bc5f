"""A service refuses what it does not serve, in kube-proxy's nftables mode.

    client .1.2                n1                     web .1.3
    +------+      +---------------------------+      +--------+
    | eth0 ========= veth - rules - cni0 - veth ======= eth0  |
    +------+      +------------ eth0 ---------+      +--------+
                                 ||                   10.96.0.10:80 stands for .1.3:8080
                               switch (no gateway on it)

In either of kube-proxy's modes the rules translate what is for one port of a service, and nothing answers a ping: there
is no machine that has the address. They differ in what becomes of the rest. The iptables mode has no rule for it, and
the node sends it away by its default route. The nftables mode keeps a set of all addresses of services: what is for one
of them and has not been translated is refused, with the same ICMP error that a closed port of UDP gives.

Rebuilt: kube-proxy's rules (see pktlab.Cluster), here the chain cluster-ips-check of setupNFTables() in
pkg/proxy/nftables/proxier.go of kubernetes/kubernetes; kubernetes/kubernetes#122692 brought it, after #22952. Real:
nft. See "reject" in nft(8), nf_send_unreach() in net/ipv4/netfilter/nf_reject_ipv4.c, RFC 792.
"""

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP
from tcp_calls import reached

from pktlab import Cluster, Network, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "bridge", proxy="nftables")
n1 = cluster.node("n1")
client, web = n1.pod("client"), n1.pod("web")
service = cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[web])

GATEWAY = ARP(op="who-has", pdst="192.168.0.254")
echo, refusal = ICMP(type="echo-request"), ICMP(type="dest-unreach", code="port-unreachable")
OUT = [client.eth0, client.veth, n1.bridge]


def called(net: Network, port: int) -> str:
    """Connect to a port of the service; the client's address as web sees it, or why there was no connection."""
    return reached(net, client.ns, service.ip, port, server=web.eth0, listens=8080)


@confirms("svc-clusterip-ping")
def test_a_ping(net: Network) -> None:
    """It is not answered, it is refused, by the node; the pod hears of nothing, though its port is served."""
    with net.capture() as seen:
        answer = net.ping(service.ip, ns=client.ns)
        assert called(net, 80) == client.ip
    assert (answer.ok, answer.icmp) == (False, (3, 3))
    assert seen.path(echo) == OUT
    assert seen.path(IP(src=n1.gateway, dst=client.ip) / refusal) == OUT[::-1]
    assert seen.path(IP(dst=[service.ip, web.ip]) / TCP(flags="S")) == [*OUT, web.veth, web.eth0]


def test_another_port(net: Network) -> None:
    """The same: a client learns at once that nobody serves it, as from a machine of its own."""
    with net.capture() as seen:
        assert called(net, 81) == "Connection refused"
    assert seen.path(TCP(flags="S", dport=81)) == OUT
    assert seen.count(refusal, on=client.eth0) == 1


@pytest.mark.parametrize("missing", ["rule", "address"])
def test_without_the_check(net: Network, missing: str) -> None:
    """Without the rule, or the address in its set, all of it goes to the node's gateway, as in the iptables mode."""
    chain, address = "flush chain ip kube-proxy cluster-ips-check", f"{{ {service.ip} }}"
    net.nft(n1.ns, chain if missing == "rule" else f"delete element ip kube-proxy cluster-ips {address}")
    with net.capture() as seen:
        assert net.ping(service.ip, ns=client.ns).icmp == (3, 1)
        assert called(net, 81) == "No route to host"
        assert called(net, 80) == client.ip
    assert seen.where(GATEWAY) == {n1.eth0, n1.port, topology.namespaces["lan0"].devices["switch"]}
    assert seen.path(echo) == seen.path(TCP(flags="S", dport=81)) == OUT

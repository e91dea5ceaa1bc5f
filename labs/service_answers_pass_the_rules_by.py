"""An answer that is bridged passes the service's rules by.

                                n1                                      n2
    client .1.2   +---------------------------+             +---------------------+     far .2.2
    +------+      |     there: by way of the  |             |                     |    +------+
    | eth0 ======== veth - cni0 - rules       ===== switch ====== cni0 - veth ========== eth0 |
    +------+      |          |                |             |                     |    +------+
    web .1.3      |          | back: switched |             +---------------------+
    +------+      |          |                |
    | eth0 ======== veth ----+                |
    +------+      +---------------------------+

Replay of kubernetes/kubernetes issue 38802, "Unstable service ip access from another pod". client asks the service; the
node translates that to web, whose bridge is the client's own. web answers client's address, which is on its LAN: so the
bridge hands the frame from port to port, and it never meets the rules that would put the service's address back. client
has not asked web and throws the answer away. By a pod of another node the same service answers, hence "unstable".
The cure in the thread: bridge-nf-call-iptables, by which the kernel shows bridged frames to the rules as well.

Rebuilt: kube-proxy's rules, as syncProxyRules() in pkg/proxy/iptables/proxier.go of kubernetes/kubernetes writes them,
and flannel's routes (host-gw). See Documentation/networking/ip-sysctl.rst, br_nf_pre_routing() in
net/bridge/br_netfilter_hooks.c.
"""

import select

from scapy.layers.inet import IP, TCP

from pktlab import Cluster, Network, Topology

topology = Topology()
cluster = Cluster(topology, "host-gw")
n1, n2 = cluster.node("n1"), cluster.node("n2")
client, web, far = n1.pod("client"), n1.pod("web"), n2.pod("far")
service = cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=[web, far])

SHOWN = "net.bridge.bridge-nf-call-iptables"
syn, synack = TCP(flags="S"), TCP(flags="SA")


def connected(net: Network, times: int = 1) -> int:
    """How many connections of client to the service there are in the end, while web and far listen."""
    for pod in (web, far):
        server = net.socket(pod.ns, "tcp")
        server.bind((pod.ip, 8080))
        server.listen(99)
    callers = [net.socket(client.ns, "tcp") for _ in range(times)]
    for caller in callers:
        caller.setblocking(False)
        caller.connect_ex((service.ip, 80))
    net.settle()
    return len(select.select([], callers, [], 0)[1])


def test_before(net: Network) -> None:
    """The question is translated on its way through cni0; the answer goes from port to port under web's own name."""
    net.sysctl(n1.ns, SHOWN, 0)
    net.nft(n1.ns, cluster.rules(n1, {service: [web]}))
    with net.capture() as seen:
        assert connected(net) == 0
    assert seen.paths(syn)[0] == [client.eth0, client.veth, n1.bridge, web.veth, web.eth0]
    assert seen.paths(IP(src=web.ip) / synack)[0] == [web.eth0, web.veth, client.veth, client.eth0]
    assert seen.count(IP(src=service.ip)) == 0
    assert seen.paths(IP(src=client.ip, dst=web.ip) / TCP(flags="R"))[0] == [
        client.eth0,
        client.veth,
        web.veth,
        web.eth0,
    ]


def test_after(net: Network) -> None:
    """The same way back, and the rules see it: between the two ports it gets the service's address."""
    net.nft(n1.ns, cluster.rules(n1, {service: [web]}))
    assert net.read_sysctl(n1.ns, SHOWN) == "1"
    with net.capture() as seen:
        assert connected(net) == 1
    assert seen.path(synack) == [web.eth0, web.veth, client.veth, client.eth0]
    changed = seen.rewrites(synack)[web.veth, client.veth]
    assert changed["ip.src"] == (web.ip, service.ip)
    assert changed["tcp.srcport"] == (8080, 80)


def test_unstable(net: Network) -> None:
    """Before, what goes to far succeeds, since it is routed there and back, and what goes to web fails."""
    net.sysctl(n1.ns, SHOWN, 0)
    with net.capture() as seen:
        there = connected(net, 20)
    assert 0 < there < 20
    assert there == seen.count(IP(src=far.ip) / synack, on=n1.eth0)
    assert 20 - there == seen.count(IP(src=web.ip) / synack, on=client.eth0)


def test_another_cure(net: Network) -> None:
    """With --masquerade-all the node asks in its own name, so web's answer has to come back to it."""
    net.sysctl(n1.ns, SHOWN, 0)
    net.nft(n1.ns, cluster.rules(n1, {service: [web]}))
    net.nft(n1.ns, "insert rule ip nat KUBE-SVC-web jump KUBE-MARK-MASQ")
    with net.capture() as seen:
        assert connected(net) == 1
    assert seen.path(synack) == [web.eth0, web.veth, n1.bridge, client.veth, client.eth0]
    assert seen.count(IP(src=n1.gateway, dst=web.ip) / syn, on=web.eth0) == 1

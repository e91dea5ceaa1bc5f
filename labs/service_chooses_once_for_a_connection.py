"""A service chooses once for a connection.

    client .1.2                 n1                    red .1.3, green .1.4, blue .1.5
    +------+      +---------------------------+      +------+
    | eth0 ========= veth - rules - cni0 --- veth ===== eth0 ||+
    +------+      +---------------------------+      +-8080-+||

Behind 10.96.0.10:80 are three pods. The first packet of a connection is given one of them by lot; the kernel notes
that (conntrack), and all others go by the note, not by the rules. A change of the rules moves the connections to come.

Rebuilt: kube-proxy's rules in both modes: maps and numgen as syncProxyRules() in pkg/proxy/nftables/proxier.go of
kubernetes/kubernetes, and as writeServiceToEndpointRules() in pkg/proxy/iptables/proxier.go; these the real
iptables-restore loads. See nft(8), iptables-extensions(8), nf_nat_inet_fn() in net/netfilter/nf_nat_core.c.
"""

import re
import select
import socket
import struct
from collections import Counter

import pytest
from scapy.layers.inet import IP, TCP

from pktlab import Cluster, Network, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "bridge", proxy="nftables")
n1 = cluster.node("n1")
client, *pods = (n1.pod(name) for name in ("client", "red", "green", "blue"))
web = cluster.service("web", "10.96.0.10", port=80, target_port=8080, endpoints=pods)
shop = cluster.service("shop", "10.96.0.11", port=80, target_port=8080, endpoints=pods, affinity=60)

ONE_PACKET = struct.pack("ii", 1, 0)  # ends a connection, as long as nobody waits for more (SO_LINGER)
# Of three the first is taken once in three times, the second in half of the rest, the last always.
CHAINS = "\n".join(f":KUBE-{chain} - [0:0]" for chain in ("SERVICES", "SVC-WEB", *(f"SEP-{pod}" for pod in pods)))
SEPS = "\n".join(f"-A KUBE-SEP-{pod} -p tcp -m tcp -j DNAT --to-destination {pod.ip}:8080" for pod in pods)
IPTABLES = f"""*nat
{CHAINS}
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d {web.ip}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-red
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-green
-A KUBE-SVC-WEB -j KUBE-SEP-blue
{SEPS}
COMMIT
"""


def listening(net: Network) -> dict[socket.socket, str]:
    """Servers on port 8080 of all three pods."""
    servers = {net.socket(pod.ns, "tcp"): pod.name for pod in pods}
    for server, name in servers.items():
        server.bind((cluster.pods[name].ip, 8080))
        server.listen(400)
    return servers


def chosen(net: Network, servers: dict[socket.socket, str], ip: str, times: int) -> Counter[str]:
    """Connect again and again; how often each pod was given the connection."""
    found: Counter[str] = Counter()
    for _ in range(times):
        with net.socket(client.ns, "tcp") as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ONE_PACKET)
            caller.connect((ip, 80))
            server = select.select(servers, [], [], 2)[0][0]
            server.accept()[0].close()
            found[servers[server]] += 1
    return found


@confirms("svc-load-balanced")
@pytest.mark.parametrize("by", ["numgen", "statistic"])
def test_three_by_lot(net: Network, by: str) -> None:
    """Of 300 connections each pod gets about 100, whether nft draws the lot or iptables."""
    if by == "statistic":
        net.nft(n1.ns, "flush ruleset")
        assert net.run(n1.ns, ["iptables-restore"], input=IPTABLES)
    with net.capture() as seen:
        found = chosen(net, listening(net), web.ip, 300)
    # Five standard deviations either side, of sqrt(300 * 1/3 * 2/3) = 8.2 each: once in 400000 runs chance does more.
    assert all(59 < found[pod.name] == seen.count(TCP(flags="S"), on=pod.eth0) < 141 for pod in pods)


@confirms("svc-conn-sticky-conntrack", "svc-vip-stable-on-restart")
def test_an_endpoint_is_replaced(net: Network) -> None:
    """Another pod takes the place of all three: new connections go there, the old one stays where it was."""
    servers = listening(net)
    with net.socket(client.ns, "tcp") as caller, net.capture() as seen:
        caller.connect((web.ip, 80))
        server = select.select(servers, [], [], 2)[0][0]
        connection, pod = server.accept()[0], cluster.pods[servers[server]]
        another = pods[pods.index(pod) - 1]
        net.nft(n1.ns, cluster.rules(n1, {web: [another]}))
        assert chosen(net, servers, web.ip, 10) == {another.name: 10}
        for number in range(10):
            caller.send(b"%d" % number)
            assert connection.recv(99) == b"%d" % number
        said = IP(src=client.ip) / TCP(sport=caller.getsockname()[1])
    assert seen.where(said).intersection(each.eth0 for each in pods) == {pod.eth0}


def test_without_a_memory(net: Network) -> None:
    """Where the kernel notes no connections it translates none: even the first packet is left as it is."""
    net.nft(n1.ns, "table ip raw { chain pre { type filter hook prerouting priority raw; notrack; }; }")
    with net.capture() as seen, net.socket(client.ns, "tcp", timeout=0.1) as caller:
        assert caller.connect_ex((web.ip, 80)) != 0
    assert seen.where(IP(dst=web.ip) / TCP(flags="S")) == {client.eth0, client.veth, n1.bridge}


def test_affinity(net: Network) -> None:
    """A client that is remembered, for a minute, stays with the pod of its first connection; else it moves."""
    servers = listening(net)
    (pod,) = found = chosen(net, servers, shop.ip, 8)
    note = net.run(n1.ns, ["nft", "list", "set", "ip", "kube-proxy", f"affinity-shop-{pod}"]).stdout
    assert re.search(rf"timeout 1m.*{client.ip} expires (1m|5\d)", note, re.DOTALL)  # The last of the 8 renewed it.
    for _ in range(15):
        net.nft(n1.ns, "\n".join(f"flush set ip kube-proxy affinity-shop-{each}" for each in pods))
        found += chosen(net, servers, shop.ip, 1)
    assert len(found) > 1

"""A network policy stops the packet at the pod's own node.

    shop .1.2                n1                                n2                        db .2.2
    +------+   +-----------------------+          +------------------------------+      +------+
    | eth0 ===== veth - cni0           |          |           policy             |  +==== eth0 | 5432
    +------+   |          |            |          |             |                |  |   +------+
    crawler    |       flannel.1 - eth0 == switch == eth0 - flannel.1 - cni0 - veth=+    neighbour .2.3
    +------+   |          |            |          |                      |       |      +------+
    | eth0 ===== veth - cni0           |          |                  policy -  veth ===== eth0 |
    +------+   +-----------------------+          +------------------------------+      +------+

Once a policy selects db, what nobody allows to db is refused. A label is a set of addresses, and one rule allows the
set; whoever gets the label is put into it. The rules are on db's node: what they refuse has crossed the whole network
and ends before the last veth. An answer needs no rule of its own, since the kernel knows its connection (conntrack).

Rebuilt: kube-router's rules, in nft, as syncPodFirewallChains() in pkg/controllers/netpol/pod.go of
cloudnativelabs/kube-router writes them, less its chain for each policy; flannel's network. See "ct" and "reject" in
nft(8), br_nf_forward_ip() in net/bridge/br_netfilter_hooks.c.
"""

from scapy.layers.inet import ICMP, IP, TCP
from tcp_calls import SILENCE, reached

from pktlab import Cluster, Device, Network, Topology

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
shop, crawler = n1.pod("shop"), n1.pod("crawler")
db, neighbour = n2.pod("db"), n2.pod("neighbour")
# The rules are for IP packets, and those of a neighbour are bridged frames.
n2.ns.sysctl("net.bridge.bridge-nf-call-iptables", 1)

ANSWERS = "ct state related,established accept"


def policy(pod: str, ip: str, labelled: str = "", answers: str = ANSWERS) -> str:
    """The rules for a pod of which a policy allows port 5432 to who has a label, or nothing to nobody."""
    label = f"set KUBE-SRC-{pod} {{ type ipv4_addr; elements = {{ {labelled} }}; }}" if labelled else ""
    allow = f"ip saddr @KUBE-SRC-{pod} tcp dport 5432 meta mark set meta mark or 0x10000" if labelled else ""
    return f"""table ip filter {{
    {label}
    chain KUBE-POD-FW-{pod} {{
        {answers}
        {allow}
        meta mark and 0x10000 == 0 reject
    }}
    chain FORWARD {{
        type filter hook forward priority 0;
        ip daddr {ip} jump KUBE-POD-FW-{pod}
    }}
}}"""


n2.ns.nft(policy("db", db.ip, shop.ip))
n1.ns.nft(policy("shop", shop.ip))

syn, synack = TCP(flags="S"), TCP(flags="SA")
over = [n1.bridge, n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel]


def called(net: Network, dev: Device, to: Device = db.eth0, port: int = 5432) -> str:
    """Connect to a port of db or shop, where somebody listens: the pod's own address, or why it was not reached."""
    return reached(net, dev.namespace, to.ip, port, server=to, listens=port)


def test_allowed_by_label(net: Network) -> None:
    """shop has the label and gets through to one port; crawler's packet comes to n2, which refuses it in db's name."""
    assert called(net, shop.eth0, port=5433) == "Connection refused"
    with net.capture() as seen:
        assert called(net, shop.eth0) == shop.ip
        assert called(net, crawler.eth0) == "Connection refused"
    assert seen.path(IP(src=shop.ip) / syn) == [shop.eth0, shop.veth, *over, n2.bridge, db.veth, db.eth0]
    assert seen.path(IP(src=crawler.ip) / syn) == [crawler.eth0, crawler.veth, *over]
    refusal = IP(dst=crawler.ip) / ICMP(type="dest-unreach", code="port-unreachable")
    assert seen.path(refusal) == [*over[::-1], crawler.veth, crawler.eth0]


def test_a_neighbour_on_the_same_bridge(net: Network) -> None:
    """It is refused between two ports of the bridge, as long as the kernel shows bridged frames to the rules."""
    with net.capture() as seen:
        assert called(net, neighbour.eth0) == "Connection refused"
    assert seen.path(syn) == [neighbour.eth0, neighbour.veth]
    net.sysctl(n2.ns, "net.bridge.bridge-nf-call-iptables", 0)
    with net.capture() as seen:
        assert called(net, neighbour.eth0) == neighbour.ip
    assert seen.path(syn) == [neighbour.eth0, neighbour.veth, db.veth, db.eth0]


def test_a_label_is_given_and_taken(net: Network) -> None:
    """With the label crawler gets through. Without it no new connection does; the one that there is goes on."""
    net.nft(n2.ns, f"add element ip filter KUBE-SRC-db {{ {crawler.ip} }}")
    with net.socket(db.ns, "tcp") as server, net.socket(crawler.ns, "tcp") as caller:
        server.bind((db.ip, 5432))
        server.listen()
        caller.connect((db.ip, 5432))
        net.nft(n2.ns, f"delete element ip filter KUBE-SRC-db {{ {crawler.ip} }}")
        caller.send(b"still here")
        assert server.accept()[0].recv(99) == b"still here"
    assert called(net, crawler.eth0) == "Connection refused"


def test_answers(net: Network) -> None:
    """Nobody may call shop, and yet db's answers come in. Without the rule for answers they end at n1."""
    assert called(net, db.eth0, shop.eth0) == "Connection refused"
    assert called(net, shop.eth0) == shop.ip
    net.nft(n1.ns, "flush ruleset")
    net.nft(n1.ns, policy("shop", shop.ip, answers=""))
    with net.capture() as seen:
        assert called(net, shop.eth0) == SILENCE
    assert seen.paths(synack)[0] == [db.eth0, db.veth, n2.bridge, *over[::-1][:-1]]


def test_no_policy(net: Network) -> None:
    """A pod that no policy selects is open to everybody."""
    net.nft(n2.ns, "flush ruleset")
    assert all(called(net, pod.eth0) == pod.ip for pod in (shop, crawler, neighbour))

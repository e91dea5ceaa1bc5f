"""A DNS client keeps a server that is dead.

    n1                          n2
    +-------------------+      +------------------------------+
    |  a .1.2           |      |  old .2.2      new .2.3      |
    |      \\            |      |      \\          /            |
    |       cni0        |      |       +- cni0 -+             |
    |  flannel.1 . . . . . VXLAN . . . flannel.1              |
    |                   |      |                              |
    |  a:40000 -> 10.96.0.10:53  =  .2.2:53, says conntrack   |
    +-------------------+      +------------------------------+

NAT rules are asked for the first packet of a flow only. To UDP a flow is two addresses and two ports, and lasts until
nothing has been seen of it for 30 s (120 s, once both sides have spoken for a while). A client that asks again from the
same port goes on to the server that was chosen at first, though that is gone and the rules know a new one, and each
query makes the entry live longer. kube-proxy therefore deletes such entries when an endpoint goes.

Replays kubernetes/kubernetes#19029 (mended by #22573; again in #119750 and #125467), and #139628. Real: the servers
(dnsmasq), connection tracking, conntrack(8). Rebuilt: kube-proxy's rules (see pktlab.Cluster), and what
CleanStaleEntries() in its pkg/proxy/conntrack/cleanup.go deletes. See nf_conntrack_udp_packet() in
net/netfilter/nf_conntrack_proto_udp.c, nf_nat_inet_fn() in net/netfilter/nf_nat_core.c.
"""

import socket

from cluster_dns import VIP, dnsmasq
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import UDP

from pktlab import Cluster, Network, Topology

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
a, old, new = n1.pod("a"), n2.pod("old"), n2.pod("new")
kube_dns = cluster.service("kube-dns", VIP, port=53, endpoints=[old], protocol="udp", nodes=[n1])

NAME = "web.default.svc.cluster.local"
DELETE = ["conntrack", "-D", "-p", "udp", "--orig-dst", VIP, "--reply-src", old.ip]
query = UDP(dport=53)
WAY = [a.eth0, a.veth, n1.bridge, n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel]


def answer(client: socket.socket) -> str:
    """Ask once from this socket; what was answered, or that nothing was."""
    try:
        client.send(bytes(DNS(id=client.fileno(), rd=1, qd=DNSQR(qname=NAME))))
        return str(DNS(client.recv(2000)).an[0].rdata)
    except TimeoutError:
        return "nothing"
    except ConnectionRefusedError:
        return "refused"


def client(net: Network) -> socket.socket:
    """A client's socket, with a port of its own."""
    made = net.socket(a.ns, "udp", timeout=0.3)
    made.connect((VIP, 53))
    return made


REPLACED, GONE = cluster.rules(n1, {kube_dns: [new]}), cluster.rules(n1, {kube_dns: []})


def asking(net: Network, rules: str) -> socket.socket:
    """A client has asked once; then the server's pod is deleted, and n1's rules are rewritten. Return its socket."""
    assert [pod for pod in (old, new) if not net.ping(pod.ip, ns=a.ns)] == []
    for pod in (old, new):
        net.start(pod.ns, dnsmasq(f"host-record={NAME},10.96.0.20"), ready="started, version")
    made = client(net)
    assert answer(made) == "10.96.0.20"
    net.delete(old.veth)
    net.nft(n1.ns, rules)
    return made


def test_before(net: Network) -> None:
    """All queries of the old socket go to the node of the dead pod, and end there: the entry says so, not the rules."""
    asker = asking(net, REPLACED)
    with net.capture() as seen:
        assert [answer(asker) for _ in range(2)] == ["nothing"] * 2
    assert (seen.path(query), seen.count(query)) == (WAY, 2)
    assert seen.rewrites(query)[a.veth, n1.bridge]["ip.dst"] == (VIP, old.ip)


def test_another_socket(net: Network) -> None:
    """Meanwhile a client with another port has a flow of its own, for which the rules are asked."""
    asker = asking(net, REPLACED)
    with net.capture() as seen:
        assert [answer(client(net)), answer(asker)] == ["10.96.0.20", "nothing"]
    assert seen.paths(query) == [[*WAY, n2.bridge, new.veth, new.eth0], WAY]


def test_after(net: Network) -> None:
    """With the entry deleted the next packet is the first of a flow again, and the same socket is answered."""
    asker = asking(net, REPLACED)
    assert net.run(n1.ns, DELETE)
    with net.capture() as seen:
        assert answer(asker) == "10.96.0.20"
    assert seen.path(query) == [*WAY, n2.bridge, new.veth, new.eth0]


def test_no_server_is_left(net: Network) -> None:
    """The rules refuse; the old flow does not meet them, for it is translated before. Without the entry it does."""
    asker = asking(net, GONE)
    with net.capture() as seen:
        assert [answer(client(net)), answer(asker)] == ["refused", "nothing"]
    assert seen.paths(query) == [[a.eth0, a.veth, n1.bridge], WAY]
    assert net.run(n1.ns, DELETE)
    assert answer(asker) == "refused"

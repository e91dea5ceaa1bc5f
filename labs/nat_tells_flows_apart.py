"""NAT tells flows apart.

                             gw                                          ext
    +-- p1 ---------+       +------------------------------------+      +--------------------+
    |  10.0.1.2/24  ========= in1 10.0.1.1/24                    |      |                    |
    +---------------+       |                   out ===================== eth0               |
    +-- p2 ---------+       |      203.0.113.1/24                |      |  203.0.113.9/24    |
    |  10.0.2.2/24  ========= in2 10.0.2.1/24                    |      |                    |
    +---------------+       +------------------------------------+      +--------------------+

Behind one address two hosts must not look alike. gw notes for each flow what it was and what it has become; where the
port (or the id of an echo) is in use towards the same peer, it takes another. An answer is changed back by that note; a
packet that answers no flow is not, and is for gw itself.

See RFC 3022, RFC 4787 4 and 5, nf_nat_l4proto_unique_tuple() in net/netfilter/nf_nat_core.c, conntrack(8).
"""

import errno
import socket

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pktlab import Namespace, Network, Topology, confirms, dissected

topology = Topology()
p1, p2, gw, ext = (topology.namespace(name) for name in ("p1", "p2", "gw", "ext"))
eth1, in1 = p1.veth("eth0", "in1", netns=gw)
eth2, in2 = p2.veth("eth0", "in2", netns=gw)
out, far = gw.veth("out", "eth0", netns=ext)
for number, private, end, inside in (1, p1, eth1, in1), (2, p2, eth2, in2):
    end.address(f"10.0.{number}.2/24")
    inside.address(f"10.0.{number}.1/24")
    private.route("default", via=f"10.0.{number}.1")
out.address("203.0.113.1/24")
far.address("203.0.113.9/24")
gw.sysctl("net.ipv4.ip_forward", 1)  # gw is the way out.
gw.nft('table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "out" masquerade; }; }')


def called(net: Network, private: Namespace, kind: str) -> socket.socket:
    """A socket of a private host on port 5555 that is connected to port 9000 of ext."""
    made = net.socket(private, kind)
    made.bind(("0.0.0.0", 5555))
    made.connect(("203.0.113.9", 9000))
    return made


@confirms("gateway-has-nat-table")
def test_same_port_twice(net: Network) -> None:
    """The first keeps its port, the second gets another; by that the answers find their hosts."""
    server, ports = net.socket(ext, "tcp"), []
    server.bind(("203.0.113.9", 9000))
    server.listen()
    for private in p1, p2:
        caller = called(net, private, "tcp")
        answering, (address, port) = server.accept()
        answering.send(private.name.encode())
        answering.close()
        assert (address, caller.recv(99)) == ("203.0.113.1", private.name.encode())
        ports.append(port)
    assert ports[0] == 5555 != ports[1]
    table = {(one.original.src, one.original.sport, one.reply.dport) for one in net.conntrack(gw)}
    assert table == {("10.0.1.2", 5555, 5555), ("10.0.2.2", 5555, ports[1])}


@confirms("gateway-has-nat-table")
def test_same_id_twice(net: Network) -> None:
    """An echo has no port; its id serves in its place, and is changed back in the answer."""
    with net.capture() as seen:
        for end, inside in (eth1, in1), (eth2, in2):
            net.send(Ether(dst=inside.mac) / IP(dst="203.0.113.9") / ICMP(id=77), dev=end)
    first, second = [dissected(each)[ICMP].id for each in seen.frames(ICMP(type="echo-request"), on=far)]
    assert first == 77 != second
    for number, inside, end in (1, in1, eth1), (2, in2, eth2):
        assert seen.path(IP(dst=f"10.0.{number}.2") / ICMP(type="echo-reply", id=77)) == [inside, end]
    assert {(one.original.src, one.reply.id) for one in net.conntrack(gw)} == {("10.0.1.2", 77), ("10.0.2.2", second)}


def test_only_the_peer_is_let_in(net: Network) -> None:
    """From the address and port that p1 has called; what comes from any other ends at gw, where nobody listens."""
    caller = called(net, p1, "udp")
    caller.send(b"ask")
    for port, word, end in (9000, b"answer", [far, out, in1, eth1]), (9001, b"stranger", [far, out]):
        sender = net.socket(ext, "udp")
        sender.bind(("203.0.113.9", port))
        with net.capture() as seen:
            sender.sendto(word, ("203.0.113.1", 5555))
        assert seen.path(UDP() / Raw(word)) == end
    assert seen.path(IP(src="203.0.113.1") / ICMP(type="dest-unreach", code="port-unreachable")) == [out, far]


def test_no_port_left(net: Network) -> None:
    """Where the rule leaves a single port to choose, the second connection to the same peer cannot be made."""
    net.nft(gw, "flush chain ip nat post; add rule ip nat post tcp dport 9000 masquerade to :5555")
    server = net.socket(ext, "tcp")
    server.bind(("203.0.113.9", 9000))
    server.listen()
    with net.capture() as seen:
        assert called(net, p1, "tcp")
        late = net.socket(p2, "tcp")
        late.setblocking(False)
        assert late.connect_ex(("203.0.113.9", 9000)) == errno.EINPROGRESS
    assert seen.path(IP(src="10.0.1.2") / TCP(flags="S")) == [eth1, in1]
    assert seen.path(IP(src="10.0.2.2") / TCP(flags="S")) == [eth2, in2]
    assert seen.count(TCP(flags="S"), on=far) == 1


def test_no_nat(net: Network) -> None:
    """Without the rule both arrive with port and address of their own, and ext has no way to answer either."""
    net.nft(gw, "flush ruleset")
    with net.capture() as seen:
        for private in p1, p2:
            called(net, private, "udp").send(b"ask")
    assert sorted(dissected(each)[IP].src for each in seen.frames(UDP(sport=5555), on=far)) == ["10.0.1.2", "10.0.2.2"]
    assert (seen.where(IP(src="203.0.113.9")), net.conntrack(gw)) == (set(), [])

"""NAT hides the source.

    c1                      host                                      ext
    +------------------+    +-----------------------------------+     +--------------------+
    |  192.168.9.2/24  ====== p1 --+                            |     |                    |
    +------------------+    |      |-- br0 . . router . . eth0 ======== eth0               |
    |  192.168.9.3/24  ====== p2 --+                            |     |                    |
    +------------------+    |      192.168.9.1  192.168.3.101   |     |  192.168.3.102/24  |
      c2                    +-----------------------------------+     +--------------------+

ext knows no way to 192.168.9.0/24, so an answer to a container would go nowhere. host puts its own address in place
of the container's when a packet leaves by eth0, notes which connection it was, and undoes it for the answer. Two
connections that would then look alike are told apart by another port. What stays on the bridge is left alone.

Rebuilt: no Docker runs. See RFC 3022, "masquerade" in nft(8), get_unique_tuple() in net/netfilter/nf_nat_core.c.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pktlab import Network, Topology, confirms, depends, dissected, refutes

topology = Topology()
host, ext, c1, c2 = (topology.namespace(name) for name in ("host", "ext", "c1", "c2"))
p1, eth1 = host.veth("p1", "eth0", netns=c1)
p2, eth2 = host.veth("p2", "eth0", netns=c2)
eth0, far = host.veth("eth0", "eth0", netns=ext)
br0 = host.bridge("br0", ports=[p1, p2]).address("192.168.9.1/24")
eth0.address("192.168.3.101/24")
far.address("192.168.3.102/24")
for container, end, cidr in (c1, eth1, "192.168.9.2/24"), (c2, eth2, "192.168.9.3/24"):
    end.address(cidr)
    container.route("default", via="192.168.9.1")
host.sysctl("net.ipv4.ip_forward", 1)  # The containers' way out leads through host.
host.nft("table ip nat { chain postrouting { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }; }")
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("nat-source-ip-hidden", "docker-outside-sees-host-mac-ip", "pod-egress-snat", "pod-egress-reply-restored")
@confirms("docker0-as-gateway", "docker-needs-nat")
def test_ping_outside(net: Network) -> None:
    """Between br0 and eth0 the source becomes host's, on the way back the destination c1's again; ext sees host."""
    with net.capture() as seen:
        assert net.ping("192.168.3.102", ns=c1).source == "192.168.3.102"
    assert (seen.path(echo), seen.path(echo_reply)) == ([eth1, p1, br0, eth0, far], [far, eth0, br0, p1, eth1])
    assert seen.rewrites(echo)[br0, eth0]["ip.src"] == ("192.168.9.2", "192.168.3.101")
    assert seen.rewrites(echo_reply)[eth0, br0]["ip.dst"] == ("192.168.3.101", "192.168.9.2")
    outside = [dissected(frame) for frame in seen.frames(Ether(), on=far)]
    assert {frame.src for frame in outside} == {eth0.mac, far.mac}
    assert {frame[IP].src for frame in outside if IP in frame} == {"192.168.3.101", "192.168.3.102"}


@confirms("gateway-has-nat-table")
@depends("nat-port-collision-remapped", on="whether both speak to the same address and port")
def test_same_source_port(net: Network) -> None:
    """Towards two servers both keep port 5555; towards one, the second gets another, and still its own answers."""
    ports = {}
    with net.capture() as seen:
        for word, ns, port in (b"one", c1, 9001), (b"two", c2, 9002), (b"six", c2, 9001):
            with net.socket(ext, "udp") as server, net.socket(ns, "udp") as client:
                server.bind(("192.168.3.102", port))
                client.bind(("0.0.0.0", 5555))
                client.sendto(word, ("192.168.3.102", port))
                received, peer = server.recvfrom(99)
                server.sendto(word.upper(), peer)
                assert (received, peer[0], client.recv(99)) == (word, "192.168.3.101", word.upper())
            ports[ns.name, port] = peer[1]
    assert ports["c1", 9001] == ports["c2", 9002] == 5555 != (other := ports["c2", 9001])
    assert seen.rewrites(Raw(b"six"))[br0, eth0]["udp.srcport"] == (5555, other)
    assert seen.rewrites(Raw(b"SIX"))[eth0, br0]["udp.dstport"] == (other, 5555)
    table = {(one.original.src, one.original.dport, one.reply.dport) for one in net.conntrack(host)}
    assert table == {("192.168.9.2", 9001, 5555), ("192.168.9.3", 9002, 5555), ("192.168.9.3", 9001, other)}


@confirms("docker-needs-nat")
@refutes("docker-ipforward-alone-suffices")
def test_no_nat(net: Network) -> None:
    """The packet arrives under its private source and is not answered."""
    net.nft(host, "flush ruleset")
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", ns=c1)
    assert (seen.path(IP(src="192.168.9.2") / echo), seen.count(echo_reply)) == ([eth1, p1, br0, eth0, far], 0)


def test_a_way_back(net: Network) -> None:
    """Once ext knows a way to c1 no exchange takes NAT: what ext begins has none anyway, what c1 begins needs none."""
    net.add_route(ext, "192.168.9.0/24", via="192.168.3.101")
    with net.capture() as seen:
        assert net.ping("192.168.9.2", ns=ext)
        net.nft(host, "flush ruleset")
        assert net.ping("192.168.3.102", ns=c1)
    assert seen.path(IP(src="192.168.3.102") / echo) == [far, eth0, br0, p1, eth1]
    assert seen.path(IP(src="192.168.9.2") / echo) == [eth1, p1, br0, eth0, far]


@confirms("docker-needs-ip-forward", "docker-path-through-host-stack")
def test_host_does_not_forward(net: Network) -> None:
    """Be it a rule of the forward hook or the sysctl: the packet comes to br0, whose MAC it bears, and no further."""
    net.nft(host, "table ip filter { chain forward { type filter hook forward priority filter; policy drop; }; }")
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", ns=c1)
        net.nft(host, "delete table ip filter")
        net.sysctl(host, "net.ipv4.ip_forward", 0)
        assert not net.ping("192.168.3.102", ns=c1)
    assert (seen.path(Ether(dst=br0.mac) / IP() / echo), seen.count(echo)) == ([eth1, p1, br0], 2)
    assert all(net.ping(own, ns=c1) for own in ("192.168.9.1", "192.168.3.101"))


@confirms("docker-same-host-containers")
@refutes("netns-needs-bridge-for-external")
def test_what_the_bridge_is_for(net: Network) -> None:
    """For containers among themselves: nothing is changed or noted. One alone gets out without it."""
    with net.capture() as seen:
        assert net.ping("192.168.9.3", ns=c1).ttl == 64
    assert (seen.path(echo), seen.rewrites(echo), net.conntrack(host)) == ([eth1, p1, p2, eth2], {}, [])
    assert net.ping("192.168.9.1", ns=c2)
    net.detach(p1)
    net.move_address("192.168.9.1/24", br0, p1)
    assert net.ping("192.168.3.102", ns=c1)

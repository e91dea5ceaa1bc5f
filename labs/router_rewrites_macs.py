"""A router rewrites the MACs and keeps the addresses.

    a                        rt                                         d
    +------------------+     +--------------------------------+     +------------------+
    |            eth0 ========= rt_a                     rt_d ========= eth0           |
    |  192.168.1.2/24  |     |  192.168.1.1/24  192.168.2.1/24 |     |  192.168.2.2/24  |
    +------------------+     +--------------------------------+     +------------------+

a has no neighbour 192.168.2.2, so it asks for its gateway and addresses the frame to that one's MAC. The router takes
the frame off, counts the TTL down, asks on the other cable who has 192.168.2.2, and puts a new frame around the same
packet. No frame crosses a router, so no ARP does either; and what is for any address of its own it keeps.

See RFC 1812 section 5.2, RFC 791 on "Time to Live", ip_forward() in net/ipv4/ip_forward.c, ip-route(8).
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms

topology = Topology()
a, rt, d = topology.namespace("a"), topology.namespace("rt"), topology.namespace("d")
eth_a, rt_a = a.veth("eth0", "rt_a", netns=rt)
rt_d, eth_d = rt.veth("rt_d", "eth0", netns=d)
eth_a.address("192.168.1.2/24")
rt_a.address("192.168.1.1/24")
rt_d.address("192.168.2.1/24")
eth_d.address("192.168.2.2/24")
a.route("default", via="192.168.1.1")
d.route("default", via="192.168.2.1")
rt.sysctl("net.ipv4.ip_forward", 1)  # A host does not forward unless it is told to.
# The three ways of a router to say no.
for dst, kind in ("10.1.0.0/16", "blackhole"), ("10.2.0.0/16", "unreachable"), ("10.3.0.0/16", "prohibit"):
    rt.route(dst, type=kind)

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("router-forward-steps", "router-rewrites-mac-keeps-ip", "router-decrements-ttl", "router-if-own-ip-mac")
@confirms("pc-has-arp-and-route-table", "router-table-connected-networks")
def test_ping_across_the_router(net: Network) -> None:
    """A question on each side, and in between a new frame around the packet, its TTL one lower; so the way back."""
    gateway, far = ARP(op="who-has", pdst="192.168.1.1"), ARP(op="who-has", psrc="192.168.2.1", pdst="192.168.2.2")
    with net.capture() as seen:
        assert net.ping("192.168.2.2", ns=a).ttl == 63
    assert (seen.path(gateway), seen.path(far)) == ([eth_a, rt_a], [rt_d, eth_d])
    assert seen.path(ARP(op="is-at", psrc="192.168.1.1", hwsrc=rt_a.mac)) == [rt_a, eth_a]
    assert seen.path(IP(src="192.168.1.2", dst="192.168.2.2") / echo) == [eth_a, rt_a, rt_d, eth_d]
    steps = [(gateway, eth_a), (echo, eth_a), (far, rt_d), (echo, rt_d)]
    assert sorted(steps, key=lambda step: seen.frames(step[0], on=step[1])[0].number) == steps
    there = {"eth.src": (eth_a.mac, rt_d.mac), "eth.dst": (rt_a.mac, eth_d.mac), "ip.ttl": (64, 63)}
    assert seen.rewrites(echo) == {(rt_a, rt_d): there}
    back = {"eth.src": (eth_d.mac, rt_a.mac), "eth.dst": (rt_d.mac, eth_a.mac), "ip.ttl": (64, 63)}
    assert seen.rewrites(echo_reply) == {(rt_d, rt_a): back}
    assert [[entry.mac for entry in net.neighbours(ns)] for ns in (rt, a)] == [[eth_a.mac, eth_d.mac], [rt_a.mac]]
    connected = {(route.dst, route.dev) for route in net.routes(rt) if route.scope == "link"}
    assert connected == {("192.168.1.0/24", "rt_a"), ("192.168.2.0/24", "rt_d")}


@confirms("router-off-drops", "local-dst-delivered-to-transport")
def test_forwarding_off(net: Network) -> None:
    """What is for others is dropped without a word; rt_d's address is answered, with nothing seen on rt_d."""
    net.sysctl(rt, "net.ipv4.ip_forward", 0)
    with net.capture() as seen:
        assert not net.ping("192.168.2.2", ns=a)
        assert net.ping("192.168.2.1", ns=a).ttl == 64
    assert seen.where(ICMP()) == {eth_a, rt_a}
    assert seen.path(IP(src="192.168.2.1") / echo_reply) == [rt_a, eth_a]


@confirms("arp-not-forwarded-by-router", "same-netid-direct-arp")
def test_whom_one_asks_for(net: Network) -> None:
    """A neighbour itself, for a stranger the gateway; a question about the stranger ends at the router, unanswered."""
    with net.capture() as seen:
        assert not net.ping("192.168.1.9", ns=a)
        assert net.ping("192.168.2.2", ns=a)
        net.send(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op="who-has", pdst="192.168.2.2"), dev=eth_a)
    for asked in ("192.168.1.9", "192.168.1.1", "192.168.2.2"):
        assert seen.path(ARP(op="who-has", psrc="192.168.1.2", pdst=asked)) == [eth_a, rt_a]
    assert seen.count(ARP(op="is-at"), on=eth_a) == 1


@confirms("no-gateway-no-cross-subnet", "longest-prefix-wins", "default-route-fallback")
def test_routes_of_the_sender(net: Network) -> None:
    """Without one that fits there is no packet; the narrower of two is taken, the default one for all the rest."""
    net.del_route(a, "default")
    with net.capture() as seen:
        assert net.ping("192.168.2.2", ns=a).error == "Network is unreachable"
    assert seen.where(IP()) == seen.where(ARP()) == set()
    net.add_route(a, "192.168.2.0/24", via="192.168.1.1")
    net.add_route(a, "default", via="192.168.1.254")
    for dst, gateway in ("192.168.2.2", "192.168.1.1"), ("203.0.113.1", "192.168.1.254"):
        with net.capture() as seen:
            assert net.ping(dst, ns=a).ok == (dst == "192.168.2.2")
        assert seen.count(ARP(op="who-has"), on=eth_a) == seen.count(ARP(op="who-has", pdst=gateway), on=eth_a) == 1


@confirms("route-types-forward-icmp")
def test_packets_that_a_router_ends(net: Network) -> None:
    """Where the TTL runs out the sender is told. Of the routes blackhole is silent, and two say why not."""
    with net.capture() as seen:
        expired = net.ping("192.168.2.2", ns=a, ttl=1)
        assert [net.ping(f"10.{block}.0.1", ns=a).icmp for block in (1, 2, 3)] == [None, (3, 1), (3, 13)]
    assert (expired.icmp, expired.source, seen.where(echo)) == ((11, 0), "192.168.1.1", {eth_a, rt_a})


def test_switch_in_its_place(net: Network) -> None:
    """The question now reaches d, for frames cross a switch, but no one there is the gateway."""
    net.run(rt, ["ip", "link", "add", "br0", "up", "type", "bridge"])
    br0 = net.interface(rt, "br0")
    for port, address in (rt_a, "192.168.1.1/24"), (rt_d, "192.168.2.1/24"):
        net.del_address(port, address)
        net.attach(port, br0)
    with net.capture() as seen:
        assert not net.ping("192.168.2.2", ns=a)
    assert (seen.where(ARP()), seen.where(echo)) == ({eth_a, rt_a, rt_d, eth_d, br0}, set())

"""A subnet is a route.

    a                     switch                        rt                              d
    +---------------+     +----------------------+     +--------------------------+     +---------------+
    |  eth0 ============== pa ---+               |     |                          |     |               |
    | 192.168.1.100 |     |      |-- br0 --- pr ====== lan  192.168.1.1           |     |               |
    +---------------+     |      |               |     |      192.168.2.1  wan ======= eth0             |
    |  eth0 ============== pb ---+               |     +--------------------------+     |  192.168.2.2  |
    |  192.168.3.2  |     +----------------------+                                      +---------------+
    +---------------+
    b

With the address 192.168.1.100/24 comes a route: to all addresses whose first 24 bits are these, straight out of eth0,
by asking for the address itself. That is all there is to a subnet. The switch knows nothing of it, and a route can say
otherwise: that a gateway leads there, or that b's subnet, too, is on the cable.

See fib_add_ifaddr() in net/ipv4/fib_frontend.c, fib_check_nh_v4_gw() in net/ipv4/fib_semantics.c, "onlink" in
ip-route(8), route(8), RFC 1122 section 3.3.1.
"""

from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP

from pktlab import Network, PktlabError, Topology, confirms, depends, refutes

topology = Topology()
a, b, d, rt, switch = (topology.namespace(name) for name in ("a", "b", "d", "rt", "switch"))
eth_a, pa = a.veth("eth0", "pa", netns=switch)
eth_b, pb = b.veth("eth0", "pb", netns=switch)
lan, pr = rt.veth("lan", "pr", netns=switch)
wan, eth_d = rt.veth("wan", "eth0", netns=d)
br0 = switch.bridge("br0", ports=[pa, pb, pr])
for device, cidr in (eth_a, "192.168.1.100/24"), (eth_b, "192.168.3.2/24"), (lan, "192.168.1.1/24"):
    device.address(cidr)
wan.address("192.168.2.1/24")
eth_d.address("192.168.2.2/24")
a.route("default", via="192.168.1.1")
d.route("default", via="192.168.2.1")
rt.sysctl("net.ipv4.ip_forward", 1)  # rt is a router

question, echo = ARP(op="who-has", hwsrc=eth_a.mac), ICMP(type="echo-request")


def asked(net: Network, dst: str) -> list[str]:
    """Ping from a with an empty cache, and return whom a asked for."""
    net.flush_neighbours(a)
    with net.capture() as seen:
        net.ping(dst, ns=a)
    return [str(IPv4Address(frame.data[38:42])) for frame in seen.frames(question, on=eth_a)]


@confirms("subnet-and-operation")
def test_address_and_mask(net: Network) -> None:
    """Address AND mask is the route that comes and goes with an address; with no bit left for others there is none."""
    for cidr in "192.168.1.100/24", "172.20.5.5/12", "10.9.9.9/32":
        address, bits = cidr.split("/")
        network = IPv4Address(int(IPv4Address(address)) & (0xFFFFFFFF << 32 - int(bits)))
        if address != eth_a.ip:
            net.add_address(eth_a, cidr)
        connected = [route.dst for route in net.routes(eth_a) if route.scope == "link"]
        assert connected == ([f"{network}/{bits}"] if bits != "32" else [])
        if connected:
            assert asked(net, str(network + 9)) == [str(network + 9)]
        net.del_address(eth_a, cidr)
    assert net.routes(a) == []


@refutes("ip-binary-example")
def test_thirty_two_bits(net: Network) -> None:
    """Four bytes on the wire: 192.168.0.1 with the dots; the number without them is a digit short, and another."""
    dotted, undotted = "11000000.10101000.00000000.00000001", "1000000101010000000000000000001"
    with net.capture() as seen, net.socket(a, "udp") as client:
        for digits in dotted.replace(".", ""), undotted:
            client.sendto(b"", (str(int(digits, 2)), 9))
    one, two = (frame.data[30:34] for frame in seen.frames(UDP(dport=9), on=eth_a))
    assert (str(IPv4Address(one)), str(IPv4Address(two))) == ("192.168.0.1", "64.168.0.1")
    assert ".".join(f"{byte:08b}" for byte in one) == dotted


@confirms("gateway-0000-means-onlink-arp", "same-netid-direct-arp", "default-route-fallback")
def test_the_column_gateway(net: Network) -> None:
    """Where `route -n` shows 0.0.0.0 a asks for the destination, neighbour or not; elsewhere for the gateway."""
    rows = [row.split() for row in net.run(a, ["route", "-n"]).stdout.splitlines()[2:]]
    assert [(row[0], row[1]) for row in rows] == [("0.0.0.0", "192.168.1.1"), ("192.168.1.0", "0.0.0.0")]
    for dst in "192.168.1.1", "192.168.1.9", "192.168.2.2", "203.0.113.1":
        assert asked(net, dst) == [dst if dst.startswith("192.168.1.") else "192.168.1.1"]


@depends("l2-same-segment-l3-across", on="the routes: where they say that the other subnet is on link, it is reached")
def test_two_subnets_on_one_switch(net: Network) -> None:
    """a and b have no way to each other, and send nothing; with a route on each they are neighbours, without rt."""
    net.del_route(a, "default")
    with net.capture() as seen:
        assert net.ping("192.168.3.2", ns=a).error == "Network is unreachable"
    assert seen.where(ARP()) == seen.where(IP()) == set()
    net.add_route(a, "192.168.3.0/24", dev=eth_a)
    assert not net.ping("192.168.3.2", ns=a)  # b is asked, but has no way back
    net.add_route(b, "192.168.1.0/24", dev=eth_b)
    with net.capture() as seen:
        assert net.ping("192.168.3.2", ns=a).ttl == 64
    assert seen.path(echo) == [eth_a, pa, pb, eth_b]


@depends("route-table-without-connected", on="how it was made: with the gateway on link at that time, or as onlink")
def test_no_route_to_the_own_subnet(net: Network) -> None:
    """A route by the gateway outlives the one to it, and still works; another one can then be made as onlink only."""
    net.del_route(a, "192.168.1.0/24", dev=eth_a)
    assert net.ping("192.168.2.2", ns=a).ttl == 63
    with pytest.raises(PktlabError, match="Nexthop has invalid gateway"):
        net.add_route(a, "192.168.2.0/24", via="192.168.1.1", dev=eth_a)
    net.add_route(a, "192.168.2.0/24", via="192.168.1.1", dev=eth_a, onlink=True)
    assert {route.via for route in net.routes(a)} == {"192.168.1.1"}
    assert net.ping("192.168.2.2", ns=a).ttl == 63
    with net.capture() as seen:
        assert asked(net, "192.168.1.9") == ["192.168.1.1", "192.168.1.9"]
    assert seen.path(ICMP(type="redirect", gw="192.168.1.9")) == [lan, pr, pa, eth_a]

"""A range of containers ends at its host, until the hosts know each other's.

    a 172.17.0.2        hostA                              hostB        b 172.17.0.3
    +---------+    +-------------------+        +-------------------+    +---------+
    |   eth0 ====== pa - docker0       |        |       docker0 - pb ====== eth0   |
    +---------+    |     172.17.0.1/16 |        | 172.17.0.1/16     |    +---------+
                   |              eth0 ========== eth0              |
                   |      192.168.0.1  |        |  192.168.0.2      |    +---------+
                   |                   |        |       br1 - pc ========= eth0    |
                   +-------------------+        | 172.18.0.1/16     |    +---------+
                                                +-------------------+    c 172.18.0.2

To a the address of b is one of its own LAN, so it asks for it there and nobody hears the question. The range of c is
another, but hostA knows no way to it. A route by the other host's address is such a way, if no other network on the
way has the same range: else the answer goes astray.

Rebuilt: Docker's bridges and their addresses, by hand; no Docker runs. See ip-route(8), ip_route_input_slow() in
net/ipv4/route.c, eth_hw_addr_random() in include/linux/etherdevice.h.
"""

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
host_a, host_b, a, b, c = (topology.namespace(name) for name in ("hostA", "hostB", "a", "b", "c"))
pa, eth_a = host_a.veth("pa", "eth0", netns=a)
pb, eth_b = host_b.veth("pb", "eth0", netns=b)
pc, eth_c = host_b.veth("pc", "eth0", netns=c)
nic_a, nic_b = host_a.veth("eth0", "eth0", netns=host_b)
nic_a.address("192.168.0.1/24")
nic_b.address("192.168.0.2/24")
docker_a = host_a.bridge("docker0", ports=[pa]).address("172.17.0.1/16")
docker_b = host_b.bridge("docker0", ports=[pb]).address("172.17.0.1/16")
br1 = host_b.bridge("br1", ports=[pc]).address("172.18.0.1/16")
eth_a.address("172.17.0.2/16")
eth_b.address("172.17.0.3/16")
eth_c.address("172.18.0.2/16")
a.route("default", via="172.17.0.1")
c.route("default", via="172.18.0.1")
for host in (host_a, host_b):
    host.sysctl("net.ipv4.ip_forward", 1)  # A host with containers is their router.

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
way = [eth_a, pa, docker_a, nic_a, nic_b, br1, pc, eth_c]


@confirms("docker-two-hosts-same-range")
def test_the_same_range(net: Network) -> None:
    """Nothing forbids it, and both containers reach their own hosts; the question for the other stays on the bridge."""
    with net.capture() as seen:
        assert net.ping("172.17.0.1", ns=a)
        assert net.ping("172.17.0.1", ns=b)
        assert net.ping("192.168.0.1", ns=host_b)
        assert not net.ping("172.17.0.3", ns=a)
    assert seen.where(ARP(op="who-has", pdst="172.17.0.3")) == {eth_a, pa, docker_a}
    assert seen.where(IP(src="172.17.0.2", dst="172.17.0.3")) == set()


@confirms("docker-different-hosts-no-route")
def test_another_range(net: Network) -> None:
    """hostA says that it knows no way to c; c's packets fare no better. Nothing is seen between the hosts."""
    with net.capture() as seen:
        told = net.ping("172.18.0.2", ns=a)
        assert (told.source, told.icmp) == ("172.17.0.1", (3, 0))  # network unreachable
        assert net.ping("172.18.0.1", ns=c)
    assert seen.path(IP(dst="172.18.0.2") / echo) == [eth_a, pa, docker_a]
    assert nic_a not in seen.where(IP())


def test_a_route_but_the_range_twice(net: Network) -> None:
    """a's packet arrives, but on hostB the way back to 172.17.0.2 leads to its own docker0."""
    net.add_route(host_a, "172.18.0.0/16", via="192.168.0.2")
    with net.capture() as seen:
        assert not net.ping("172.18.0.2", ns=a)
    assert seen.path(IP(dst="172.18.0.2") / echo) == way
    assert seen.path(echo_reply) == [eth_c, pc, br1]
    assert seen.where(ARP(op="who-has", pdst="172.17.0.2", psrc="172.17.0.1")) == {docker_b, pb, eth_b}


@confirms("podip-via-nodeip-route")
def test_routes_and_ranges_of_their_own(net: Network) -> None:
    """With the range on one host only, and a route on each, they talk: two hops, and both addresses as they were."""
    net.del_address(docker_b, "172.17.0.1/16")
    net.add_route(host_a, "172.18.0.0/16", via="192.168.0.2")
    net.add_route(host_b, "172.17.0.0/16", via="192.168.0.1")
    with net.capture() as seen:
        assert net.ping("172.18.0.2", ns=a).ttl == 62
    assert seen.path(IP(src="172.17.0.2", dst="172.18.0.2") / echo) == way
    assert seen.path(IP(src="172.18.0.2", dst="172.17.0.2") / echo_reply) == way[::-1]
    assert {field for change in seen.rewrites(echo).values() for field in change} == {"eth.src", "eth.dst", "ip.ttl"}
    net.del_route(host_b, "172.17.0.0/16")
    assert not net.ping("172.18.0.2", ns=a)


@refutes("docker-mac-from-ip")
def test_the_same_address_with_another_mac(net: Network) -> None:
    """Connected anew under the same address, a has another MAC each time: the kernel draws it by lot."""
    net.delete(eth_a)
    macs = []
    for _ in range(2):
        assert net.run(host_a, ["ip", "link", "add", "anew", "type", "veth", "peer", "name", "eth0", "netns", "a"])
        outside, inside = net.interface(host_a, "anew"), net.interface(a, "eth0")
        net.attach(outside, docker_a)
        for end in (outside, inside):
            net.up(end)
        net.add_address(inside, "172.17.0.2/16")
        assert net.ping("172.17.0.1", ns=a)
        macs += [entry.mac for entry in net.neighbours(docker_a)]
        net.delete(inside)
    assert len(set(macs)) == len(macs) == 2
    assert not any(mac.endswith(":ac:11:00:02") for mac in macs)

"""VXLAN wraps the frame: pods on two machines talk inside the UDP packets of these machines.

     a0 .0.2      b0 .0.3                                                            c0 .1.2
    +- || -------- || ----------------- node1 -+    +- node2 ---------------------- || -+
    |  va - cni1 - vb                          |    |                        cni2 - vc  |    pods: 10.244.0.0/16
    |         | route                          |    |                     route |       |
    |        vx1 -------- wrap ------- nic1 .1 ====== .2 nic2 --- unwrap ----- vx2      |    nodes: 192.168.0.0/24
    +------------------------------------------+    +-----------------------------------+

As in flannel a route leads to the other node's pods through vx1, whose neighbour entry names vx2's MAC, and whose FDB
names the node where that MAC lives. vx1 puts Ethernet, IP, UDP and VXLAN headers around the whole frame.

Real: the kernel's VXLAN. Rebuilt: by hand, what flanneld would enter. See RFC 7348, "VXLAN" in ip-link(8),
vxlan_xmit() and vxlan_rcv() in drivers/net/vxlan/vxlan_core.c.
"""

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
a, b, c, node1, node2 = (topology.namespace(name) for name in ("a", "b", "c", "node1", "node2"))
a0, va = a.veth("a0", "va", netns=node1)
b0, vb = b.veth("b0", "vb", netns=node1)
c0, vc = c.veth("c0", "vc", netns=node2)
nic1, nic2 = node1.veth("nic1", "nic2", netns=node2)
nic1.address("192.168.0.1/24")
nic2.address("192.168.0.2/24")
cni1 = node1.bridge("cni1", ports=[va, vb]).address("10.244.0.1/24")
cni2 = node2.bridge("cni2", ports=[vc]).address("10.244.1.1/24")
vx1 = node1.vxlan("vx1", id=1, dstport=8472, local=nic1.ip, dev=nic1, learning=False)
vx2 = node2.vxlan("vx2", id=1, dstport=8472, local=nic2.ip, dev=nic2, learning=False)
for device, cidr in ((a0, "10.244.0.2/24"), (b0, "10.244.0.3/24"), (c0, "10.244.1.2/24")):
    device.address(cidr)
a.route("default", via=cni1.ip)
c.route("default", via=cni2.ip)
node1.route("10.244.1.0/24", via="10.244.1.0", dev=vx1, onlink=True)
node2.route("10.244.0.0/24", via="10.244.0.0", dev=vx2, onlink=True)
vx1.neighbour("10.244.1.0", vx2.mac).fdb(vx2.mac, dst=nic2.ip)
vx2.neighbour("10.244.0.0", vx1.mac).fdb(vx1.mac, dst=nic1.ip)
node1.sysctl("net.ipv4.ip_forward", 1)  # the nodes are routers between their pods and the tunnel
node2.sysctl("net.ipv4.ip_forward", 1)

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
outer = Ether(src=nic1.mac, dst=nic2.mac) / IP(src=nic1.ip, dst=nic2.ip)
inner = Ether(src=vx1.mac, dst=vx2.mac) / IP(src=a0.ip, dst=c0.ip, ttl=63) / echo
wrapped = outer / UDP(dport=8472) / VXLAN(vni=1, flags="Instance") / inner  # else VXLAN-GPE's: the kernel drops it


@confirms("flannel-tunnel-uses-node-network", "flannel-udp-encap", "flannel-inner-outer-macs", "flannel-overhead-50")
@confirms("flannel-node-subnet-route", "flannel-no-nat-between-pods")
def test_the_kernel_wraps(net: Network) -> None:
    """The packet is itself up to vx1, 50 bytes longer from NIC to NIC, and itself again from vx2 on."""
    with net.capture() as seen:
        assert net.ping(c0.ip, dev=a0).ttl == 62
    assert seen.path(IP(src=a0.ip, dst=c0.ip) / echo) == [a0, va, cni1, vx1, nic1, nic2, vx2, cni2, vc, c0]
    assert seen.path(wrapped) == [nic1, nic2]
    assert seen.rewrites(echo) == {
        (cni1, vx1): {"eth.src": (a0.mac, vx1.mac), "eth.dst": (cni1.mac, vx2.mac), "ip.ttl": (64, 63)},
        (vx1, nic1): {"vxlan.vni": (None, 1)},
        (nic2, vx2): {"vxlan.vni": (1, None)},
        (vx2, cni2): {"eth.src": (vx1.mac, cni2.mac), "eth.dst": (vx2.mac, c0.mac), "ip.ttl": (63, 62)},
    }
    assert [len(seen.frames(echo, on=device)[0].data) for device in (vx1, nic1)] == [98, 148]


def test_wrapped_by_hand(net: Network) -> None:
    """node2 takes the right envelope for vx1's work, whoever made it, and c answers; a wrong VNI ends at nic2."""
    for vni, onwards in ((2, []), (1, [vx2, cni2, vc, c0])):
        with net.capture() as seen:
            net.send(outer / UDP(sport=49152, dport=8472) / VXLAN(vni=vni, flags="Instance") / inner, dev=nic1)
        assert seen.path(echo) == [nic1, nic2, *onwards]
    assert seen.path(echo_reply) == [c0, vc, cni2, vx2, nic2, nic1, vx1, cni1, va, a0]


@confirms("flannel-mtu-1450")
def test_room_for_the_headers(net: Network) -> None:
    """What must not be fragmented and is longer than 1450 bytes is refused by node1 before it is wrapped."""
    assert net.links(vx1)[0].mtu == 1450
    assert net.ping(c0.ip, dev=a0, size=1422, df=True)
    assert net.ping(c0.ip, dev=a0, size=1423, df=True).icmp == (3, 4)  # fragmentation needed


@confirms("flannel-static-no-arp")
def test_nobody_asks(net: Network) -> None:
    """With both static entries there is nothing to ask for; without the one or the other nothing leaves the node."""
    with net.capture() as seen:
        assert net.ping(c0.ip, dev=a0)
    assert (seen.where(ARP(pdst=c0.ip)), seen.where(ARP()) & {vx1, vx2}) == ({cni2, vc, c0}, set())
    net.add_neighbour(vx1, "10.244.1.0", "02:00:00:00:00:99")  # a MAC for which vx1's FDB has no entry
    with net.capture() as seen:
        assert not net.ping(c0.ip, dev=a0)
        net.del_neighbour(vx1, "10.244.1.0")
        assert not net.ping(c0.ip, dev=a0)
    assert seen.paths(echo) == [[a0, va, cni1, vx1], [a0, va, cni1]]


@refutes("bridge-cannot-span-machines")
def test_the_tunnel_is_a_port(net: Network) -> None:
    """As ports of the bridges the tunnel's ends make one L2 network of both nodes: same MACs, same TTL."""
    for vx, bridge, nic in ((vx1, cni1, nic2), (vx2, cni2, nic1)):
        net.attach(vx, bridge)
        net.add_fdb(vx, "00:00:00:00:00:00", dst=nic.ip)  # where broadcasts and unknown MACs go
    net.add_address(c0, "10.244.0.9/24")
    with net.capture() as seen:
        assert net.ping("10.244.0.9", dev=a0).ttl == 64
    assert seen.path(Ether(src=a0.mac, dst=c0.mac) / IP() / echo) == [a0, va, vx1, nic1, nic2, vx2, vc, c0]


@confirms("flannel-same-node-no-tunnel")
def test_nobody_unwraps(net: Network) -> None:
    """Without vx2 the envelope is a UDP packet to a port where nobody listens; two pods of one node do not care."""
    net.down(vx2)
    with net.capture() as seen:
        assert not net.ping(c0.ip, dev=a0)
        assert net.ping(b0.ip, dev=a0)
    assert seen.paths(echo) == [[a0, va, cni1, vx1, nic1, nic2], [a0, va, vb, b0]]
    assert seen.path(ICMP(type="dest-unreach", code="port-unreachable")) == [nic2, nic1]

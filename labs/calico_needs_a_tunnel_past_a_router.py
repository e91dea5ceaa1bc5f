"""Calico needs a tunnel past a router that knows no pods.

     a 10.244.1.2      n1 192.168.0.1      router       n2 192.168.1.1      c 10.244.2.2
    +-----------+   +----------------+   +--------+   +----------------+   +-----------+
    |    eth0 ====== cali      eth0 ====== 0    1 ====== eth0     cali ====== eth0     |
    +-----------+   |     vxlan.calico   |        |   vxlan.calico     |   +-----------+
                    +----------------+   +--------+   +----------------+

Where both nodes are on one LAN, n1 hands a packet for c to n2, by n2's MAC. Past a router it cannot: the MAC on the
frame has to be the router's, who looks at the packet's own destination, and that is a pod. So either the packet travels
in one that is for n2 (VXLAN, or IP in IP), or the router knows the pods as well. BGP has nothing against routers: it
tells n1 of n2's block in any case, and tells the router too, if that is let take part.

Real: BIRD 2. Rebuilt: felix's entries (pktlab/cluster/calico.py), BIRD's configuration (labs/calico_bird.py), and for
the kernel's ipip module a program that does as ipip_tunnel_xmit() and ipip_rcv() in net/ipv4/ipip.c. See RFC 2003, RFC
7348, fib_check_nh_v4_gw() in net/ipv4/fib_semantics.c, vxlanMode and ipipMode CrossSubnet in Calico's IPPool.
"""

import sys

import pytest
from calico_bird import Speaker, blocks, start, wait
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP
from scapy.layers.vxlan import VXLAN

from pktlab import Cluster, Network, PktlabError, Topology, confirms, refutes

topology = Topology()
cluster = Cluster(topology, "calico-cross-subnet")
n1, n2 = cluster.node("n1"), cluster.node("n2", lan=1)
a, c = n1.pod("a"), n2.pod("c")
router = topology.namespaces["router"]
rt0, rt1 = router.devices["eth0"], router.devices["eth1"]
rt0_port, rt1_port = (topology.namespaces[f"lan{number}"].devices["router"] for number in (0, 1))
tunnels = {node: node.ns.veth("tunl0", "wire0", mtu=1480) for node in (n1, n2)}  # IP in IP, see below

echo = ICMP(type="echo-request")
WIRE = [n1.eth0, n1.port, rt0_port, rt0, rt1, rt1_port, n2.port, n2.eth0]
AT_ROUTER = [a.eth0, a.veth, *WIRE[:4]]
VIA_1, VIA_2 = "192.168.0.254", "192.168.1.254"  # the router on either LAN


def without_tunnel(net: Network) -> None:
    """Delete both VXLAN devices, and with them the routes through them."""
    for node in (n1, n2):
        net.delete(node.tunnel)


@confirms("calico-diff-subnet-vxlan-works")
def test_vxlan(net: Network) -> None:
    """To the router it is UDP from node to node; each node is one router more for the packet inside."""
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).ttl == 62
    assert seen.path(IP(src=n1.ip, dst=n2.ip) / UDP(dport=4789) / VXLAN(vni=4096)) == WIRE
    assert seen.path(IP(src=a.ip) / echo) == [a.eth0, a.veth, n1.tunnel, *WIRE, n2.tunnel, c.veth, c.eth0]


@confirms("calico-diff-subnet-route-fails")
def test_plain_routes(net: Network) -> None:
    """Via n2 the kernel refuses; said to be on link, n2 is asked for in vain; via the router the packet ends there."""
    without_tunnel(net)
    block = str(n2.subnet)
    with pytest.raises(PktlabError, match="invalid gateway"):
        net.add_route(n1.ns, block, via=n2.ip)
    net.add_route(n1.ns, block, via=n2.ip, dev=n1.eth0, onlink=True)
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).icmp == (3, 1)
    assert (seen.path(echo), rt0 in seen.where(ARP(op="who-has", pdst=n2.ip))) == ([a.eth0, a.veth], True)
    net.del_route(n1.ns, block, via=n2.ip, dev=n1.eth0)
    net.add_route(n1.ns, block, via=VIA_1)
    with net.capture() as seen:
        assert not net.ping(c.ip, ns=a.ns)
    assert seen.path(echo) == AT_ROUTER


@refutes("calico-diff-subnet-router-knows")
@pytest.mark.parametrize("takes_part", [False, True], ids=["nodes_only", "router_too"])
def test_bgp(net: Network, takes_part: bool) -> None:
    """The nodes' BIRDs agree past the router, and write: via the router. If it has a BIRD too, nothing is missing."""
    without_tunnel(net)
    s1, s2, tor = Speaker(n1.ns, n1.eth0, str(n1.subnet)), Speaker(n2.ns, n2.eth0, str(n2.subnet)), Speaker(router, rt0)
    birds = start(net, [(tor, s1), (tor, s2)] if takes_part else [(s1, s2)], reflector=tor)
    wait(net, birds, lambda: blocks(net, s1).get(s2.block) == VIA_1 and blocks(net, s2).get(s1.block) == VIA_2)
    assert blocks(net, tor) == ({s1.block: s1.ip, s2.block: s2.ip} if takes_part else {})
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns, timeout=0.2).ttl == (61 if takes_part else 0)
    assert seen.path(IP(src=a.ip) / echo) == ([a.eth0, a.veth, *WIRE, c.veth, c.eth0] if takes_part else AT_ROUTER)


NOBODY = "02:00:00:00:00:04"  # A MAC, so that n1 itself does not take in what comes out of wire0.
# What is routed to tunl0 comes out of wire0 and goes to the other node as the payload of IP; and back.
IPIP = """import select, socket, sys
local, peer, mac = sys.argv[1:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800)); wire.bind(("wire0", 0x800))
ip = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP); ip.bind((local, 0))
print("ready", flush=True)
while True:
    for each in select.select([wire, ip], [], [])[0]:
        data, sender = each.recvfrom(65535)
        if each is ip: wire.send(bytes.fromhex(mac) + bytes(6) + bytes([8, 0]) + data[20:])
        elif sender[2] != socket.PACKET_OUTGOING: ip.sendto(data[14:], (peer, 0))"""


@confirms("calico-diff-subnet-ipip")
def test_ip_in_ip(net: Network) -> None:
    """The packet is the payload of another, protocol 4, from node to node: 20 bytes more, and the router is content."""
    without_tunnel(net)
    for node, other in ((n1, n2), (n2, n1)):
        tunl0, _ = tunnels[node]
        net.add_neighbour(tunl0, other.ip, NOBODY)
        net.add_route(node.ns, str(other.subnet), via=other.ip, dev=tunl0, onlink=True)
        program = [sys.executable, "-c", IPIP, node.ip, other.ip, tunl0.mac.replace(":", "")]
        net.start(node.ns, program, ready="ready")
    with net.capture() as seen:
        assert net.ping(c.ip, ns=a.ns).ttl == 62
    assert seen.path(IP(src=n1.ip, dst=n2.ip, proto=4)) == WIRE
    inside = [a.eth0, a.veth, *tunnels[n1], *reversed(tunnels[n2]), c.veth, c.eth0]
    assert seen.paths(IP(src=a.ip) / echo) == [inside, WIRE]
    assert [len(seen.frames(IP(src=a.ip) / echo, on=dev)[0].data) for dev in (a.eth0, n1.eth0)] == [98, 118]

"""flannel's UDP backend crosses into a program and back.

     a .1.2                  n1                                     n2                  c .2.2
    +------+   +--------------------------+          +--------------------------+   +------+
    | eth0 === | veth - cni0 -> flannel0  |          |  flannel0 -> cni0 - veth | === eth0 |
    +------+   |                  |       |          |    |                     |   +------+
               |  kernel          | read  |          |    | write               |
               | -----------------|------ |          | ---|-------------------- |
               |  program         v       |          |    ^           program   |
               |              flanneld    |          |  flanneld                |
               |                  | sendto|          |    | recvfrom            |
               |                 eth0 ==== switch ==== eth0                     |
               +--------------------------+          +--------------------------+

flannel0 is a tun: what is routed to it comes out of a file that a program reads, as a bare IP packet. The program
looks up which node has the destination's subnet and sends the packet on as the payload of a UDP packet; over there it
is written to a tun and is back in a kernel. VXLAN does the same within the kernel.

Rebuilt: flanneld's devices and routes, and its program as run_proxy() in pkg/backend/udp/proxy_amd64.c of
flannel-io/flannel is. See Documentation/networking/tuntap.rst.
"""

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN

from pktlab import Cluster, Network, Topology, confirms, depends

topology = Topology()
cluster = Cluster(topology, "udp")
n1, n2 = cluster.node("n1"), cluster.node("n2")
n3 = cluster.node("n3", subnet="10.244.1.0/24")  # Nobody asked flannel: n1 has it already.
a, c, twin = n1.pod("a"), n2.pod("c"), n3.pod("twin", ip="10.244.1.9")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
datagram = IP(src=n1.ip, dst=n2.ip) / UDP(sport=8285, dport=8285)


@confirms("flannel-udp-mode-tun")
@depends("flannel-is-vxlan", on="flannel's backend: vxlan makes VXLAN, udp this, host-gw no tunnel at all")
def test_bare_packets_in_udp(net: Network) -> None:
    """From tun to tun the packet is the payload of UDP 8285, whole, without any Ethernet header; two programs and two
    routers each took one off its TTL."""
    for node in (n1, n2):
        net.start(node.ns, node.program, ready="ready")
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0).ttl == 60
    inside = [a.eth0, a.veth, n1.bridge, n1.tunnel, n2.tunnel, n2.bridge, c.veth, c.eth0]
    assert (seen.path(echo), seen.path(echo_reply)) == (inside, inside[::-1])
    assert seen.path(datagram) == [n1.eth0, n1.port, n2.port, n2.eth0]
    assert (seen.count(VXLAN()), seen.where(ARP(pdst=c.ip))) == (0, {n2.bridge, c.veth, c.eth0})
    carried, sent = (seen.frames(pattern, on=dev)[0].data for pattern, dev in ((datagram, n1.eth0), (echo, n1.tunnel)))
    # Behind 14 + 20 + 8 bytes; all but the TTL and the checksum are as they were on flannel0.
    assert (carried[42:50], carried[54:]) == (sent[14:22], sent[26:])
    assert (sent[22], carried[50]) == (63, 62)


def test_crossings(net: Network) -> None:
    """Each way through a node is two system calls, and so four for a packet: with VXLAN there are none."""
    programs = [net.start(node.ns, node.program, ready="ready") for node in (n1, n2)]
    assert net.ping(c.ip, dev=a.eth0, count=5)
    for program, peer in zip(programs, (n2, n1), strict=True):
        lines = program.output.splitlines()[1:]
        assert lines.count(f"read tun, sendto udp {peer.ip}: 84") == 5
        assert lines.count(f"recvfrom udp {peer.ip}, write tun: 84") == 5


def test_without_the_program(net: Network) -> None:
    """The kernel has a route and nobody who reads: the packet ends before flannel0, and later where one ended."""
    assert net.links(n1.tunnel)[0].mtu == 1472
    with net.capture() as seen:
        assert not net.ping(c.ip, dev=a.eth0)
    assert seen.path(echo) == [a.eth0, a.veth, n1.bridge]
    programs = [net.start(node.ns, node.program, ready="ready") for node in (n1, n2)]
    assert net.ping(c.ip, dev=a.eth0)
    programs[1].stop()
    with net.capture() as seen:
        assert not net.ping(c.ip, dev=a.eth0, timeout=0.2)
    assert seen.path(echo) == [a.eth0, a.veth, n1.bridge, n1.tunnel]
    assert seen.path(datagram) == [n1.eth0, n1.port, n2.port, n2.eth0]


@confirms("flannel-unique-pod-ip")
def test_one_subnet_twice(net: Network) -> None:
    """To a the twin's address is one of its own LAN: it asks for it there, and no packet gets as far as the tunnel."""
    for node in (n1, n2, n3):
        net.start(node.ns, node.program, ready="ready")
    assert net.ping(n3.gateway, dev=twin.eth0)
    assert net.ping(n3.ip, ns=n1.ns)
    with net.capture() as seen:
        assert not net.ping(twin.ip, dev=a.eth0, timeout=0.2)
    assert seen.where(ARP(op="who-has", pdst=twin.ip)) == {a.eth0, a.veth, n1.bridge}
    assert seen.count(Ether() / IP(dst=twin.ip)) == 0

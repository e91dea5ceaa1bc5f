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

from pathlib import Path

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN

from pktlab import Cluster, Namespace, Network, Topology, confirms, depends

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


def calls(net: Network, ns: Namespace, program: int) -> list[int]:
    """How often the program has called read and write, and programs of the node sendto and recvfrom, and how often it
    has gone to sleep, as the kernel counts it: see proc_pid_io(5), proc_pid_status(5), Udp: in proc_pid_net(5)."""
    of = Path(f"/proc/{program}")
    net.wait(lambda: "State:\tS" in (of / "status").read_text(), timeout=10)  # It waits, and its last call is counted.
    own = dict(line.split(":") for file in ("io", "status") for line in (of / file).read_text().splitlines())
    udp = [line for line in net.run(ns, ["cat", "/proc/net/snmp"]).stdout.splitlines() if line.startswith("Udp: ")]
    own |= dict(zip(*(line.split() for line in udp), strict=True))
    return [int(own[n]) for n in ("syscr", "syscw", "OutDatagrams", "InDatagrams", "voluntary_ctxt_switches")]


def test_crossings(net: Network) -> None:
    """Each way through a node is two system calls, and so four for a packet: with VXLAN no program so much as wakes."""
    programs = {node.ns: net.start(node.ns, node.program, ready="ready").pid for node in (n1, n2)}

    def called() -> list[list[int]]:
        before = [calls(net, *each) for each in programs.items()]
        assert net.ping(c.ip, dev=a.eth0, count=5)
        after = [calls(net, *each) for each in programs.items()]
        return [[n - m for m, n in zip(*each, strict=True)] for each in zip(before, after, strict=True)]

    by_udp = called()
    assert [(each[:4], each[4] > 0) for each in by_udp] == [([5] * 4, True)] * 2
    for node, peer in (n1, n2), (n2, n1):
        vxlan = f"link add vx type vxlan id 1 dstport 8472 local {node.ip} remote {peer.ip}"
        ways = f"addr add {node.ip.replace('192.168', '10.99')}/24 dev vx", "link set vx up"
        for words in vxlan, *ways, f"route replace {peer.subnet} via {peer.ip.replace('192.168', '10.99')}":
            assert net.run(node.ns, ["ip", *words.split()])
    with net.capture() as seen:
        assert [each[4] for each in called()] == [0, 0]  # Both could, and neither has had a turn.
    assert seen.count(VXLAN() / Ether() / IP() / echo) == 5


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

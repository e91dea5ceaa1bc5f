"""flannel's MTU leaves room for the headers of its tunnel.

     a .1.2              n1                                       n2               c .2.2
    +------+    +------------------------+          +-------------------------+   +------+
    | eth0 ======= cni0 .. flannel.1     |          |     flannel.1 .. cni0 ======= eth0 |
    | 1450 |    |             1450       |          |        1450             |   | 1450 |
    +------+    |               eth0 ====== switch ==== eth0                  |   +------+
                |               1500     |          |   1500                  |
                +------------------------+          +-------------------------+
                  Ethernet 14 + IP 20 + UDP 8 + VXLAN 8 = 50 around each frame

A frame of a pod is wrapped whole, so on the nodes' LAN it is 50 bytes longer. flannel takes them off the MTU of
flannel.1, and of cni0 and the pods. 1450 bytes then just fit; of 1451 the pod itself makes two packets, or refuses what
must not be fragmented. Where a pod has not heard of it, its node does both. And where the nodes' NICs have less room
than flanneld found when it started, the wrapped packets are cut up, and put together where they are unwrapped.

Rebuilt: flannel's devices, see pktlab.Cluster; encapOverhead in pkg/backend/vxlan/vxlan_network.go of
flannel-io/flannel. See RFC 7348 4.3, RFC 1191, ip_forward() in net/ipv4/ip_forward.c, ip_do_fragment() in
net/ipv4/ip_output.c, vxlan_change_mtu() in drivers/net/vxlan/vxlan_core.c.
"""

import errno

from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.vxlan import VXLAN

from pktlab import Cluster, Device, Network, Seen, Topology, confirms

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
a, c = n1.pod("a"), n2.pod("c")

echo = ICMP(type="echo-request")
# In a ping of 1451 bytes there are 20 of IP, 8 of ICMP, and so many of data.
FITS, TOO_LONG = 1422, 1423


def set_mtu(net: Network, mtu: int, *devices: Device) -> None:
    """Give interfaces another MTU."""
    for device in devices:
        assert net.run(device.namespace, ["ip", "link", "set", device.name, "mtu", str(mtu)])


def lengths(seen: Seen, dev: Device, src: str) -> list[int]:
    """How long the frames from an address are that leave by an interface."""
    return [len(frame.data) for frame in seen.frames(IP(src=src), on=dev) if frame.direction == "out"]


@confirms("flannel-mtu-1450", "flannel-overhead-50")
def test_what_fits(net: Network) -> None:
    """1450 bytes and the Ethernet header are 1464 on flannel.1 and 1514, all that there may be, on eth0."""
    assert [net.links(dev)[0].mtu for dev in (a.eth0, a.veth, n1.bridge, n1.tunnel, n1.eth0)] == [1450] * 4 + [1500]
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0, size=FITS, df=True)
        refused = net.ping(c.ip, dev=a.eth0, size=TOO_LONG, df=True)
    assert (refused.ok, refused.errno, refused.icmp) == (False, errno.EMSGSIZE, None)
    assert [len(seen.frames(echo, on=dev)[0].data) for dev in (n1.tunnel, n1.eth0)] == [1464, 1514]
    wrapped = IP(src=n1.ip, dst=n2.ip) / UDP(dport=8472) / VXLAN(vni=1)
    assert seen.path(wrapped) == [n1.eth0, n1.port, n2.port, n2.eth0]


def test_one_byte_more(net: Network) -> None:
    """The pod makes two packets of it, 1444 bytes and 27; each is wrapped for itself, and c puts them together."""
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0, size=TOO_LONG)
    assert lengths(seen, a.eth0, a.ip) == [1458, 41]
    assert lengths(seen, n1.eth0, n1.ip) == [1508, 91]


def test_a_pod_that_was_not_told(net: Network) -> None:
    """Now n1 refuses, before it wraps, and says 1450, which a keeps to; what may be fragmented n1 does fragment."""
    set_mtu(net, 1500, a.eth0, a.veth, n1.bridge)
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0, size=TOO_LONG)
    assert (lengths(seen, a.eth0, a.ip), lengths(seen, n1.eth0, n1.ip)) == ([1465], [1508, 91])
    with net.capture() as seen:
        refused = net.ping(c.ip, dev=a.eth0, size=TOO_LONG, df=True)
    assert (refused.source, refused.icmp) == (n1.gateway, (3, 4))  # fragmentation needed
    assert seen.path(IP(flags="DF") / echo) == [a.eth0, a.veth, n1.bridge]
    assert seen.path(ICMP(type="dest-unreach", nexthopmtu=1450)) == [n1.bridge, a.veth, a.eth0]
    assert net.ping(c.ip, dev=a.eth0, size=TOO_LONG, df=True).errno == errno.EMSGSIZE


def test_a_nic_that_has_less(net: Network) -> None:
    """flannel.1 takes no MTU that its NIC has no room for; a NIC that shrinks later has full packets cut in two."""
    assert not net.run(n1.ns, ["ip", "link", "set", "flannel.1", "mtu", "1451"])
    set_mtu(net, 1450, n1.eth0, n1.port, n2.port, n2.eth0)
    with net.capture() as seen:
        assert net.ping(c.ip, dev=a.eth0, size=FITS, df=True)
    assert lengths(seen, n1.tunnel, a.ip) == [1464]
    assert lengths(seen, n1.eth0, n1.ip) == [1458, 90]

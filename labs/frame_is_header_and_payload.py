"""A frame is a header and its payload.

    a                                    b
    +-----------------------+            +-----------------------+
    |  eth0 ================================ eth0                |    mtu 1500 on both ends
    |  10.0.1.1             |            |   10.0.1.2            |
    |                       |            |                       |
    |  eth1 ================================ eth1                |    mtu 9000 on a's end, 1500 on b's
    |  10.0.2.1             |            |   10.0.2.2            |
    +-----------------------+            +-----------------------+

What is captured begins with two MACs and a type, 14 bytes, and ends where the payload ends: neither the preamble in
front nor the FCS behind is there, and on a veth nobody pads. The mtu is a setting: the largest payload that an
interface sends. What it receives may be four bytes longer, the room of a VLAN tag. And TCP may send many segments in
one frame, to be cut by the NIC: a veth is none, and passes them whole.

See IEEE 802.3 clause 3, packet_snd() in net/packet/af_packet.c, __is_skb_forwardable() in include/linux/netdevice.h,
ip_do_fragment() in net/ipv4/ip_output.c, "gso_max_segs" in ip-link(8).
"""

import pytest
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Padding, Raw

from pktlab import Network, PktlabError, Seen, Topology, depends, dissected, refutes

topology = Topology()
a, b = topology.namespace("a"), topology.namespace("b")
eth_a, eth_b = a.veth("eth0", "eth0", netns=b)
jumbo, usual = a.veth("eth1", "eth1", netns=b, mtu=9000)
eth_a.address("10.0.1.1/24")
eth_b.address("10.0.1.2/24")
jumbo.address("10.0.2.1/24")
usual.address("10.0.2.2/24")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
raw = Ether(dst=eth_b.mac, src=eth_a.mac, type=0x88B5)  # a type for experiments, which no stack answers


def payloads(seen: Seen, pattern: object) -> list[int]:
    """The bytes behind the Ethernet header, of each frame that b received."""
    return [len(frame.data) - 14 for frame in seen.frames(pattern) if frame.interface in (eth_b, usual)]


@refutes("eth-header-fields", "eth-min-payload-46")
def test_the_shortest(net: Network) -> None:
    """14 bytes and the payload, be it the 28 bytes of an ARP packet or none: nothing in front, nothing behind."""
    with net.capture() as seen:
        assert net.ping("10.0.1.2", dev=eth_a, size=0)
        net.send(raw, dev=eth_a)
    assert (payloads(seen, ARP()), payloads(seen, echo), payloads(seen, raw)) == ([28, 28], [20 + 8], [0])
    header = bytes.fromhex((eth_b.mac + eth_a.mac).replace(":", ""))
    assert [frame.data for frame in seen.frames(raw)] == [header + b"\x88\xb5"] * 2
    request, reply = seen.frames(ARP(), on=eth_b)
    assert (request.data[12:14], reply.data[12:14]) == (b"\x08\x06", b"\x08\x06")


def test_who_wants_padding_sends_it(net: Network) -> None:
    """18 bytes behind an ARP question arrive too, since a itself put them there; b answers without any."""
    question = Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op="who-has", pdst="10.0.1.2") / Padding(bytes(18))
    with net.capture() as seen:
        net.send(question, dev=eth_a)
    assert payloads(seen, ARP(op="who-has")) == [46]
    assert [len(frame.data) - 14 for frame in seen.frames(ARP(op="is-at"), on=eth_a)] == [28]


@depends("eth-max-payload-1500", on="the mtu, a setting, and on offloading: TCP gives veth many segments in one frame")
def test_the_longest(net: Network) -> None:
    """1500 bytes leave in one frame; with 1501 a crafted one is refused, and IP cuts its packet or refuses to."""
    with net.capture() as seen:
        assert net.ping("10.0.1.2", dev=eth_a, size=1472, df=True)
        assert net.ping("10.0.1.2", dev=eth_a, size=1473, df=True).error == "Message too long"
        assert net.send(raw / Raw(bytes(1500)), dev=eth_a) == 1
        with pytest.raises(PktlabError, match="Message too long"):
            net.send(raw / Raw(bytes(1501)), dev=eth_a)
    assert (payloads(seen, echo), payloads(seen, raw)) == ([1500], [1500])
    with net.capture() as seen:
        assert net.ping("10.0.1.2", dev=eth_a, size=3000)
    assert payloads(seen, IP(src="10.0.1.1")) == [1500, 1500, 20 + 3008 - 2 * 1480]


@depends("eth-max-payload-1500", on="the mtu, a setting, and on offloading: TCP gives veth many segments in one frame")
def test_another_mtu(net: Network) -> None:
    """At mtu 9000 a sends more; b's 1500 let in 1504 and no more, and with 9000 there too all is well."""
    with net.capture() as seen:
        assert net.ping("10.0.2.2", dev=jumbo, size=1504 - 28)
        assert net.ping("10.0.2.2", dev=jumbo, size=1505 - 28).error == "No buffer space available"
    assert payloads(seen, IP(src="10.0.2.1", dst="10.0.2.2")) == [1504]
    net.run(b, ["ip", "link", "set", "eth1", "mtu", "9000"])
    with net.capture() as seen:
        assert net.ping("10.0.2.2", dev=jumbo, size=9000 - 28)
    assert payloads(seen, echo) == [9000]


@depends("eth-max-payload-1500", on="the mtu, a setting, and on offloading: TCP gives veth many segments in one frame")
@pytest.mark.parametrize("gso_max_segs", ["65535", "1"])
def test_a_stream(net: Network, gso_max_segs: str) -> None:
    """6000 bytes of TCP pass in frames longer than the mtu, unless the device is said to take one segment at a time."""
    net.run(a, ["ip", "link", "set", "eth0", "gso_max_segs", gso_max_segs])
    server, client = net.socket(b, "tcp"), net.socket(a, "tcp")
    server.bind(("10.0.1.2", 8000))
    server.listen()
    with net.capture() as seen:
        client.connect(("10.0.1.2", 8000))
        client.sendall(bytes(6000))
        with server.accept()[0] as connection:
            left = 6000
            while left:
                left -= len(connection.recv(left))
    data = [len(dissected(frame)[TCP].payload) for frame in seen.frames(TCP(dport=8000), on=eth_b)]
    assert sum(data) == 6000
    assert (max(payloads(seen, TCP(dport=8000))) > 1500) == (gso_max_segs != "1")

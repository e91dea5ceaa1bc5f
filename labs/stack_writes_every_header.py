"""The stack writes every header.

    client                                        server
    +-----------------------------+              +---------------------+
    |  write()      data          |              |  read()    data     |
    |  TCP or UDP   +ports        |              |    ^                |
    |  IP           +addresses    |              |    |                |
    |  [nft output hook]          |              |    |                |
    |  Ethernet     +MACs         |              |    |                |
    |  eth0 =============================================== eth0       |
    |  10.0.0.1/24                |              |  10.0.0.2/24        |
    +-----------------------------+              +---------------------+

Data goes down through TCP or UDP, then IP, then Ethernet, and each puts its header in front. All three are the
kernel's work: a rule of the output hook reads addresses and ports of a packet that no interface has seen yet. TCP
first agrees on a connection, in three segments without data; UDP agrees on nothing.

See RFC 9293 3.5 (the handshake), RFC 768, RFC 791 3.1, ip_queue_xmit() and __ip_local_out() in net/ipv4/ip_output.c.
"""

import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from pktlab import Network, Topology, confirms, dissected, refutes

topology = Topology()
client, server = topology.namespace("client"), topology.namespace("server")
near, far = client.veth("eth0", "eth0", netns=server)
near.address("10.0.0.1/24")
far.address("10.0.0.2/24")

FORBIDDEN = """table ip filter { chain output {
    type filter hook output priority filter;
    ip saddr 10.0.0.1 ip daddr 10.0.0.2 udp dport 9000 drop;
}; }"""


@confirms("tcp-handshake-on-connect")
def test_tcp_agrees_first(net: Network) -> None:
    """SYN, SYN/ACK, ACK: each side acknowledges the other's number, and only the fourth segment has data."""
    listener, caller = net.socket(server, "tcp"), net.socket(client, "tcp")
    listener.bind(("10.0.0.2", 8000))
    listener.listen()
    with net.capture() as seen:
        caller.connect(("10.0.0.2", 8000))
        caller.sendall(b"data")
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(99) == b"data"
    syn, syn_ack, ack, data, *_ = [dissected(frame)[TCP] for frame in seen.frames(TCP(), on=near)]
    assert [str(each.flags) for each in (syn, syn_ack, ack, data)] == ["S", "SA", "A", "PA"]
    assert (syn_ack.ack, ack.ack, data.seq) == (syn.seq + 1, syn_ack.seq + 1, syn.seq + 1)
    assert [Raw in each for each in (syn, syn_ack, ack, data)] == [False, False, False, True]


@refutes("udp-no-handshake")
def test_udp_agrees_on_nothing(net: Network) -> None:
    """The first packet, and the only one, is the datagram; what comes before it is ARP's question for the MAC."""
    receiver = net.socket(server, "udp")
    receiver.bind(("10.0.0.2", 9000))
    with net.capture() as seen:
        net.socket(client, "udp").sendto(b"data", ("10.0.0.2", 9000))
    assert receiver.recv(99) == b"data"
    assert seen.path(Ether(src=near.mac, dst=far.mac) / IP() / UDP(dport=9000) / Raw(b"data")) == [near, far]
    assert (seen.count(IP()), seen.count(ARP())) == (1, 2)


@refutes("ip-header-added-by-nic")
def test_a_rule_above_the_interface(net: Network) -> None:
    """It matches addresses and ports, so they are there, though eth0 sees nothing; with the rule gone it does."""
    sender = net.socket(client, "udp")
    net.nft(client, FORBIDDEN)
    with net.capture() as seen, pytest.raises(PermissionError):
        sender.sendto(b"data", ("10.0.0.2", 9000))
    assert seen.where(Ether()) == set()
    net.nft(client, "delete table ip filter")
    with net.capture() as seen:
        sender.sendto(b"data", ("10.0.0.2", 9000))
    assert seen.path(IP() / UDP(dport=9000)) == [near, far]


@confirms("ip-header-layout")
@pytest.mark.parametrize("options", [b"", b"\1\1\1\0"], ids=["no_options", "options"])
def test_the_ip_header_by_hand(net: Network, options: bytes) -> None:
    """Field after field as in RFC 791; with four bytes of options the IHL is 6 instead of 5, in words of four bytes."""
    sender = net.socket(client, "udp")
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 33)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
    with net.capture() as seen:
        sender.sendto(b"data", ("10.0.0.2", 9000))
    frame = seen.frames(IP() / UDP(), on=near)[0].data
    first, tos, total, _, fragment, ttl, protocol, _, source, target = struct.unpack_from("!BBHHHBBH4s4s", frame, 14)
    header = 4 * (first & 15)
    assert (first >> 4, header, tos, total, ttl) == (4, 20 + len(options), 0x10, len(frame) - 14, 33)
    assert (fragment >> 13, fragment & 0x1FFF, protocol) == (2, 0, socket.IPPROTO_UDP)  # "don't fragment", offset 0
    assert (socket.inet_ntoa(source), socket.inet_ntoa(target)) == ("10.0.0.1", "10.0.0.2")
    assert frame[14 + header + 8 :] == b"data"  # after the eight bytes of UDP
    # The checksum makes the one's complement sum of the header's 16-bit words all ones.
    words = sum(struct.unpack_from(f"!{header // 2}H", frame, 14))
    assert (words & 0xFFFF) + (words >> 16) == 0xFFFF


def test_nobody_to_agree_with(net: Network) -> None:
    """Without a listener the SYN stays the first and last segment of its connection: there is no data."""
    with net.capture() as seen, pytest.raises(ConnectionRefusedError):
        net.socket(client, "tcp").connect(("10.0.0.2", 8000))
    assert [str(dissected(frame)[TCP].flags) for frame in seen.frames(TCP(), on=near)] == ["S", "RA"]

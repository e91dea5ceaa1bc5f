"""A port leads to a socket, and not to one queue.

    client                         server
    +------------------+          +--------------------------------------------------+
    |  connect()  4001 |          |  port 8000, who listens    - a queue of callers  |
    |  connect()  4002 |          |       |- connection with 10.0.0.1:4001 - a queue |
    |                  |          |       +- connection with 10.0.0.1:4002 - a queue |
    |                  |          |  port 9000, who else       - a queue             |
    |  eth0 ===================== eth0                                               |
    |  10.0.0.1/24     |          |  10.0.0.2/24                                     |
    +------------------+          +--------------------------------------------------+

The port of the destination says which program a packet is for. It does not stand for a queue: a connection has a
socket of its own, found by both addresses and both ports, and so has a UDP socket that was connected. Where nobody
listens, the kernel itself refuses.

See tcp(7), udp(7), __inet_lookup() in include/net/inet_hashtables.h, __udp4_lib_rcv() in net/ipv4/udp.c,
RFC 9293 3.5.2 (reset), RFC 1122 4.1.3.1 (port unreachable).
"""

import socket

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPerror, UDPerror
from scapy.packet import Packet, Raw

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
client, server = topology.namespace("client"), topology.namespace("server")
near, far = client.veth("eth0", "eth0", netns=server)
near.address("10.0.0.1/24")
far.address("10.0.0.2/24")

port_unreachable = ICMP(type="dest-unreach", code="port-unreachable")


def opened(net: Network, kind: str, port: int, *, peer: int = 0) -> socket.socket:
    """A socket of the server on a port: listening for TCP, for UDP connected if a port of the client is given."""
    made = net.socket(server, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("10.0.0.2", port))
    if kind == "tcp":
        made.listen()
    elif peer:
        made.connect(("10.0.0.1", peer))
    return made


def called(net: Network, kind: str, port: int, *, own: int = 0) -> socket.socket:
    """A socket of the client, on a port of its own or any, connected to a port of the server."""
    made = net.socket(client, kind)
    made.bind(("10.0.0.1", own))
    made.connect(("10.0.0.2", port))
    return made


@confirms("port-demux")
@pytest.mark.parametrize(("kind", "header"), [("tcp", TCP), ("udp", UDP)], ids=["tcp", "udp"])
def test_two_ports(net: Network, kind: str, header: type[Packet]) -> None:
    """Same addresses, same MACs: the port alone decides whether the first socket or the second gets the data."""
    doors = {port: opened(net, kind, port) for port in (8000, 9000)}
    with net.capture() as seen:
        for port, word in (8000, b"eight"), (9000, b"nine"):
            called(net, kind, port).send(word)
    for port, word in (8000, b"eight"), (9000, b"nine"):
        reader = doors[port].accept()[0] if kind == "tcp" else doors[port]
        assert reader.recv(99) == word
        assert seen.path(header(dport=port) / Raw(word)) == [near, far]


@refutes("port-is-one-queue")
def test_two_connections_to_one_port(net: Network) -> None:
    """Both callers write before anyone reads; each connection holds its own caller's data and no other."""
    listener = opened(net, "tcp", 8000)
    with net.capture() as seen:
        for own, word in (4001, b"first"), (4002, b"second"):
            called(net, "tcp", 8000, own=own).send(word)
    for own, word in (4001, b"first"), (4002, b"second"):
        assert seen.path(TCP(sport=own, dport=8000) / Raw(word)) == [near, far]
        connection, caller = listener.accept()
        assert (caller, connection.recv(99)) == (("10.0.0.1", own), word)


def test_two_udp_sockets_on_one_port(net: Network) -> None:
    """A socket that is not connected is one queue for all, until a connected one takes its own peer's datagrams."""
    everyone = opened(net, "udp", 9000)
    callers = {own: called(net, "udp", 9000, own=own) for own in (4001, 4002)}
    for caller in callers.values():
        caller.send(b"to all")
    assert [everyone.recvfrom(99) for _ in callers] == [(b"to all", ("10.0.0.1", own)) for own in callers]
    one = opened(net, "udp", 9000, peer=4001)
    for own, caller in callers.items():
        caller.send(str(own).encode())
    assert (one.recv(99), everyone.recv(99)) == (b"4001", b"4002")


@confirms("ping-unreachable-port-icmp")
def test_nobody_listens(net: Network) -> None:
    """TCP is told by a reset; UDP by an ICMP message that quotes the datagram, and the next send() fails."""
    with net.capture() as seen:
        with pytest.raises(ConnectionRefusedError):
            called(net, "tcp", 8000)
        caller = called(net, "udp", 9000, own=4001)
        caller.send(b"hello")
        quoted = port_unreachable / IPerror(dst="10.0.0.2") / UDPerror(sport=4001, dport=9000)
        assert seen.path(IP(src="10.0.0.2", dst="10.0.0.1") / quoted) == [far, near]
        with pytest.raises(ConnectionRefusedError):
            caller.send(b"hello?")
    assert seen.path(TCP(flags="RA", sport=8000)) == [far, near]


def test_somebody_listens_or_is_silent(net: Network) -> None:
    """With a socket on the port nothing is refused; nor without one if a rule drops the packet before it gets there."""
    opened(net, "udp", 9000)
    net.nft(server, "table ip t { chain in { type filter hook input priority filter; udp dport 9001 drop; }; }")
    with net.capture() as seen:
        for port in (9000, 9001):
            called(net, "udp", port).send(b"hello")
    assert (seen.count(UDP() / Raw(b"hello"), on=far), seen.where(ICMP())) == (2, set())

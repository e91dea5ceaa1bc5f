"""Fragments meet at the end.

    a                       rt                            b
    +----------------+     +---------------------+       +----------------+
    |  eth0 ================ eth0         eth1 ============= eth0         |
    |  10.0.1.2/24   |     |  10.0.1.1/24        |       |  10.0.2.2/24   |
    +----------------+     |        10.0.2.1/24  |       +----------------+
         MTU 1500          +---------------------+            MTU 600

A packet that is too big for the next link is cut up by the router in front of it, and every piece is a packet of its
own: same identification, an offset in units of eight bytes, "more fragments" on all but the last. Only the first
carries the ports. No one but b puts them together, in whatever order they come, and if one is missing the program is
given nothing. If the sender forbids the cut, the router sends the packet back in words: ICMP 3/4 with the MTU.

See RFC 791 3.2, RFC 1191, ip_do_fragment() in net/ipv4/ip_output.c, ip_defrag() in net/ipv4/ip_fragment.c.
"""

import socket

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from pktlab import Network, Topology, dissected

topology = Topology()
a, rt, b = (topology.namespace(name) for name in ("a", "rt", "b"))
eth_a, left = a.veth("eth0", "eth0", netns=rt)
right, eth_b = rt.veth("eth1", "eth0", netns=b, mtu=600, peer_mtu=600)
eth_a.address("10.0.1.2/24")
left.address("10.0.1.1/24")
right.address("10.0.2.1/24")
eth_b.address("10.0.2.2/24")
a.route("default", via="10.0.1.1")
rt.sysctl("net.ipv4.ip_forward", 1)  # rt is the router.

DATA = bytes(range(200)) * 6  # 1200 bytes: with 28 of headers fit for the first link, not for the second
datagram = IP(src="10.0.1.2", dst="10.0.2.2", proto="udp")
too_big = ICMP(type="dest-unreach", code="fragmentation-needed")


def talk(net: Network, *, forbid: bool) -> tuple[socket.socket, socket.socket]:
    """A socket of a that allows or forbids fragments (IP_MTU_DISCOVER, ip(7)), and one of b on port 9000."""
    sender, receiver = net.socket(a, "udp"), net.socket(b, "udp")
    sender.setsockopt(socket.IPPROTO_IP, 10, 2 if forbid else 0)
    receiver.bind(("10.0.2.2", 9000))
    return sender, receiver


def test_the_router_cuts(net: Network) -> None:
    """One packet before rt, three behind it; b's program reads 1200 bytes at once."""
    sender, receiver = talk(net, forbid=False)
    with net.capture() as seen:
        sender.sendto(DATA, ("10.0.2.2", 9000))
    assert (receiver.recv(2000), seen.count(datagram, on=left)) == (DATA, 1)
    pieces = [dissected(frame)[IP] for frame in seen.frames(datagram, on=eth_b)]
    assert [(piece.len - 20, piece.frag * 8, str(piece.flags)) for piece in pieces] == [
        (576, 0, "MF"),
        (576, 576, "MF"),
        (56, 1152, ""),
    ]
    assert len({piece.id for piece in pieces}) == 1
    assert [UDP in piece for piece in pieces] == [True, False, False]


def test_room_enough(net: Network) -> None:
    """572 bytes and 28 of headers just fit: no cut; one byte more makes a second packet."""
    sender, receiver = talk(net, forbid=False)
    for size, packets in (572, 1), (573, 2):
        with net.capture() as seen:
            sender.sendto(DATA[:size], ("10.0.2.2", 9000))
        assert (receiver.recv(2000), seen.count(datagram, on=eth_b)) == (DATA[:size], packets)


def test_cutting_is_forbidden(net: Network) -> None:
    """rt sends word of its MTU instead; a now knows, and refuses itself what is too big before there is a packet."""
    sender, _receiver = talk(net, forbid=True)
    with net.capture() as seen:
        sender.sendto(DATA, ("10.0.2.2", 9000))
        (word,) = {dissected(frame)[ICMP].nexthopmtu for frame in seen.frames(too_big, on=eth_a)}
        assert (word, seen.where(datagram / UDP(dport=9000))) == (600, {eth_a, left})
        with pytest.raises(OSError, match="Message too long"):
            sender.sendto(DATA, ("10.0.2.2", 9000))
    assert seen.count(datagram / UDP(dport=9000)) == 1
    assert "mtu 600" in net.run(a, ["ip", "route", "get", "10.0.2.2"]).stdout


@pytest.mark.parametrize("missing", [None, 0, 1, 2])
def test_pieces_by_hand(net: Network, missing: int | None) -> None:
    """Cut by the sender and sent last piece first, all of them make a datagram; whichever is missing, none does."""
    _sender, receiver = talk(net, forbid=False)
    whole = IP(src="10.0.1.2", dst="10.0.2.2", id=7) / UDP(sport=4000, dport=9000) / Raw(DATA)
    pieces = [
        IP(src="10.0.1.2", dst="10.0.2.2", id=7, proto="udp", flags=flags, frag=offset // 8) / Raw(cut)
        for offset, flags in ((0, "MF"), (480, "MF"), (960, 0))
        for cut in [bytes(whole)[20:][offset : offset + 480]]
    ]
    if missing is not None:
        del pieces[missing]
    with net.capture() as seen:
        net.send([Ether(dst=left.mac) / piece for piece in reversed(pieces)], dev=eth_a)
    # rt forwards each for itself: it puts nothing together, and cuts nothing that fits.
    assert seen.count(IP(id=7), on=left) == seen.count(IP(id=7), on=eth_b) == len(pieces)
    receiver.setblocking(False)
    if missing is None:
        assert receiver.recv(2000) == DATA
    else:
        with pytest.raises(BlockingIOError):
            receiver.recv(2000)

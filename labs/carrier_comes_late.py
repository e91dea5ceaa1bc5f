"""The carrier comes late.

    a                                  b
    +------------------+              +------------------------+
    |  eth0 ============================ eth0                  |
    |  10.0.0.1/24     |              |  (10.0.0.2/24, later)  |
    |                  |              |                        |
    |  late ============================ late -- br0           |
    |  ifindex 900     |              |  ifindex 900           |
    +------------------+              +------------------------+

What hangs on a carrier learns of it from a work queue. The kernel hurries where it sees that the change concerns a
device on top of another; it judges that by two ifindexes being different, and a veth whose ends have the same one in
their namespaces is put off for up to a second. A bridge port set up last is closed for so long: frames arrive on it,
and no one says that they go no further. ARP has a patience of its own: as long as a question is open, no other is
asked, whatever there is to send.

See linkwatch_urgent_event() in net/core/link_watch.c, br_port_carrier_check() in net/bridge/br_if.c,
__neigh_event_send() in net/core/neighbour.c, "retrans_time_ms" in arp(7).
"""

from itertools import pairwise

from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from pktlab import Interface, Network, Topology, confirms

topology = Topology()
a, b = topology.namespace("a"), topology.namespace("b")
near, far = a.veth("eth0", "eth0", netns=b)
br0 = b.bridge("br0")
near.address("10.0.0.1/24")
# An open question is repeated as by default, but five times a second, and often enough for the slowest machine.
near.sysctl("net.ipv4.neigh.{}.mcast_solicit", 40)
near.sysctl("net.ipv4.neigh.{}.retrans_time_ms", 200)

frame = Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / Raw(b"hello")
question = ARP(op="who-has", pdst="10.0.0.2")


def late_pair(net: Network, words: str) -> tuple[Interface, Interface]:
    """Make the pair with equal ifindexes and set both ends up, that of b last and with `words`."""
    pair = "link add late index 900 type veth peer name late index 900 netns b"
    for words_of_a in (pair, "link set late up"):
        assert net.run(a, ["ip", *words_of_a.split()])
    assert net.run(b, ["ip", "link", "set", "late", *words.split(), "up"])
    return net.interface(a, "late"), net.interface(b, "late")


def put_off(net: Network, end: Interface) -> bool:
    """Whether the carrier is there, but what hangs on it does not know yet."""
    (link,) = net.links(end)
    return (link.carrier, link.state) == (True, "DOWN")


@confirms("link-up-carrier-delay")
def test_a_port_set_up_last(net: Network) -> None:
    """The frame arrives on the port and not on br0, and nobody tells; once the state is settled it does."""
    # The second may have been nearly over: then the pair is made anew.
    for _ in range(20):
        out, port = late_pair(net, "master br0")
        with net.capture() as seen:
            early = put_off(net, port)
            net.send(frame, dev=out)
        if early and put_off(net, port):
            break
        net.delete(out)
    assert seen.path(frame) == [out, port]
    net.up(port)  # It is up: this only makes the kernel settle now what it has put off.
    assert [link.state for link in net.links(port)] == ["UP"]
    with net.capture() as seen:
        net.send(frame, dev=out)
    assert seen.path(frame) == [out, port, br0]


def test_no_bridge(net: Network) -> None:
    """The same delay, but nothing hangs on it: the end answers while its state still reads DOWN."""
    for _ in range(20):
        out, end = late_pair(net, "")
        net.add_address(out, "10.9.0.1/24")
        net.add_address(end, "10.9.0.2/24")
        early = put_off(net, end)
        answered = net.ping("10.9.0.2", dev=out)
        if early and put_off(net, end):
            break
        net.delete(out)
    assert answered


@confirms("link-up-carrier-delay")
def test_a_question_still_open(net: Network) -> None:
    """b gets its address and could answer, but the second packet asks nothing: both wait for the timer."""
    sender = net.socket(a, "udp")
    with net.capture() as seen:
        sender.sendto(b"one", ("10.0.0.2", 9000))
        assert [entry.state for entry in net.neighbours(near)] == ["INCOMPLETE"]
        net.add_address(far, "10.0.0.2/24")
        sender.sendto(b"two", ("10.0.0.2", 9000))
    asked = [each.time for each in seen.frames(question, on=near)]
    assert len(asked) > 1
    assert min(later - earlier for earlier, later in pairwise(asked)) > 150_000_000  # nanoseconds
    assert seen.frames(Raw(b"one"), on=near)[0].time > asked[-1]
    assert seen.path(Raw(b"one")) == seen.path(Raw(b"two")) == [near, far]


def test_the_question_forgotten(net: Network) -> None:
    """With the entry its timer is deleted, and the first packet; the second asks for itself, and arrives."""
    sender = net.socket(a, "udp")
    with net.capture() as seen:
        sender.sendto(b"one", ("10.0.0.2", 9000))
        net.add_address(far, "10.0.0.2/24")
        net.flush_neighbours(near)
        assert net.neighbours(near) == []
        sender.sendto(b"two", ("10.0.0.2", 9000))
    assert seen.count(question) > 1
    assert (seen.where(Raw(b"one")), seen.path(Raw(b"two"))) == (set(), [near, far])

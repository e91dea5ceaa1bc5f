"""Some routes lead nowhere, and differ in what is said about it.

    a                       rt                                        d
    +----------------+      +---------------------------------+      +-----------------------+
    |  eth0 ================== rt_a  192.168.1.1              |      |  192.168.2.2          |
    |  192.168.1.2   |      |        192.168.2.1  rt_d =============== eth0                  |
    +----------------+      |  10.9.0.0/16  . . . | default . |      |  10.9.0.1, 10.9.128.1 |
                            +-----------------------+---------+      +-----------------------+

Without the route to 10.9.0.0/16 rt passes on to d what is for 10.9.0.1. With it the packet ends in rt: a blackhole
tells nobody outside, unreachable and prohibit send ICMP. A program on rt itself is told by its own kernel, in each
case. A throw ends the search of this table only: the packet is lost if no other rule has a table with a way.

    type          a is sent             rt's own program is told     iface in route -n
    blackhole     nothing               EINVAL                       *
    unreachable   host unreachable      EHOSTUNREACH                 -
    prohibit      filtered              EACCES                       -
    throw         network unreachable   ENETUNREACH                  *

See "Route types" in ip-route(8), ip-rule(8), fib_props in net/ipv4/fib_semantics.c, ip_error() in net/ipv4/route.c,
fib_route_seq_show() in net/ipv4/fib_trie.c, RFC 1812 section 5.2.7.1.
"""

import errno

import pytest
from scapy.layers.inet import ICMP, IP

from pktlab import Network, Topology, confirms, depends

topology = Topology()
a, rt, d = topology.namespace("a"), topology.namespace("rt"), topology.namespace("d")
eth_a, rt_a = a.veth("eth0", "rt_a", netns=rt)
rt_d, eth_d = rt.veth("rt_d", "eth0", netns=d)
eth_a.address("192.168.1.2/24")
rt_a.address("192.168.1.1/24")
rt_d.address("192.168.2.1/24")
eth_d.address("192.168.2.2/24", "10.9.0.1/32", "10.9.128.1/32")
a.route("default", via="192.168.1.1")
rt.route("default", via="192.168.2.2")
d.route("default", via="192.168.2.1")
rt.sysctl("net.ipv4.ip_forward", 1)  # rt is a router

HOLE = "10.9.0.0/16"
OWN = {
    "blackhole": errno.EINVAL,
    "unreachable": errno.EHOSTUNREACH,
    "prohibit": errno.EACCES,
    "throw": errno.ENETUNREACH,
}
TOLD = {"blackhole": None, "unreachable": (3, 1), "prohibit": (3, 13), "throw": (3, 0)}  # ICMP type and code
IFACE = {"blackhole": "*", "unreachable": "-", "prohibit": "-", "throw": "*"}
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("route-types-local-errors")
@pytest.mark.parametrize("kind", OWN)
def test_rt_itself_sends(net: Network, kind: str) -> None:
    """The program is told at once, each time in other words, and no interface sees a packet."""
    assert net.ping("10.9.0.1", ns=rt)
    net.add_route(rt, HOLE, type=kind)
    with net.capture() as seen:
        answer = net.ping("10.9.0.1", ns=rt)
    assert (answer.errno, answer.icmp, seen.where(IP())) == (OWN[kind], None, set())


@confirms("route-types-forward-icmp")
@pytest.mark.parametrize("kind", TOLD)
def test_rt_is_to_pass_it_on(net: Network, kind: str) -> None:
    """The packet comes in and goes nowhere; a hears of it by ICMP from rt, or not at all."""
    net.add_route(rt, HOLE, type=kind)
    with net.capture() as seen:
        answer = net.ping("10.9.0.1", ns=a)
    assert (answer.ok, answer.icmp, answer.source) == (False, TOLD[kind], "192.168.1.1" if TOLD[kind] else "")
    assert seen.path(IP(dst="10.9.0.1") / echo) == [eth_a, rt_a]


@depends(
    "iface-star-means-drop", on="the type: throw shows * too, and tells the sender, or lets another rule find a way"
)
@pytest.mark.parametrize("kind", IFACE)
def test_the_column_iface(net: Network, kind: str) -> None:
    """`route -n` knows no types: blackhole and throw look alike, and so do the two that it marks with "!"."""
    assert net.ping("10.9.0.1", ns=a)
    net.add_route(rt, HOLE, type=kind)
    rows = [row.split() for row in net.run(rt, ["route", "-n"]).stdout.splitlines()]
    ((_dst, _gateway, _mask, flags, *_numbers, iface),) = [row for row in rows if row[0] == "10.9.0.0"]
    assert (iface, flags) == (IFACE[kind], "!" if IFACE[kind] == "-" else "U")
    assert not net.ping("10.9.0.1", ns=a)


@depends(
    "iface-star-means-drop", on="the type: throw shows * too, and tells the sender, or lets another rule find a way"
)
@pytest.mark.parametrize("kind", ["throw", "blackhole"])
def test_another_table(net: Network, kind: str) -> None:
    """With a rule for a further table the packet that was thrown finds its way there; a blackhole is the end."""
    net.add_route(rt, HOLE, type=kind)
    net.add_route(rt, "default", via="192.168.2.2", table=77)
    net.run(rt, ["ip", "rule", "add", "priority", "32800", "table", "77"])  # after main, which has 32766
    with net.capture() as seen:
        assert net.ping("10.9.0.1", ns=a).ok == (kind == "throw")
    assert seen.path(echo) == [eth_a, rt_a, *([rt_d, eth_d] if kind == "throw" else [])]


@confirms("longest-prefix-wins")
def test_around_the_hole(net: Network) -> None:
    """Without it the default route serves both addresses; with it, and a narrower route within, the latter only."""
    assert net.ping("10.9.0.1", ns=a)
    assert net.ping("10.9.128.1", ns=a)
    net.add_route(rt, HOLE, type="blackhole")
    net.add_route(rt, "10.9.128.0/26", via="192.168.2.2")
    with net.capture() as seen:
        assert not net.ping("10.9.0.1", ns=a)
        assert net.ping("10.9.128.1", ns=a)
    assert seen.paths(echo) == [[eth_a, rt_a], [eth_a, rt_a, rt_d, eth_d]]
    assert seen.path(echo_reply) == [eth_d, rt_d, rt_a, eth_a]

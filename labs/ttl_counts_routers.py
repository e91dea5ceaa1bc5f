"""TTL counts routers, not time.

    a                   r1                         r2                          d
    +-------------+     +--------------------+     +--------------------+     +-------------+
    |  eth0 ============== west       east ============ west      east ============ eth0    |
    |  10.1.0.2   |     |  10.1.0.1          |     |  10.2.0.2          |     |  10.3.0.2   |
    |             |     |          10.2.0.1  |     |          10.3.0.1  |     |             |
    +-------------+     +--------------------+     +--------------------+     +-------------+

Each router takes one off before it passes a packet on, and drops the packet of which nothing would be left, telling the
sender. However long a packet waits, nothing is taken off: one that has a TTL of 1 and is held back by a's queueing
discipline for more than a second arrives as it is. (RFC 791 meant seconds, but at least one a router: it became that.)

See RFC 791 section 3.2, RFC 1812 section 5.3.1, ip_forward() in net/ipv4/ip_forward.c, tc-tbf(8).
"""

import pytest
from scapy.layers.inet import ICMP, IP

from pktlab import Network, Topology, confirms, dissected, refutes

topology = Topology()
a, r1, r2, d = (topology.namespace(name) for name in ("a", "r1", "r2", "d"))
eth_a, west1 = a.veth("eth0", "west", netns=r1)
east1, west2 = r1.veth("east", "west", netns=r2)
east2, eth_d = r2.veth("east", "eth0", netns=d)
eth_a.address("10.1.0.2/24")
west1.address("10.1.0.1/24")
east1.address("10.2.0.1/24")
west2.address("10.2.0.2/24")
east2.address("10.3.0.1/24")
eth_d.address("10.3.0.2/24")
a.route("default", via="10.1.0.1")
r1.route("default", via="10.2.0.2")
r2.route("default", via="10.2.0.1")
d.route("default", via="10.3.0.1")
r1.sysctl("net.ipv4.ip_forward", 1)  # r1 and r2 are routers
r2.sysctl("net.ipv4.ip_forward", 1)

WAY = [eth_a, west1, east1, west2, east2, eth_d]
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("router-decrements-ttl")
def test_two_routers(net: Network) -> None:
    """64 becomes 63 in r1 and 62 in r2; and so on the way back, where ping shows it."""
    with net.capture() as seen:
        assert net.ping("10.3.0.2", ns=a).ttl == 62
    assert seen.path(echo) == WAY
    assert [seen.rewrites(echo)[pair]["ip.ttl"] for pair in ((west1, east1), (west2, east2))] == [(64, 63), (63, 62)]
    assert seen.path(echo_reply) == WAY[::-1]


@pytest.mark.parametrize(("ttl", "told_by"), [(1, "10.1.0.1"), (2, "10.2.0.2"), (3, "10.3.0.2")])
def test_few_hops(net: Network, ttl: int, told_by: str) -> None:
    """A packet ends in the router that would send it on with 0, and a is told by whom; at d the 1 is enough."""
    with net.capture() as seen:
        answer = net.ping("10.3.0.2", ns=a, ttl=ttl)
    assert seen.path(echo) == WAY[: 2 * ttl]
    assert (answer.ok, answer.icmp, answer.source) == (ttl == 3, None if ttl == 3 else (11, 0), told_by)


@refutes("ttl-is-time")
@pytest.mark.parametrize("held", [False, True])
def test_long_wait(net: Network, held: bool) -> None:
    """For more than a second a packet waits in a's queue that has one hop left: it makes it, its TTL as it was."""
    tbf = ["dev", "eth0", "root", "tbf", "burst", "1600", "limit", "9999", "rate"]
    if held and not net.run(a, ["tc", "qdisc", "add", *tbf, "8bit"]):  # 1600 bytes at once, then one a second
        pytest.skip("this kernel has no token bucket filter: CONFIG_NET_SCH_TBF")
    with net.capture() as seen:
        assert net.ping("10.1.0.1", ns=a, size=1258)
        assert bool(net.ping("10.1.0.1", ns=a, size=1400, ttl=1, wait=1.1)) != held
        if held:
            assert seen.count(IP(ttl=1) / echo) == 0
            net.run(a, ["tc", "qdisc", "change", *tbf, "1gbit"])
        assert net.ping("10.1.0.1", ns=a)  # and with it goes what has been waiting
    first, second, third = seen.frames(echo, on=west1)
    assert [dissected(frame)[IP].ttl for frame in (first, second, third)] == [64, 1, 64]
    assert not held or second.time - first.time > 1e9  # nanoseconds
    assert seen.count(echo_reply, on=eth_a) == 3

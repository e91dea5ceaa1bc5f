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

# 1000 bytes a second, and 1600 at once to begin with
SLOW = ["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8kbit", "burst", "1600", "latency", "5s"]
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
    """A second and more in a queue: a packet that has one hop left still makes it, its TTL as it was."""
    if held and not net.run(a, SLOW):
        pytest.skip("this kernel has no token bucket filter: CONFIG_NET_SCH_TBF")
    with net.capture() as seen:
        assert net.ping("10.1.0.1", ns=a, size=1458)  # leaves next to nothing of the 1600
        answer = net.ping("10.1.0.1", ns=a, size=1400, ttl=1, wait=1.8)
    assert answer
    assert (answer.rtt > 1) == held
    assert [dissected(frame)[IP].ttl for frame in seen.frames(echo, on=west1)] == [64, 1]

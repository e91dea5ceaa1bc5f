"""A router answers for the other side, if it is told to.

    a                        rt                                          d
    +-----------------+      +----------------------------------+       +---------------+
    |  eth0 ==================== rt_a                   rt_d ================ eth0      |
    |  10.1.0.2/8     |      |   10.1.0.1/16     10.2.0.1/16    |       |  10.2.0.2/16  |
    +-----------------+      +----------------------------------+       +---------------+

a's mask is too short: it takes d for a neighbour and asks its own cable who has 10.2.0.2. No frame crosses a router,
so d never hears of it. But with proxy_arp rt answers with its own MAC, if it has a route to d by another interface,
and forwards what a then sends. An answer to all is put off by up to proxy_delay, so that the owner can be first.

See RFC 1027, arp_process() and arp_fwd_proxy() in net/ipv4/arp.c, pneigh_enqueue() in net/core/neighbour.c,
"proxy_arp" in the kernel's ip-sysctl.rst, "proxy" in ip-neighbour(8), "proxy_delay" in arp(7).
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms

topology = Topology()
a, rt, d = topology.namespace("a"), topology.namespace("rt"), topology.namespace("d")
eth_a, rt_a = a.veth("eth0", "rt_a", netns=rt)
rt_d, eth_d = rt.veth("rt_d", "eth0", netns=d)
eth_a.address("10.1.0.2/8")
rt_a.address("10.1.0.1/16")
rt_d.address("10.2.0.1/16")
eth_d.address("10.2.0.2/16")
d.route("10.1.0.0/16", via="10.2.0.1")
rt.sysctl("net.ipv4.ip_forward", 1)  # rt is a router
rt_a.sysctl("net.ipv4.conf.{}.proxy_arp", 1)  # the cause of it all

BROADCAST = "ff:ff:ff:ff:ff:ff"
question, answer = ARP(op="who-has", pdst="10.2.0.2"), ARP(op="is-at", psrc="10.2.0.2")
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


def test_the_router_answers(net: Network) -> None:
    """a believes that rt's MAC is d's, and it works; only the TTL tells of the router."""
    with net.capture() as seen:
        assert net.ping("10.2.0.2", dev=eth_a).ttl == 63
    assert seen.path(Ether(src=eth_a.mac, dst=BROADCAST) / question) == [eth_a, rt_a]
    assert seen.path(Ether(dst=eth_a.mac) / ARP(op="is-at", psrc="10.2.0.2", hwsrc=rt_a.mac)) == [rt_a, eth_a]
    assert seen.path(echo) == [eth_a, rt_a, rt_d, eth_d]
    assert seen.path(echo_reply) == [eth_d, rt_d, rt_a, eth_a]
    assert [(entry.address, entry.mac) for entry in net.neighbours(a)] == [("10.2.0.2", rt_a.mac)]


@confirms("arp-not-forwarded-by-router")
@pytest.mark.parametrize("sysctl", ["net.ipv4.conf.rt_a.proxy_arp", "net.ipv4.ip_forward"])
def test_it_does_not(net: Network, sysctl: str) -> None:
    """With proxy_arp off or forwarding off a's question is heard by rt alone, and nobody answers."""
    net.sysctl(rt, sysctl, 0)
    with net.capture() as seen:
        assert not net.ping("10.2.0.2", dev=eth_a)
    assert seen.paths(ARP()) == [[eth_a, rt_a]]


def test_one_address_only(net: Network) -> None:
    """Without proxy_arp an entry of `ip neigh add proxy` does the same for a single address."""
    net.sysctl(rt_a, "net.ipv4.conf.{}.proxy_arp", 0)
    net.add_address(eth_d, "10.2.0.3/16")
    net.run(rt, ["ip", "neigh", "add", "proxy", "10.2.0.2", "dev", "rt_a"])
    assert net.ping("10.2.0.2", dev=eth_a)
    assert not net.ping("10.2.0.3", dev=eth_a)


@pytest.mark.parametrize("nobody", ["10.1.0.9", "10.3.0.9"])
def test_not_for_everybody(net: Network, nobody: str) -> None:
    """rt keeps silent where it would send back out of rt_a, or has no route; where it has, there may be no host."""
    with net.capture() as seen:
        for address in nobody, "10.2.0.9":
            assert not net.ping(address, dev=eth_a)
    assert seen.where(ARP(op="is-at", psrc=nobody)) == set()
    assert seen.path(ARP(op="is-at", psrc="10.2.0.9")) == [rt_a, eth_a]


def test_the_owner_first(net: Network) -> None:
    """With a delay of up to three hours, a question to all is not answered yet; one to rt's MAC is at once."""
    net.sysctl(rt_a, "net.ipv4.neigh.{}.proxy_delay", 1_000_000)
    for mac, path in ((BROADCAST, []), (rt_a.mac, [rt_a, eth_a])):
        with net.capture() as seen:
            net.send(Ether(dst=mac) / question, dev=eth_a)
        assert seen.path(question) == [eth_a, rt_a]
        assert seen.path(answer) == path


def test_a_mask_that_is_right(net: Network) -> None:
    """With /16 a has no way to d and asks nobody, unless the socket is bound to eth0: then all is on link."""
    net.del_address(eth_a, "10.1.0.2/8")
    net.add_address(eth_a, "10.1.0.2/16")
    with net.capture() as seen:
        assert net.ping("10.2.0.2", ns=a).error == "Network is unreachable"
    assert seen.count(ARP()) == 0
    with net.capture() as seen:
        assert net.ping("10.2.0.2", dev=eth_a).ttl == 63
    assert seen.path(ARP(op="who-has", psrc="10.1.0.2", pdst="10.2.0.2")) == [eth_a, rt_a]

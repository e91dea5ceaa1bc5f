"""A namespace starts empty.

    netns1                          host                                 ext
    +--------------------+         +-------------------------------+    +------------------+
    |  veth1 =================== veth0                   eth0 ========= eth0               |
    |  10.1.1.2/24       |         |  10.1.1.1/24   203.0.113.1/24 |    |  203.0.113.9/24  |
    |  no default route  |         |  drops echo requests for it   |    |                  |
    +--------------------+         +-------------------------------+    +------------------+

Routes and firewall rules belong to the namespace in which they were made, and a new one has none. So netns1 cannot
reach what lies beyond its cable: its own stack finds no route, and says so before there is a packet that the veth
could see or lose. And what host forbids is forbidden in host alone: netns1 neither shows the rule nor heeds it.

See network_namespaces(7), ip_route_output_key_hash_rcu() in net/ipv4/route.c, "struct netns_nf" in the kernel.
"""

from scapy.layers.inet import ICMP
from scapy.layers.l2 import Ether

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
netns1, host, ext = (topology.namespace(name) for name in ("netns1", "host", "ext"))
veth0, veth1 = host.veth("veth0", "veth1", netns=netns1)
eth0, far = host.veth("eth0", "eth0", netns=ext)
veth0.address("10.1.1.1/24")
veth1.address("10.1.1.2/24")
eth0.address("203.0.113.1/24")
far.address("203.0.113.9/24")
ext.route("10.1.1.0/24", via="203.0.113.1")
host.nft("table ip wall { chain in { type filter hook input priority filter; icmp type echo-request drop; }; }")

echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
WALL = "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP"


@confirms("netns-no-external-access-default")
@refutes("netns-no-external-reason-veth-stack")
def test_no_route(net: Network) -> None:
    """Refused at once for want of a route; neither end of the veth sees a packet or even a question."""
    assert [route.dst for route in net.routes(netns1)] == ["10.1.1.0/24"]
    with net.capture() as seen:
        answer = net.ping("203.0.113.9", ns=netns1)
    assert answer.error == "Network is unreachable"
    assert seen.where(Ether()) == set()


def test_with_a_route(net: Network) -> None:
    """Now the packet goes into the veth and comes out in host; host must forward it, and then ext answers."""
    net.add_route(netns1, "default", via="10.1.1.1")
    with net.capture() as seen:
        assert not net.ping("203.0.113.9", ns=netns1)
    assert seen.path(echo) == [veth1, veth0]
    net.sysctl(host, "net.ipv4.ip_forward", 1)
    with net.capture() as seen:
        assert net.ping("203.0.113.9", ns=netns1)
    assert seen.path(echo) == [veth1, veth0, eth0, far]
    assert seen.path(echo_reply) == [far, eth0, veth0, veth1]


@confirms("netns-isolated-firewall")
def test_a_rule_of_one(net: Network) -> None:
    """host hears the echo request and drops it, even on its own lo; netns1 has no rule and answers host."""
    assert [bool(net.run(ns, ["nft", "list", "ruleset"]).stdout) for ns in (host, netns1)] == [True, False]
    with net.capture() as seen:
        assert not net.ping("10.1.1.1", ns=netns1)
    assert (seen.path(echo), seen.where(echo_reply)) == ([veth1, veth0], set())
    assert net.ping("10.1.1.2", ns=host)
    assert [net.ping("127.0.0.1", ns=ns).ok for ns in (host, netns1)] == [False, True]


def test_the_rule_gone(net: Network) -> None:
    """Without it host answers too."""
    net.nft(host, "delete table ip wall")
    with net.capture() as seen:
        assert net.ping("10.1.1.1", ns=netns1)
    assert seen.path(echo_reply) == [veth0, veth1]


@confirms("netns-isolated-firewall")
def test_the_same_with_iptables(net: Network) -> None:
    """It shows three chains in netns1, all empty and with policy ACCEPT, also when host's INPUT has a rule."""
    net.nft(host, "delete table ip wall")
    assert net.run(host, ["iptables", *WALL.split()])
    empty = ["-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT"]
    assert net.run(host, ["iptables", "-S"]).stdout.splitlines() == [*empty, WALL]
    assert net.run(netns1, ["iptables", "-S"]).stdout.splitlines() == empty
    assert [net.ping(dst, ns=ns).ok for ns, dst in ((netns1, "10.1.1.1"), (host, "10.1.1.2"))] == [False, True]

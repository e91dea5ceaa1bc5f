"""An enslaved NIC becomes a cable: what arrives on it belongs to the bridge.

    host                                        gw                             ext
    +--------------------------------------+    +------------------------+     +----------------+
    |  veth1 ===== veth0 -- br0 -- eth0 =========== wan             lan =========== eth0        |
    |  .102                 .101   .21     |    |  192.168.3.1  10.9.0.1 |     |  10.9.0.2      |
    +--------------------------------------+    +------------------------+     +----------------+

As a port of br0 the host's NIC still sends, but receives nothing: the gateway's answer surfaces on br0. Yet of three
routes to that network eth0's is the oldest, and preferred. It goes with eth0's address, and the next oldest serves.

See "master" in ip-link(8), br_handle_frame() in net/bridge/br_input.c, fib_disable_ip() in net/ipv4/fib_frontend.c.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, depends, refutes

GW, EXT = "192.168.3.1", "10.9.0.2"
topology = Topology()
host, gw, outside = topology.namespace("host"), topology.namespace("gw"), topology.namespace("ext")
eth0, wan = host.veth("eth0", "wan", netns=gw)
veth0, veth1 = host.veth("veth0", "veth1")
br0 = host.bridge("br0", ports=[veth0, eth0])
lan, ext = gw.veth("lan", "eth0", netns=outside)

# Of equal routes the kernel takes the one that was added first: the order of these three is part of the story.
eth0.address("192.168.3.21/24")
veth1.address("192.168.3.102/24")
br0.address("192.168.3.101/24")
host.route("default", via=GW, dev=eth0)
wan.address("192.168.3.1/24")
lan.address("10.9.0.1/24")
ext.address("10.9.0.2/24")
outside.route("default", via="10.9.0.1")
gw.sysctl("net.ipv4.ip_forward", 1)  # gw is a router: it passes on what is for somebody else
request, reply = ARP(op="who-has", pdst=GW), ARP(op="is-at", psrc=GW)
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("phys-enslaved-becomes-cable", "route-prefers-old-eth0")
def test_the_port_keeps_its_address(net: Network) -> None:
    """eth0 asks, the gateway answers, br0 gets the answer; and eth0 is also what the routing chooses unasked."""
    with net.capture() as seen:
        assert not net.ping(GW, dev=eth0)
        assert not net.ping(GW, ns=host)
    assert seen.count(ARP(op="who-has", pdst=GW, psrc=eth0.ip)) == 2
    assert seen.path(request) == [eth0, wan]
    assert seen.path(reply) == [wan, eth0, br0]
    assert [entry.mac for entry in net.neighbours(eth0)] == [""]


@depends("gateway-unknown-to-bridge", on="the socket of ping: a raw one that is bound to br0 fails without a word")
def test_the_nic_is_no_port(net: Network) -> None:
    """Not enslaved, eth0 reaches the gateway and beyond; now it is br0 that asks in vain."""
    net.detach(eth0)
    with net.capture() as seen:
        assert net.ping(GW, dev=eth0)
        assert net.ping(EXT, ns=host)
    assert seen.path(reply) == [wan, eth0]
    assert str(net.ping(GW, dev=br0)) == "no answer"
    assert net.ping(GW, dev=br0, bind=False).icmp == (3, 1)  # Destination Host Unreachable


@pytest.mark.parametrize(("rp_filter", "answered"), [(0, True), (1, False), (2, True)])
@depends("phys-enslaved-br0-reaches-gw", "phys-enslaved-veth1-reaches-gw", on="rp_filter: 1 refuses the answer")
def test_br0_and_veth1_ask(net: Network, rp_filter: int, answered: bool) -> None:
    """Both reach the gateway through eth0, unless a strict rp_filter wants the answer where the first route points."""
    net.sysctl(host, "net.ipv4.conf.all.rp_filter", rp_filter)
    with net.capture() as seen:
        assert bool(net.ping(GW, dev=br0)) == answered
    assert seen.where(request) == {br0, eth0, wan, veth0, veth1}
    assert seen.path(reply) == seen.path(echo_reply) == [wan, eth0, br0]
    with net.capture() as seen:
        assert bool(net.ping(GW, dev=veth1)) == answered
    assert seen.path(echo) == [veth1, veth0, eth0, wan]
    assert seen.path(echo_reply) == [wan, eth0, veth0, veth1]


@confirms("del-eth0-addr-removes-connected", "del-eth0-addr-removes-default", "del-eth0-addr-ping-works")
@confirms("no-default-external-unreachable", "readd-default-external-ok")
def test_the_address_is_taken_off(net: Network) -> None:
    """Two routes go with the address; the next oldest serves, and a new default route leads out again."""
    assert [r.dst for r in net.routes(eth0)] == ["default", "192.168.3.0/24"]
    net.del_address(eth0, "192.168.3.21/24")
    assert [(r.dst, r.dev) for r in net.routes(host)] == [("192.168.3.0/24", "veth1"), ("192.168.3.0/24", "br0")]
    with net.capture() as seen:
        assert net.ping(GW, ns=host)
        assert net.ping(EXT, ns=host).error == "Network is unreachable"
        net.add_route(host, "default", via=GW)
        assert net.ping(EXT, ns=host)
    assert seen.paths(echo) == [[veth1, veth0, eth0, wan], [veth1, veth0, eth0, wan, lan, ext]]


@confirms("bridge-no-ip-still-forwards", "bridge-no-ip-no-veth-offline")
def test_no_address_on_the_bridge(net: Network) -> None:
    """br0 needs an address for traffic of its own only: it forwards veth1's; without veth1 nobody can send."""
    net.del_address(eth0, "192.168.3.21/24")
    net.del_address(br0, "192.168.3.101/24")
    with net.capture() as seen:
        assert net.ping(GW, ns=host)
    assert seen.path(echo) == [veth1, veth0, eth0, wan]
    net.delete(veth1)
    assert net.ping(GW, ns=host).error == "Network is unreachable"


@refutes("enslaved-eth0-ping-from-outside")
def test_asked_from_outside(net: Network) -> None:
    """It is eth0's address that answers, never br0's; what it takes is a route by br0, not an address on it."""
    net.delete(veth1)
    assert not net.ping(eth0.ip, ns=gw)  # br0 hears it, but the route back leaves by eth0, deaf to gw's MAC
    net.del_route(host, "192.168.3.0/24", dev=eth0)
    assert net.ping(eth0.ip, ns=gw).source == eth0.ip
    net.del_address(br0, "192.168.3.101/24")
    net.add_route(host, "192.168.3.0/24", dev=br0)
    assert net.ping(eth0.ip, ns=gw).source == eth0.ip

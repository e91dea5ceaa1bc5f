"""A bridge without ports goes nowhere.

    host                            h
    +-----------------------+       +------------+
    |  br0   (p1) ===================== eth0     |
    |  10.0.0.1/24          |       |  10.0.0.2  |
    +-----------------------+       +------------+

br0 is made and left down, and p1 is no port of it: that is where an act begins. Set up it has a carrier, though nothing
hangs on it, and its state is UNKNOWN: what it sends ends where it starts. Once its ports are counted, their carrier is
its own, and with none it reads NO-CARRIER and DOWN. They are counted when one comes or goes, and when the bridge gets
its MAC by hand: Docker writes one, so that docker0 reads DOWN from the start.

See br_port_state_selection() in net/bridge/br_stp.c and br_stp_change_bridge_id(), which calls it; br_add_if() in
net/bridge/br_if.c, rfc2863_policy() in net/core/link_watch.c, bridge(8).
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, PktlabError, Topology, confirms, depends, refutes

topology = Topology()
host, h = topology.namespace("host"), topology.namespace("h")
p1, eth0 = host.veth("p1", "eth0", netns=h)
br0 = host.bridge("br0").down()
br0.address("10.0.0.1/24")
eth0.address("10.0.0.2/24")
request, echo = ARP(op="who-has", pdst="10.0.0.2"), ICMP(type="echo-request")


@confirms("bridge-initial-state-down")
def test_as_it_was_made(net: Network) -> None:
    """Neither UP nor LOWER_UP, state DOWN; it has an address, and the network of that cannot be reached."""
    (link,) = net.links(br0)
    assert (link.flags, link.state) == (("BROADCAST", "MULTICAST"), "DOWN")
    assert link.addresses == ("10.0.0.1/24",)
    assert net.ping(eth0.ip, ns=host).error == "Network is unreachable"


@confirms("bridge-up-noport-state", "bridge-noport-useless")
def test_set_up(net: Network) -> None:
    """UP, LOWER_UP and UNKNOWN; its question is seen on br0 and nowhere else, only its own address answers, by lo."""
    net.up(br0)
    (link,) = net.links(br0)
    assert (link.flags, link.state) == (("UP", "BROADCAST", "MULTICAST", "LOWER_UP"), "UNKNOWN")
    with net.capture() as seen:
        assert net.ping(br0.ip, ns=host)
        assert net.ping(eth0.ip, ns=host).icmp == (3, 1)
    assert seen.path(request) == [br0]
    assert seen.path(echo) == [host.lo]


def test_with_a_port(net: Network) -> None:
    """With p1 as its port the same question arrives, and the state is UP."""
    net.up(br0)
    net.attach(p1, br0)
    assert net.links(br0)[0].state == "UP"
    with net.capture() as seen:
        assert net.ping(eth0.ip, ns=host)
    assert seen.path(request) == seen.path(echo) == [br0, p1, eth0]


@depends(
    "docker0-no-container-down", on="whether it has had a port, or a MAC by hand, as Docker writes: if not, UNKNOWN"
)
def test_the_last_port_leaves(net: Network) -> None:
    """After its last port has gone, or while the other end of its only port is down, br0 has no carrier."""
    net.up(br0)
    before = net.links(br0)[0]
    net.attach(p1, br0)
    net.down(eth0)
    idle = net.links(br0)[0]
    net.up(eth0)
    busy = net.links(br0)[0]
    net.detach(p1)
    after = net.links(br0)[0]
    assert (after.up, [each.carrier for each in (before, idle, busy, after)]) == (True, [True, False, True, False])
    assert [each.state for each in (before, idle, busy, after)] == ["UNKNOWN", "DOWN", "UP", "DOWN"]


@depends(
    "docker0-no-container-down", on="whether it has had a port, or a MAC by hand, as Docker writes: if not, UNKNOWN"
)
def test_a_mac_by_hand(net: Network) -> None:
    """With a MAC as Docker gives to docker0, br0 reads DOWN before it has had a port; and UP with one."""
    net.set_mac(br0, "02:42:ac:11:00:01")
    net.up(br0)
    assert [(each.up, each.carrier, each.state) for each in net.links(br0)] == [(True, False, "DOWN")]
    net.attach(p1, br0)
    assert net.links(br0)[0].state == "UP"


@confirms("bridge-link-state-cost")
def test_what_bridge_link_prints(net: Network) -> None:
    """A veth as port: forwarding, 32, and cost 2, as it claims 10 Gbit/s; disabled while its other end is down."""
    net.up(br0)
    net.attach(p1, br0)
    assert "master br0 state forwarding priority 32 cost 2" in net.run(host, ["bridge", "link"]).stdout
    net.down(eth0)
    assert "master br0 state disabled priority 32 cost 2" in net.run(host, ["bridge", "link"]).stdout


@refutes("bridge-any-device-enslavable")
def test_what_can_be_no_port(net: Network) -> None:
    """A veth, a macvlan and a tunnel can; a loopback, another bridge, and what carries a macvlan can not."""
    for words in ("other type bridge", "tunnel type vxlan id 7 dstport 4789", "child link p1 type macvlan"):
        assert net.run(host, ["ip", "link", "add", *words.split()])
    other, tunnel, child = (net.interface(host, name) for name in ("other", "tunnel", "child"))
    for device, words in (
        (host.lo, "Invalid argument"),
        (other, "Can not enslave a bridge to a bridge"),
        (p1, "Device or resource busy"),
    ):
        with pytest.raises(PktlabError, match=words):
            net.attach(device, br0)
    for device in (tunnel, child):
        net.attach(device, br0)
        assert net.links(device)[0].master == "br0"

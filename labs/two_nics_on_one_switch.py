"""Two NICs on one switch answer for each other, and which sysctl cures what.

    host                     switch                      peer
    +---------------+        +------------------+        +---------------+
    |  eth0 ================== p0 -+            |        |               |
    |  10.0.0.1/24  |        |     |-- br0 - pp ============ eth0         |
    |  eth1 ================== p1 -+            |        |  10.0.0.9/24  |
    |  10.0.0.2/24  |        |                  |        |               |
    +---------------+        +------------------+        +---------------+

Both NICs hear each question of peer's, and to Linux an address belongs to the host: both answer for both addresses.
arp_ignore is about what is asked on which interface: 1, only for its own addresses; 2, and only if the asker is in its
subnet; 8, never. arp_filter and a strict rp_filter ask for the route back, so that one NIC answers for all, unless
there is a route for each address. arp_announce is about the host's own questions. Of the value of "all" and that of
the interface the greater one holds; for arp_filter it is enough that one of them is set.

See arp_ignore(), arp_filter() and arp_solicit() in net/ipv4/arp.c, IN_DEV_MAXCONF() in include/linux/inetdevice.h,
the kernel's ip-sysctl.rst, RFC 1122 section 3.3.4.2.
"""

import pytest
from scapy.layers.l2 import ARP

from pktlab import Interface, Network, Topology, confirms

topology = Topology()
host, switch, peer = topology.namespace("host"), topology.namespace("switch"), topology.namespace("peer")
eth0, p0 = host.veth("eth0", "p0", netns=switch)
eth1, p1 = host.veth("eth1", "p1", netns=switch)
eth, pp = peer.veth("eth0", "pp", netns=switch)
br0 = switch.bridge("br0", ports=[p0, p1, pp])
eth0.address("10.0.0.1/24")  # declared first: host's route to peer is eth0's
eth1.address("10.0.0.2/24")
eth.address("10.0.0.9/24")


def who_answers(net: Network, address: str, asker: str = "10.0.0.9") -> list[Interface]:
    """Ask from peer who has an address of host's, and return the interfaces that answer."""
    with net.capture() as seen:
        net.send(ARP(op="who-has", psrc=asker, pdst=address), dev=eth)
    return sorted((path[0] for path in seen.paths(ARP(op="is-at", psrc=address))), key=lambda found: found.name)


def test_both_answer(net: Network) -> None:
    """For each of the two addresses; with p1 alone on the switch eth1 does, though host sends back out of eth0."""
    assert (who_answers(net, "10.0.0.1"), who_answers(net, "10.0.0.2")) == ([eth0, eth1], [eth0, eth1])
    assert net.ping("10.0.0.1", ns=peer)
    net.detach(p0)
    assert (who_answers(net, "10.0.0.1"), who_answers(net, "10.0.0.2")) == ([eth1], [eth1])
    assert not net.ping("10.0.0.1", ns=peer)


@confirms("arp-ignore-fixes-flux")
@pytest.mark.parametrize(("value", "near", "far"), [(0, 2, 2), (1, 1, 1), (2, 1, 0), (8, 0, 0)])
def test_arp_ignore(net: Network, value: int, near: int, far: int) -> None:
    """How many answer for 10.0.0.2 to an asker of their subnet, and to one of another; a single one is the owner."""
    assert who_answers(net, "10.0.0.2") == [eth0, eth1]
    net.sysctl(host, "net.ipv4.conf.all.arp_ignore", value)
    assert who_answers(net, "10.0.0.2") == [eth0, eth1][2 - near :]
    assert who_answers(net, "10.0.0.2", asker="10.7.7.7") == [eth0, eth1][2 - far :]


def test_on_one_interface(net: Network) -> None:
    """arp_ignore on eth0 silences eth0 alone; arp_filter on eth1 alone does it for eth1, where no route leads back."""
    net.sysctl(eth0, "net.ipv4.conf.{}.arp_ignore", 1)
    assert (who_answers(net, "10.0.0.1"), who_answers(net, "10.0.0.2")) == ([eth0, eth1], [eth1])
    net.sysctl(eth1, "net.ipv4.conf.{}.arp_filter", 1)
    assert (who_answers(net, "10.0.0.1"), who_answers(net, "10.0.0.2")) == ([eth0], [])


@confirms("arp-filter-fixes-flux", "rp-filter-affects-arp-reply")
@pytest.mark.parametrize(("sysctl", "value"), [("arp_filter", 1), ("rp_filter", 1), ("rp_filter", 2)])
def test_the_route_back(net: Network, sysctl: str, value: int) -> None:
    """A strict look at it leaves eth0 for both addresses, and each its own where each has its own route."""
    net.sysctl(host, f"net.ipv4.conf.all.{sysctl}", value)
    loose = (sysctl, value) == ("rp_filter", 2)
    assert who_answers(net, "10.0.0.1") == who_answers(net, "10.0.0.2") == ([eth0, eth1] if loose else [eth0])
    net.add_route(host, "10.0.0.0/24", dev=eth1, table=2)
    net.run(host, ["ip", "rule", "add", "from", "10.0.0.2", "table", "2"])
    assert who_answers(net, "10.0.0.1") == ([eth0, eth1] if loose else [eth0])
    assert who_answers(net, "10.0.0.2") == ([eth0, eth1] if loose else [eth1])


@confirms("arp-announce-effect")
@pytest.mark.parametrize(("value", "near", "far"), [(0, ".0.1", ".9.9"), (1, ".0.1", ".0.2"), (2, ".0.2", ".0.2")])
def test_arp_announce(net: Network, value: int, near: str, far: str) -> None:
    """eth1 asks for packets from 10.0.0.1 and from 10.0.9.9: 1 spares peer a foreign subnet, 2 any other address."""
    net.sysctl(host, "net.ipv4.conf.all.arp_announce", value)
    net.add_address(host.lo, "10.0.9.9/32")
    for source, sender in (("10.0.0.1", near), ("10.0.9.9", far)):
        net.flush_neighbours(host)
        with net.capture() as seen:
            net.ping("10.0.0.9", dev=eth1, src=source)
        assert seen.path(ARP(op="who-has", pdst="10.0.0.9", psrc="10.0" + sender))[:2] == [eth1, p1]
    assert who_answers(net, "10.0.0.2") == [eth0, eth1]

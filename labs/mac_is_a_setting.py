"""A MAC is a setting, and who has cached the old one goes on using it.

    a                  switch                 b
    +-----------+      +----------------+     +------------+
    |  eth0 ============ pa -- br0 -- pb ======== eth0     |
    |  10.0.0.1 |      |                |     |  10.0.0.2  |
    +-----------+      +----------------+     +------------+

The 48 bits of a MAC are written with twelve hexadecimal digits, and one command changes them, as another one changes
the IP address. The neighbours are not told: a's frames for the old MAC still come to b's NIC, and b's IP stack is not
given them, for they are somebody else's (PACKET_OTHERHOST). It takes a word of b's, and arp_notify has it say one.

See "address" in ip-link(8), eth_type_trans() in net/ethernet/eth.c, ip_rcv_core() in net/ipv4/ip_input.c, packet(7),
neigh_changeaddr() in net/core/neighbour.c, "arp_notify" in the kernel's ip-sysctl.rst.
"""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
a, b, switch = topology.namespace("a"), topology.namespace("b"), topology.namespace("switch")
eth_a, pa = a.veth("eth0", "pa", netns=switch)
eth_b, pb = b.veth("eth0", "pb", netns=switch)
br0 = switch.bridge("br0", ports=[pa, pb])
eth_a.address("10.0.0.1/24")
eth_b.address("10.0.0.2/24")

OLD, NEW = eth_b.mac, "02:11:22:33:44:55"
echo = ICMP(type="echo-request")


def received(net: Network) -> int:
    """How many packets b's IP stack has been given (InReceives, RFC 4293)."""
    names, values = net.run(b, ["cat", "/proc/net/snmp"]).stdout.splitlines()[:2]
    return int(dict(zip(names.split(), values.split(), strict=True))["InReceives"])


@refutes("mac-immutable")
@confirms("mac-48-bit")
def test_changed_while_up(net: Network) -> None:
    """Any unicast address of 48 bits will do, and b is reached by it; 40 bits, a group's or none are refused."""
    for wrong in ("02:11:22:33:44", "01:11:22:33:44:55", "00:00:00:00:00:00"):
        assert not net.run(b, ["ip", "link", "set", "eth0", "address", wrong])
    net.set_mac(eth_b, NEW)
    (link,) = net.links(eth_b)
    assert (link.mac, link.state, link.addresses) == (NEW, "UP", ("10.0.0.2/24",))
    assert len(NEW.replace(":", "")) == 12
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=eth_a)
    for request in seen.frames(echo):
        assert request.data[:6] == bytes.fromhex(NEW.replace(":", ""))  # 48 bits
    assert seen.path(Ether(src=NEW, dst=eth_a.mac) / ARP(op="is-at", hwsrc=NEW)) == [eth_b, pb, pa, eth_a]


@confirms("mac-foreign-dst-dropped")
def test_who_had_cached_the_old_one(net: Network) -> None:
    """a's frame comes to b, and b's IP never sees it, in promiscuous mode neither, until b itself asks for a."""
    assert net.ping("10.0.0.2", dev=eth_a)
    net.set_mac(eth_b, NEW)
    before = received(net)
    with net.capture() as seen:
        assert not net.ping("10.0.0.2", dev=eth_a)
        net.run(b, ["ip", "link", "set", "eth0", "promisc", "on"])
        assert not net.ping("10.0.0.2", dev=eth_a)
    assert (seen.count(ARP()), received(net) - before) == (0, 0)
    assert seen.path(Ether(dst=OLD) / IP() / echo) == [eth_a, pa, pb, eth_b]
    assert net.neighbours(eth_b) == []  # b's own cache was emptied by the change
    assert net.ping("10.0.0.1", dev=eth_b)
    assert [entry.mac for entry in net.neighbours(eth_a)] == [NEW]
    assert net.ping("10.0.0.2", dev=eth_a)


def test_the_old_one_again(net: Network) -> None:
    """With its MAC put back b takes the frames that a goes on sending there: the MAC alone was the cause."""
    assert net.ping("10.0.0.2", dev=eth_a)
    net.set_mac(eth_b, NEW)
    net.set_mac(eth_b, OLD)
    before = received(net)
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=eth_a)
    assert seen.path(Ether(dst=OLD) / IP() / echo) == [eth_a, pa, pb, eth_b]
    assert received(net) - before == 1


@pytest.mark.parametrize("arp_notify", [0, 1])
def test_told_at_once(net: Network, arp_notify: int) -> None:
    """With arp_notify=1 b tells everybody of its new MAC, in a question about itself, and a believes it."""
    net.sysctl(b, "net.ipv4.conf.all.arp_notify", arp_notify)
    assert net.ping("10.0.0.2", dev=eth_a)
    with net.capture() as seen:
        net.set_mac(eth_b, NEW)
    announcement = Ether(src=NEW, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=NEW, psrc="10.0.0.2", pdst="10.0.0.2")
    assert seen.where(announcement) == ({eth_b, pb, br0, pa, eth_a} if arp_notify else set())
    assert [entry.mac for entry in net.neighbours(eth_a)] == [NEW if arp_notify else OLD]
    assert bool(net.ping("10.0.0.2", dev=eth_a)) == bool(arp_notify)


@confirms("ip-changeable-mac-phone-analogy")
def test_another_ip_address(net: Network) -> None:
    """b with another IP address has the same MAC as before, and is reached by the new address only."""
    net.del_address(eth_b, "10.0.0.2/24")
    net.add_address(eth_b, "10.0.0.22/24")
    with net.capture() as seen:
        assert net.ping("10.0.0.22", dev=eth_a)
        assert not net.ping("10.0.0.2", dev=eth_a)
    assert [entry.mac for entry in net.neighbours(eth_a)] == ["", OLD]
    assert (net.links(eth_b)[0].mac, seen.path(Ether(dst=OLD) / IP() / echo)) == (OLD, [eth_a, pa, pb, eth_b])

"""An ARP cache keeps who spoke to its host.

                   +------- switch -------+
    a eth0 ========= pa -+        +- pb ========= eth0 b
    10.0.0.1       |     +- br0 --+       |       10.0.0.2
                   |              +- pc ========= eth0 c
                   +----------------------+       10.0.0.3
    a eth1 ====================================== eth0 twin
    10.0.0.101                                    10.0.0.2

a asks everybody for 10.0.0.2. b answers, and keeps a's MAC out of the question, for an answer is due to a. c, who was
not asked, keeps nothing. The entry belongs to the interface: behind eth1 10.0.0.2 is somebody else. An entry that is
to be used again after a while is checked by a question to the one MAC. And whoever says that an address is his is
believed, if the host has an entry to correct, or arp_accept is set.

See RFC 826, RFC 5227, arp_process() and arp_is_garp() in net/ipv4/arp.c, ip-neighbour(8), arp(7), and "arp_accept" in
the kernel's ip-sysctl.rst.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
a, b, c, twin, switch = (topology.namespace(name) for name in ("a", "b", "c", "twin", "switch"))
eth_a, pa = a.veth("eth0", "pa", netns=switch)
eth_b, pb = b.veth("eth0", "pb", netns=switch)
eth_c, pc = c.veth("eth0", "pc", netns=switch)
br0 = switch.bridge("br0", ports=[pa, pb, pc])
other, eth_twin = a.veth("eth1", "eth0", netns=twin)
eth_a.address("10.0.0.1/24")
eth_b.address("10.0.0.2/24")
eth_c.address("10.0.0.3/24")
other.address("10.0.0.101/24")
eth_twin.address("10.0.0.2/24")

BROADCAST = "ff:ff:ff:ff:ff:ff"
question, answer = ARP(op="who-has", pdst="10.0.0.2"), ARP(op="is-at", psrc="10.0.0.2")
echo = ICMP(type="echo-request")


@confirms("arp-request-broadcast", "arp-reply-unicast", "arp-requester-caches", "arp-target-learns-requester")
@confirms("arp-bystanders-do-not-learn")
def test_who_keeps_what(net: Network) -> None:
    """All hear the question, a alone the answer; a keeps what it was told, b who asked, and c nothing until asked."""
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=eth_a)
    assert seen.where(Ether(src=eth_a.mac, dst=BROADCAST) / question) == {eth_a, pa, br0, pb, pc, eth_b, eth_c}
    assert seen.path(Ether(src=eth_b.mac, dst=eth_a.mac) / answer) == [eth_b, pb, pa, eth_a]
    assert seen.count(ARP()) == 2
    assert [(entry.mac, entry.state) for entry in net.neighbours(eth_a)] == [(eth_b.mac, "REACHABLE")]
    assert [(entry.address, entry.mac) for entry in net.neighbours(eth_b)] == [("10.0.0.1", eth_a.mac)]
    assert net.neighbours(c) == net.neighbours(switch) == []
    assert net.ping("10.0.0.3", dev=eth_a)
    assert [entry.mac for entry in net.neighbours(c)] == [eth_a.mac]


@confirms("arp-cache-skips-request")
def test_nothing_to_ask(net: Network) -> None:
    """With an entry no question comes before the data; an entry in doubt is checked by unicast; a lost one by all."""
    assert net.ping("10.0.0.2", dev=eth_a)
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=eth_a)
        assert net.ping("10.0.0.1", dev=eth_b)
    assert seen.count(ARP()) == 0
    with net.capture() as seen:
        net.run(a, ["ip", "neigh", "change", "10.0.0.2", "dev", "eth0", "nud", "probe"])
    assert seen.where(Ether(dst=eth_b.mac) / question) == {eth_a, pa, pb, eth_b}
    assert [entry.state for entry in net.neighbours(eth_a)] == ["REACHABLE"]
    net.flush_neighbours(eth_a)
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=eth_a)
    assert seen.count(Ether(dst=BROADCAST) / question) == 1


@pytest.mark.parametrize("arp_accept", [0, 1])
def test_a_word_unasked(net: Network, arp_accept: int) -> None:
    """c says that 10.0.0.2 is at c: a corrects its entry and sends there; b, who has none, makes one if told to."""
    net.sysctl(b, "net.ipv4.conf.all.arp_accept", arp_accept)
    assert net.ping("10.0.0.2", dev=eth_a)
    net.flush_neighbours(eth_b)
    with net.capture() as seen:
        for address in "10.0.0.2", "10.0.0.7":
            net.send(ARP(op="who-has", psrc=address, pdst=address), dev=eth_c)
        assert not net.ping("10.0.0.2", dev=eth_a)
    assert seen.path(echo) == [eth_a, pa, pc, eth_c]
    assert [(entry.address, entry.mac) for entry in net.neighbours(eth_a)] == [("10.0.0.2", eth_c.mac)]
    assert [entry.address for entry in net.neighbours(eth_b)] == ["10.0.0.7"] * arp_accept


@confirms("neigh-per-interface")
def test_one_address_two_neighbours(net: Network) -> None:
    """10.0.0.2 is b behind eth0 and twin behind eth1; a keeps both, and to forget the one leaves the other."""
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=eth_a)
        assert net.ping("10.0.0.2", dev=other)
    assert seen.paths(echo) == [[eth_a, pa, pb, eth_b], [other, eth_twin]]
    assert {(n.address, n.dev, n.mac) for n in net.neighbours(a)} == {
        ("10.0.0.2", "eth0", eth_b.mac),
        ("10.0.0.2", "eth1", eth_twin.mac),
    }
    net.flush_neighbours(eth_a)
    assert [entry.dev for entry in net.neighbours(a)] == ["eth1"]


@refutes("device-has-ip-mask-arp-route", "arp-cache-every-device")
def test_what_a_device_has(net: Network) -> None:
    """A MAC, addresses from none to many, neighbours if it asks for any; one table of routes serves the namespace."""
    net.add_address(eth_a, "10.0.5.1/16")
    assert net.ping("10.0.0.2", dev=eth_a)
    assert {link.name: len(link.addresses) for link in net.links(a)} == {"lo": 1, "eth0": 2, "eth1": 1}
    assert [(route.dev, route.table) for route in net.routes(a)] == [("eth0", 254), ("eth1", 254), ("eth0", 254)]
    assert [len(net.neighbours(device)) for device in (a.lo, eth_a, other)] == [0, 1, 0]
    for device in br0, pa, pb, pc:
        assert [(link.mac, link.addresses) for link in net.links(device)] == [(device.mac, ())]
    assert (net.neighbours(switch), net.routes(switch)) == ([], [])

"""An access point takes one MAC.

    guest              laptop                            ap                  gw
    +----------+       +-----------------------+         +------------+      +-----------+
    |  eth0 =========== vg -- br0 -- wlan0 = ~ ~ ~ ~ = = st -- air -- lan ===== eth0     |
    |  .7.3    |       |      .7.2             |         |            |      |  .7.1     |
    +----------+       +-----------------------+         +------------+      +-----------+

A station has logged in with its own MAC, and the access point passes on no frame from another: a guest that is merely
bridged to wlan0 is not heard. There is no radio here; a rule does what the access point would. Two cures: what virtual
machine monitors do, writing wlan0's MAC into what leaves and the guest's into what comes in, by its IP address, in the
ARP too; or to route, and answer for the guest with proxy ARP. A macvlan is no cure, having a MAC of its own.

See IEEE 802.11-2020, 9.3.2.1 (a station's frames have three addresses); nft(8); proxy_arp in ip-sysctl.rst.
"""

from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

from pktlab import Network, Topology

topology = Topology()
guest, laptop, ap, gw = (topology.namespace(name) for name in ("guest", "laptop", "ap", "gw"))
wlan0, st = laptop.veth("wlan0", "st", netns=ap, mac="02:00:00:00:00:01")
guest0, vg = guest.veth("eth0", "vg", netns=laptop, mac="02:00:00:00:00:03")
lan, gw0 = ap.veth("lan", "eth0", netns=gw)
br0 = laptop.bridge("br0", ports=[wlan0, vg])
air = ap.bridge("air", ports=[st, lan])
guest0.address("192.168.7.3/24")
br0.address("192.168.7.2/24")
gw0.address("192.168.7.1/24")
ap.nft("""
table netdev access {
    chain station { type filter hook ingress device "st" priority 0; ether saddr != 02:00:00:00:00:01 drop; }
}""")

request = ARP(op="who-has", pdst=gw0.ip)
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")
REWRITE = """
table bridge guest {
    chain out {
        type filter hook postrouting priority 0
        oifname "wlan0" ether saddr 02:00:00:00:00:03 arp saddr ether set 02:00:00:00:00:01
        oifname "wlan0" ether saddr set 02:00:00:00:00:01
    }
    chain in {
        type filter hook prerouting priority dstnat
        iifname "wlan0" ether daddr 02:00:00:00:00:01 ip daddr 192.168.7.3 ether daddr set 02:00:00:00:00:03
        iifname "wlan0" ether daddr 02:00:00:00:00:01 arp daddr ip 192.168.7.3 ether daddr set 02:00:00:00:00:03
    }
}"""


def test_guest_is_bridged(net: Network) -> None:
    """The laptop itself gets through; the guest's question ends at the access point."""
    assert net.ping(gw0.ip, ns=laptop)
    with net.capture() as seen:
        assert not net.ping(gw0.ip, ns=guest)
    assert seen.where(request) == {guest0, vg, br0, wlan0, st}


def test_any_mac_is_taken(net: Network) -> None:
    """Were the access point a switch, the guest would be heard."""
    net.nft(ap, "flush ruleset")
    with net.capture() as seen:
        assert net.ping(gw0.ip, ns=guest)
    assert seen.path(echo) == [guest0, vg, wlan0, st, lan, gw0]


def test_macvlan(net: Network) -> None:
    """A macvlan of wlan0 has a MAC of its own, and is not heard either."""
    net.detach(wlan0)
    assert net.run(laptop, ["ip", "link", "add", "mv0", "link", "wlan0", "type", "macvlan", "mode", "bridge"])
    mv0 = net.interface(laptop, "mv0")
    net.up(mv0)
    with net.capture() as seen:
        net.send(Ether(src=mv0.mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op="who-has", pdst=gw0.ip), dev=mv0)
    assert seen.path(request) == [mv0, wlan0, st]


def test_macs_are_rewritten(net: Network) -> None:
    """Beyond wlan0 the guest has wlan0's MAC, and the gateway takes guest and laptop for one machine."""
    net.nft(laptop, REWRITE)
    with net.capture() as seen:
        assert net.ping(gw0.ip, ns=guest)
    assert seen.path(echo) == [guest0, vg, wlan0, st, lan, gw0]
    assert seen.where(Ether(src=wlan0.mac) / ARP(op="who-has", hwsrc=wlan0.mac)) == {wlan0, st, air, lan, gw0}
    assert [(entry.address, entry.mac) for entry in net.neighbours(gw0)] == [(guest0.ip, wlan0.mac)]


def test_guest_is_routed(net: Network) -> None:
    """wlan0 out of the bridge, a route to the guest, and each side's questions answered by the laptop."""
    net.detach(wlan0)
    net.move_address("192.168.7.2/24", br0, wlan0)
    net.add_route(laptop, "192.168.7.3/32", dev=br0)
    net.sysctl(laptop, "net.ipv4.ip_forward", 1)
    for device in (wlan0, br0):
        net.sysctl(device, "net.ipv4.conf.{}.proxy_arp", 1)
    with net.capture() as seen:
        assert net.ping(gw0.ip, ns=guest)
    assert seen.path(echo) == [guest0, vg, br0, wlan0, st, lan, gw0]
    assert seen.path(echo_reply) == [gw0, lan, st, wlan0, br0, vg, guest0]
    assert (guest0.ip, wlan0.mac) in [(entry.address, entry.mac) for entry in net.neighbours(gw0)]

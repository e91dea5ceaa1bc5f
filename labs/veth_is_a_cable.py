"""A veth pair is a cable.

    host                                      ns1                         ns2
    +--------------------------+             +-------------------+       +---------+
    |  veth0 ===================================== veth1         |       | (empty) |
    |  192.168.1.1/24          |             |  192.168.1.2/24   |       |         |
    +--------------------------+             +-------------------+       +---------+

What is transmitted on one end is received on the other, whatever it is and wherever that end lies: veth compares no
address and adds no padding. So the host asks for 192.168.1.2 as on any wire, by broadcast, also when the ping names
veth0; it has no question about veth0 itself. Pull one end down and the other loses its carrier. Carry an end to another
namespace and it arrives with its name, MAC and ifindex, but down and without addresses.

See veth(4), veth_xmit() in drivers/net/veth.c, default_operstate() in net/core/link_watch.c, RFC 826.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from pktlab import Network, PktlabError, Topology, confirms, depends, refutes

topology = Topology()
host, ns1, ns2 = (topology.namespace(name) for name in ("host", "ns1", "ns2"))
veth0, veth1 = host.veth("veth0", "veth1", netns=ns1)
veth0.address("192.168.1.1/24")
veth1.address("192.168.1.2/24")

question = ARP(op="who-has", psrc="192.168.1.1", pdst="192.168.1.2")
answer = ARP(op="is-at", psrc="192.168.1.2", pdst="192.168.1.1")
stranger = Ether(dst="02:00:00:00:99:99", src="02:00:00:00:88:88", type=0x88B5) / Raw(b"x")
echo, echo_reply = ICMP(type="echo-request"), ICMP(type="echo-reply")


@confirms("veth-tx-is-peer-rx")
@refutes("eth-header-fields", "eth-min-payload-46", "veth-end-compares-target-ip")
def test_any_frame(net: Network) -> None:
    """It comes out as it went in: 1 byte of payload, foreign MACs, a question for veth0's own address or a third."""
    questions = [ARP(op="who-has", psrc="192.168.1.9", pdst=f"192.168.1.{last}") for last in (1, 2, 3)]
    with net.capture() as seen:
        net.send([stranger, *(Ether(dst="ff:ff:ff:ff:ff:ff") / each for each in questions)], dev=veth0)
    for frame in (stranger, *questions):
        sent, received = seen.frames(frame)
        assert (sent.interface, received.interface, sent.data) == (veth0, veth1, received.data)
    assert seen.frames(stranger)[0].data == bytes.fromhex("020000009999 020000008888 88b5") + b"x"


@confirms("veth-ping-across-ns", "veth-peer-answers-arp-with-own-mac", "veth-icmp-reply-goes-back-via-pair")
@confirms("veth-arp-cached-second-ping-no-arp")
@refutes("veth-arp-no-broadcast-with-dash-i", "veth-arp-host-first-resolves-own-veth0")
def test_ping_out_of_one_end(net: Network) -> None:
    """One question, broadcast, about veth1 alone; veth1 answers for itself, and the second ping asks nobody."""
    with net.capture() as seen:
        assert net.ping("192.168.1.2", dev=veth0).ttl == 64
    assert seen.path(Ether(dst="ff:ff:ff:ff:ff:ff", src=veth0.mac) / question) == [veth0, veth1]
    assert seen.path(Ether(dst=veth0.mac, src=veth1.mac) / answer) == [veth1, veth0]
    assert (seen.path(echo), seen.path(echo_reply)) == ([veth0, veth1], [veth1, veth0])
    assert seen.count(ARP(op="who-has")) == 1
    with net.capture() as seen:
        assert net.ping("192.168.1.2", dev=veth0)
        assert net.ping("192.168.1.1", dev=veth1).ttl == 64
    assert seen.count(ARP()) == 0


@refutes("veth-recipe-one-up-enough")
@depends("veth-peer-down-lowerlayerdown", on="whether both ends are in one namespace; else DOWN, save by chance")
def test_other_end_down(net: Network) -> None:
    """No carrier, and no question leaves. The state reads DOWN; LOWERLAYERDOWN beside veth1, or who has its ifindex."""
    net.down(veth1)
    assert [(link.up, link.carrier, link.state) for link in net.links(veth0)] == [(True, False, "DOWN")]
    with net.capture() as seen:
        assert not net.ping("192.168.1.2", dev=veth0)
    assert seen.where(ARP()) == set()
    # The kernel looks for its peer by ifindex, in its own namespace: a stranger's will do.
    assert net.run(host, ["ip", "link", "add", "v0", "index", str(veth1.index), "type", "veth", "peer", "v1"])
    net.up(veth1)
    net.down(veth1)
    assert net.links(veth0)[0].state == "LOWERLAYERDOWN"
    assert net.run(host, ["ip", "link", "del", "v0"])
    near = net.move(veth1, host)
    net.up(near)
    net.down(near)
    assert net.links(veth0)[0].state == "LOWERLAYERDOWN"
    assert "<NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN>" in net.run(host, ["ip", "link", "show", "veth0"]).stdout


@confirms("veth-move-loses-address-and-down", "veth-names-follow-ns", "netns-root-moves-devices", "veth-crosses-ns")
def test_end_moved(net: Network) -> None:
    """It arrives down and bare, but itself; once it is up and has an address again, the cable is whole."""
    near = net.move(veth1, host)
    assert [(link.name, link.up, link.addresses) for link in net.links(near)] == [("veth1", False, ())]
    far = net.move(near, ns2)
    shown = net.run(host, ["ip", "link"]).stdout
    assert [word in shown for word in (f"veth0@if{veth1.index}:", "link-netns ns2", "veth1")] == [True, True, False]
    # Where host has no name, as in the documents, ns2 can show it by number only.
    shown = net.run(ns2, ["unshare", "--mount", "sh", "-c", "umount /run/netns/host && ip link"]).stdout
    assert [word in shown for word in (f"{veth1.index}: veth1@if{veth0.index}:", "link-netnsid 0")] == [True, True]
    net.up(far)
    net.add_address(far, "192.168.1.2/24")
    with net.capture() as seen:
        assert net.ping("192.168.1.2", dev=veth0)
    assert (seen.path(echo), seen.path(echo_reply)) == ([veth0, far], [far, veth0])


@confirms("veth-created-in-pair", "veth-initial-down", "veth-mac-auto-assigned", "veth-peer-lower-ifindex")
def test_pair_created_and_deleted(net: Network) -> None:
    """One command makes two ends, both down, the peer first; deleting one takes the other along, wherever it is."""
    net.run(host, ["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"])
    v0, v1 = net.interface(host, "v0"), net.interface(host, "v1")
    assert v1.index < v0.index
    for end in (v0, v1):
        assert int(end.mac[:2], 16) & 3 == 2  # locally administered, unicast
        shown = net.run(host, ["ip", "link", "show", end.name]).stdout
        assert "<BROADCAST,MULTICAST,M-DOWN> mtu 1500 qdisc noop state DOWN" in shown
    with pytest.raises(PktlabError, match="Network is down"):
        net.send(stranger, dev=v0)
    assert [link.name for link in net.links(ns1)] == ["lo", "veth1"]
    net.delete(veth0)
    assert [link.name for link in net.links(ns1)] == ["lo"]

"""Two ARP replies for one question: a Linux host answers for all its addresses on every interface that hears it.

    host                                           gw
    +-----------------------------------------+    +-------------------+
    |   veth1 ===== veth0 --- br0 --- eth0 =========== gw0             |
    |   .102                  .101            |    |   192.168.3.1     |
    +-----------------------------------------+    +-------------------+

br0 and veth1 hear the same broadcasts, since veth1 hangs on a port of br0. An address belongs to the host, not to the
interface that it is written on, so both answer for both addresses, each with its own MAC. The asker keeps one of the
two, and what it then sends comes in there. Several sysctls silence one of them; a stack for each address needs none.

See RFC 1122 section 3.3.4.2 (weak and strong host), arp_process() in net/ipv4/arp.c, the kernel's ip-sysctl.rst.
"""

import pytest
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, depends, refutes

topology = Topology()
host, gw, pod = topology.namespace("host"), topology.namespace("gw"), topology.namespace("pod")
eth0, gw0 = host.veth("eth0", "gw0", netns=gw)
veth0, veth1 = host.veth("veth0", "veth1")
br0 = host.bridge("br0", ports=[eth0, veth0])
br0.address("192.168.3.101/24")  # declared first: host's route to gw is br0's
veth1.address("192.168.3.102/24")
gw0.address("192.168.3.1/24")

echo_reply = ICMP(type="echo-reply")
BR0, VETH1 = [br0, eth0, gw0], [veth1, veth0, eth0, gw0]  # the way of an answer of each
CURES = {
    ("arp_ignore", 1): ([BR0], [VETH1]),  # answer only for addresses of the interface that hears the question
    ("arp_ignore", 2): ([BR0], [VETH1]),  # and only if the asker is in its subnet
    ("arp_filter", 1): ([BR0], [BR0]),  # answer only on the interface by which the route leads to the asker
    ("rp_filter", 1): ([BR0], [BR0]),  # strict: elsewhere the asker is not believed
    ("rp_filter", 2): ([BR0, VETH1], [BR0, VETH1]),  # loose: any route to the asker will do
}


def answers(net: Network, address: str) -> list[list[object]]:
    """Ask from gw who has an address, and return the paths of the answers, the shortest first."""
    with net.capture() as seen:
        net.send(ARP(op="who-has", pdst=address), dev=gw0)
    return sorted(map(list, seen.paths(ARP(op="is-at", psrc=address))), key=len)


@confirms("arp-two-replies")
def test_one_stack(net: Network) -> None:
    """Whichever of the two addresses is asked for, br0 answers and veth1 answers, with a MAC each."""
    assert answers(net, br0.ip) == [BR0, VETH1]
    with net.capture() as seen:
        net.send(ARP(op="who-has", pdst=veth1.ip), dev=gw0)
    assert seen.path(ARP(op="is-at", psrc=veth1.ip, hwsrc=br0.mac)) == BR0
    assert seen.path(ARP(op="is-at", psrc=veth1.ip, hwsrc=veth1.mac)) == VETH1


@confirms("separate-stacks-no-flux")
def test_a_stack_for_each_address(net: Network) -> None:
    """With veth1 in a namespace of its own, each address has one owner and one answer."""
    moved = net.move(veth1, pod)
    net.up(moved)
    net.add_address(moved, "192.168.3.102/24")
    assert answers(net, br0.ip) == [BR0]
    assert answers(net, "192.168.3.102") == [[moved, veth0, eth0, gw0]]


@refutes("arp-flux-which-wins-varies")
def test_which_answer_is_used(net: Network) -> None:
    """gw keeps the first of two answers, always br0's; but a question that veth1 asks tells it another MAC."""
    for _ in range(40):
        assert net.ping(veth1.ip, dev=gw0)
        assert [entry.mac for entry in net.neighbours(gw0) if entry.address == veth1.ip] == [br0.mac]
        net.del_neighbour(gw0, veth1.ip)
    net.flush_neighbours(veth1)
    assert net.ping(gw0.ip, dev=veth1)
    assert [entry.mac for entry in net.neighbours(gw0) if entry.address == veth1.ip] == [veth1.mac]


@confirms("arp-flux-reply-wrong-iface")
def test_answered_where_nobody_waits(net: Network) -> None:
    """Where gw holds br0's MAC for veth1's address, veth1 asks and br0 is answered."""
    for mac, path in ((br0.mac, [gw0, eth0, br0]), (veth1.mac, [gw0, eth0, veth0, veth1])):
        net.add_neighbour(gw0, veth1.ip, mac)
        with net.capture() as seen:
            assert bool(net.ping(gw0.ip, dev=veth1)) == (mac == veth1.mac)
        assert seen.path(echo_reply) == path


@confirms("arp-ignore-fixes-flux", "arp-filter-fixes-flux", "rp-filter-affects-arp-reply")
@pytest.mark.parametrize(("sysctl", "value"), CURES)
def test_cures(net: Network, sysctl: str, value: int) -> None:
    """arp_ignore leaves the owner's answer, arp_filter and a strict rp_filter the route's; a loose one leaves both."""
    net.sysctl(host, f"net.ipv4.conf.all.{sysctl}", value)
    assert (answers(net, br0.ip), answers(net, veth1.ip)) == CURES[sysctl, value]


@confirms("arp-announce-effect")
@pytest.mark.parametrize(("value", "sender"), [(0, br0.ip), (1, br0.ip), (2, veth1.ip)])
def test_no_cure(net: Network, value: int, sender: str) -> None:
    """arp_announce is about questions: at 2 veth1 asks with its own address. The answers stay two."""
    net.sysctl(host, "net.ipv4.conf.all.arp_announce", value)
    with net.capture() as seen:
        net.ping(gw0.ip, dev=veth1, src=br0.ip)
    assert seen.where(ARP(op="who-has", pdst=gw0.ip, psrc=sender)) == {veth1, veth0, br0, eth0, gw0}
    assert answers(net, veth1.ip) == [BR0, VETH1]


@depends("same-mac-workaround", on="whether the program is bound to veth1, which gets nothing: that MAC is br0's too")
def test_one_mac_for_all(net: Network) -> None:
    """Both answers then say the same; but that MAC is br0's own, so br0 takes everything and veth1 gets nothing."""
    for device in (veth0, veth1):
        net.set_mac(device, eth0.mac)
    with net.capture() as seen:
        assert net.ping(veth1.ip, dev=gw0)
        assert net.ping(gw0.ip, ns=host, src=veth1.ip)
        assert not net.ping(gw0.ip, dev=veth1)
    assert [f.data[6:12].hex(":") for f in seen.frames(ARP(op="is-at", psrc=veth1.ip), on=gw0)] == [eth0.mac] * 2
    assert veth1 not in seen.where(echo_reply)

"""A bridge takes the lowest MAC of its ports.

    host                                            h
    +--------------------------------------+        +------------+
    |  br0 ----- p7                        |        |            |
    |  10.0.0.1   ...:07                   |        |            |
    |        --- p5 =================================== eth0     |
    |             ...:05                   |        |  10.0.0.2  |
    |  pinned    p3                        |        +------------+
    |   ...:06    ...:03, no port as yet   |
    +--------------------------------------+

As long as nobody has given br0 a MAC, it has that of one port: the lowest by value, chosen anew whenever a port joins,
leaves or changes its own. Without a port it has none but zeros. Once written by hand, the MAC stays. What was made out
of it does not follow: the link-local IPv6 address keeps the old one, the bridge id is made anew.

See br_stp_recalculate_bridge_id() in net/bridge/br_stp_if.c, br_set_mac_address() in net/bridge/br_device.c,
addrconf_addr_gen() in net/ipv6/addrconf.c, brctl(8).
"""

from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms, refutes

topology = Topology()
host, h = topology.namespace("host"), topology.namespace("h")
p5, eth0 = host.veth("p5", "eth0", netns=h, mac="02:00:00:00:00:05")
p3, q3 = host.veth("p3", "q3", mac="02:00:00:00:00:03")
p7, q7 = host.veth("p7", "q7", mac="02:00:00:00:00:07")
br0 = host.bridge("br0", ports=[p7, p5])
pinned = host.bridge("pinned", mac="02:00:00:00:00:06")
for device in (p3, q3, p7, q7, pinned):
    device.down()  # which MAC a bridge takes does not hang on that
br0.address("10.0.0.1/24")
eth0.address("10.0.0.2/24")


def mac(net: Network) -> str:
    """The MAC that br0 has, as far as it tells: the last byte."""
    return net.links(br0)[0].mac[-2:]


@confirms("br0-mac-becomes-port-mac", "br0-mac-rule-many-ports")
def test_ports_join_and_leave(net: Network) -> None:
    """p7 was first, and p5's MAC serves; then p3's; with the lowest gone the next one, with all gone none."""
    assert mac(net) == "05"
    net.attach(p3, br0)
    assert mac(net) == "03"
    found = []
    for port in (p3, p5, p7):
        net.detach(port)
        found.append(mac(net))
    assert found == ["05", "07", "00"]
    net.attach(p7, br0)
    assert mac(net) == "07"


@confirms("br0-mac-rule-many-ports")
def test_what_the_neighbour_is_told(net: Network) -> None:
    """br0 answers with p5's MAC, and with p7's when p7 is given a lower one."""
    for lowest in (p5.mac, "02:00:00:00:00:01"):
        if lowest != p5.mac:
            net.set_mac(p7, lowest)
        net.flush_neighbours(h)
        with net.capture() as seen:
            assert net.ping(br0.ip, ns=h)
        assert seen.path(ARP(op="is-at", hwsrc=lowest)) == [br0, p5, eth0]
        assert [entry.mac for entry in net.neighbours(eth0)] == [lowest]


@confirms("br0-mac-pinned-when-set")
def test_a_mac_by_hand(net: Network) -> None:
    """Written when the bridge was made, or later, even to what it is already: from then on ports count for nothing."""
    net.attach(p3, pinned)
    assert net.links(pinned)[0].mac == pinned.mac
    net.detach(p3)
    assert mac(net) == "05"
    net.set_mac(br0, p5.mac)
    net.attach(p3, br0)
    assert mac(net) == "05"


@confirms("br0-ipv6-ll-keeps-old-mac")
def test_link_local_address(net: Network) -> None:
    """br0's fe80:: address holds the MAC from before p3 came; only down and up makes a new one."""
    net.sysctl(br0, "net.ipv6.conf.{}.disable_ipv6", 0)
    assert link_local(net) == ["fe80::ff:fe00:5/64"]
    net.attach(p3, br0)
    assert (mac(net), link_local(net)) == ("03", ["fe80::ff:fe00:5/64"])
    net.down(br0)
    net.up(br0)
    assert link_local(net) == ["fe80::ff:fe00:3/64"]


def link_local(net: Network) -> list[str]:
    """The link-local addresses of br0."""
    return [address for address in net.links(br0)[0].addresses if address.startswith("fe80:")]


@refutes("bridge-id-is-mac-of-interface", "brctl-showmacs-lists-interfaces")
def test_brctl(net: Network) -> None:
    """Three interfaces, one bridge id: the priority 8000 and the bridge's own MAC. showmacs prints another table."""
    net.attach(p3, br0)
    rows = [line.split() for line in net.run(host, ["brctl", "show", "br0"]).stdout.splitlines()]
    assert rows[0] == ["bridge", "name", "bridge", "id", "STP", "enabled", "interfaces"]
    assert rows[1][:3] == ["br0", "8000.020000000003", "no"]
    assert {row[-1] for row in rows[1:]} == {"p5", "p3", "p7"}
    assert sum("8000." in " ".join(row) for row in rows) == 1
    header = net.run(host, ["brctl", "showmacs", "br0"]).stdout.splitlines()[0]
    assert header.split() == ["port", "no", "mac", "addr", "is", "local?", "ageing", "timer"]

"""A topology is refused where it is wrong, and is the same data each time it is right."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pktlab.errors import TopologyError
from pktlab.interface import Interface
from pktlab.topology import Device, Topology
from pktlab.topology.settings import Address, Link, Macvlan, Netns, Port, Setting, Sysctl, Up

# Stands in front of every wrong line below: five lines, of which the last is empty.
DECLARED = """\
topology = Topology()
host, far = topology.namespace("host"), topology.namespace("far")
veth0, veth1 = host.veth("veth0", "veth1")
near, other = host.veth("near", "other", netns=far)
br0 = host.bridge("br0", ports=[veth0])
"""
FIRST = DECLARED.count("\n") + 1

# The wrong line, and a word or more of the message and of the remedy.
REFUSED = [
    ('topology.namespace("host")', "already has a namespace 'host'", "own name"),
    ('topology.namespace("")', "'' is not a name for a namespace", "letters"),
    ('topology.namespace("a/b")', "'a/b' is not a name for a namespace", "letters"),
    ('topology.namespace("..")', "'..' is not a name for a namespace", "letters"),
    ('topology.namespace("-n")', "'-n' is not a name for a namespace", "letters"),
    ('topology.namespace("n" * 65)', "is not a name for a namespace", "64"),
    ("topology.namespace(1)", "1 is not a name for a namespace", "letters"),
    ("Topology(arp_timeout=0)", "arp_timeout 0 is out of range", "0.001 to 60"),
    ('host.tap("veth0")', "'host' already has an interface 'veth0'", "own name"),
    ('host.veth("lo", "x")', "'host' already has an interface 'lo'", "own name"),
    ('host.veth("same", "same")', "'host' already has an interface 'same'", "own name"),
    ('host.veth("x", "other", netns=far)', "'far' already has an interface 'other'", "own name"),
    ('host.tap("sixteen_bytes_16")', "'sixteen_bytes_16' is 16 bytes long", "15 bytes at most"),
    ('host.tap("\u00fc" * 8)', "is 16 bytes long", "15 bytes at most"),
    ('host.tap("\N{SNOWMAN}" * 6)', "is 18 bytes long", "15 bytes at most"),
    *(
        (f"host.tap({name!r})", f"{name!r} is not a name for an interface", "no slash")
        for name in ("", ".", "..", "a/b", "a:b", "a b", "a\tb", "a\n", "veth%d", "\u00e0", "a\0")
    ),
    ('host.tap("all")', "collide with net.ipv4.conf.all", "another name"),
    ('host.tap("default")', "collide with net.ipv4.conf.default", "another name"),
    ("host.tap(7)", "interface name 7 is not a string", "veth0"),
    ('host.veth("a", "b", netns="far")', "'far' is not a namespace of this topology", "topology.namespace()"),
    ('host.veth("a", "b", netns=Topology().namespace("x"))', "x is not a namespace of this topology", "returned"),
    ('host.veth("a", "b", mtu=67)', "mtu 67 is out of range", "68 to 65535"),
    ('host.veth("a", "b", peer_mtu=65536)', "mtu 65536 is out of range", "68 to 65535"),
    ('host.veth("a", "b", mtu="1500")', "mtu '1500' is out of range", "whole number"),
    ('host.veth("a", "b", mtu=True)', "mtu True is out of range", "whole number"),
    ('host.tap("a", mac="01:00:5e:00:00:01")', "01:00:5e:00:00:01 cannot be an interface's own", "lowest bit"),
    ('host.tap("a", mac="ff:ff:ff:ff:ff:ff")', "cannot be an interface's own", "lowest bit"),
    ('host.tap("a", mac="00:00:00:00:00:00")', "cannot be an interface's own", "lowest bit"),
    ('host.tap("a", mac="02:00:00:00:01")', "'02:00:00:00:01' is not a MAC address", "six bytes"),
    ('host.tap("a", mac="2:0:0:0:0:1")', "is not a MAC address", "six bytes"),
    ('host.veth("a", "b", peer_mac="x")', "'x' is not a MAC address", "six bytes"),
    ("host.port(veth0, br0)", "host/veth0 is already a port of br0 (line 5)", "one master"),
    ('host.bridge("br1", ports=[veth0])', "host/veth0 is already a port of br0 (line 5)", "one master"),
    ('host.bridge("br1", ports=[other])', "far/other is not in namespace 'host'", "'host' declares"),
    ("far.port(other, br0)", "host/br0 is not in namespace 'far'", "'far' declares"),
    ("host.port(veth1, veth0)", "host/veth0 is a veth, not a bridge", "namespace.bridge()"),
    ('host.bridge("br1", ports=[br0])', "host/br0 is a bridge and cannot be a port", "ports are"),
    ('host.bridge("br1", ports=[host.lo])', "host/lo is a loopback and cannot be a port", "ports are"),
    ('host.bridge("br1", ports=veth1)', "ports=host/veth1 is not a list", "ports=[p1, p2]"),
    ('host.bridge("br1", ports=["veth1"])', "is not a list of interfaces", "ports=[p1, p2]"),
    ('host.bridge("br1", ageing_time=-1)', "ageing_time -1 is out of range", "seconds from 0"),
    ('host.bridge("br1", ageing_time="300")', "ageing_time '300' is out of range", "seconds from 0"),
    ('host.bridge("br1", stp=True, forward_delay=1)', "forward_delay 1 is out of range", "seconds from 2 to 30"),
    ('host.bridge("br1", group_fwd_mask=1)', "group_fwd_mask 0x1 has one of the lowest three", "clear the bits"),
    ('host.bridge("br1", group_fwd_mask=65536)', "group_fwd_mask 65536 is out of range", "65535"),
    ('host.vxlan("vx", id=2**24)', "VNI 16777216 is out of range", "0 to 16777215"),
    ('host.vxlan("vx", id=-1)', "VNI -1 is out of range", "0 to 16777215"),
    ('host.vxlan("vx", id=1, dstport=0)', "dstport 0 is out of range", "1 to 65535"),
    ('host.vxlan("vx", id=1, local="10.0.0.1/24")', "'10.0.0.1/24' is not an IP address", "such as"),
    ('host.vxlan("vx", id=1, remote="there")', "'there' is not an IP address", "such as"),
    ('host.vxlan("vx", id=1, dev=other)', "far/other is not in namespace 'host'", "'host' declares"),
    ('host.macvlan("mv", link=other)', "far/other is not in namespace 'host'", "'host' declares"),
    ('host.macvlan("mv", link="veth1")', "'veth1' is not an interface", "pass the object"),
    ('host.macvlan("mv", link=veth1, mode="bride")', "mode 'bride' is unknown", "bridge"),
    ('veth1.address("10.0.0.1")', "'10.0.0.1' is not an address in CIDR form", "10.0.0.1/24"),
    ('veth1.address("10.0.0.1/33")', "'10.0.0.1/33' is not an address in CIDR form", "10.0.0.1/24"),
    ('veth1.address("10.0.0.256/24")', "not an address in CIDR form", "10.0.0.1/24"),
    ('veth1.address("")', "not an address in CIDR form", "10.0.0.1/24"),
    ('veth1.address("10.0.0.1/24", "10.0.0.1/24")', "declared twice: ip -n host addr add", "remove one"),
    ('veth1.address("fd00::1/64")', "IPv6 is off in this topology", "Topology(ipv6=True)"),
    ("veth1.ip", "host/veth1 has no declared address", "veth1.address("),
    ('veth1.neighbour("10.0.0.1/24", "02::1")', "'10.0.0.1/24' is not an IP address", "such as"),
    ('veth1.neighbour("10.0.0.1", "02::1")', "'02::1' is not a MAC address", "six bytes"),
    ('veth0.fdb("02:00:00:00:00:09", dst="10.0.0.1")', "host/veth0 is no vxlan", "leave dst out"),
    ('host.vxlan("vx", id=1).fdb("02:00:00:00:00:09")', "FDB entry of vxlan host/vx without dst", "dst="),
    ('host.route("10.1.0.0/16")', "route to 10.1.0.0/16 leads nowhere", "via="),
    ('host.route("default", type="local")', "route to default leads nowhere", "dev="),
    ('host.route("10.1.0.1/16", via="10.0.0.1")', "'10.1.0.1/16' is not a destination", "10.1.0.0/16?"),
    ('host.route("there", via="10.0.0.1")', "'there' is not a destination", "default"),
    ('host.route("10.1.0.0/16", via="x")', "'x' is not an IP address", "such as"),
    ('host.route("10.1.0.0/16", via="fd00::1")', "mixes IPv4 and IPv6", "one family"),
    ('host.route("10.1.0.0/16", dev=other)', "far/other is not in namespace 'host'", "'host' declares"),
    ('host.route("10.1.0.0/16", type="blackholed")', "type 'blackholed' is unknown", "blackhole"),
    ('host.route("10.1.0.0/16", dev=veth1, scope="world")', "scope 'world' is unknown", "global"),
    ('host.route("10.1.0.0/16", dev=veth1, metric=-1)', "metric -1 is out of range", "4294967295"),
    ('host.route("10.1.0.0/16", dev=veth1, table=0)', "table 0 is out of range", "1 to"),
    ("host.rule(table=0)", "table 0 is out of range", "1 to"),
    ('host.rule(table=9, src="10.0.0.1/8")', "'10.0.0.1/8' is not a destination", "10.0.0.0/8?"),
    ("host.rule(table=9, iif=other)", "far/other is not in namespace 'host'", "'host' declares"),
    ('host.sysctl("net.ipv4.ip_foward", 1)', "unknown sysctl 'net.ipv4.ip_foward'", "'net.ipv4.ip_forward'?"),
    ('veth1.sysctl("net.ipv4.conf.{}.acept_local", 1)', "unknown sysctl", "'net.ipv4.conf.{}.accept_local'?"),
    ('host.sysctl("net.ipv4.conf.rp_filter", 1)', "unknown sysctl", "'net.ipv4.conf.{}.rp_filter'?"),
    ('host.sysctl("xyzzy", 1)', "unknown sysctl 'xyzzy'", "starting with net."),
    ('host.sysctl("net.ipv4.conf.eth7.rp_filter", 1)', "'eth7', which is not declared", "all, default, lo, veth0"),
    ('far.sysctl("net.ipv4.conf.veth1.rp_filter", 1)', "'veth1', which is not declared", "all, default, lo, other"),
    ('host.sysctl("net.ipv4.conf.{}.rp_filter", 1)', "names no interface", "call it on an interface"),
    ('veth1.sysctl("net.ipv4.ip_forward", 1)', "does not belong to interface 'veth1'", "on the namespace"),
    ('veth1.sysctl("net.ipv4.conf.all.rp_filter", 1)', "does not belong to interface 'veth1'", "{}"),
    ('host.sysctl("net.ipv4.ip_forward", "")', "'' is not a value", "number"),
    ('host.sysctl("net.ipv4.ip_forward", "1\\n0")', "is not a value", "line of text"),
    ('host.sysctl("net.ipv4.ip_forward", None)', "None is not a value", "number"),
    ('host.sysctl("net.ipv4.ip_forward", 2**33)', "is out of range", "whole number"),
    ('host.nft(" ")', "empty nft ruleset", "table ip nat"),
    ('Topology(arp_timeout="x")', "arp_timeout 'x' is out of range", "0.001 to 60"),
    ('veth1.neighbour("fd00::1", "02:00:00:00:00:01")', "IPv6 is off in this topology", "ipv6=True"),
    ('host.route("fd00::/64", dev=veth1)', "IPv6 is off in this topology", "ipv6=True"),
    ('host.route("default", via="fd00::1")', "IPv6 is off in this topology", "ipv6=True"),
    ('host.rule(table=9, src="fd00::/64")', "IPv6 is off in this topology", "ipv6=True"),
    ('host.vxlan("vx", id=1, remote="fd00::1")', "IPv6 is off in this topology", "ipv6=True"),
    ('host.vxlan("vx", id=1).fdb("02:00:00:00:00:09", dst="fd00::1")', "IPv6 is off in this topology", "ipv6=True"),
    (
        'Topology(ipv6=True).namespace("n").rule(table=9, src="fd00::/64", dst="10.0.0.0/8")',
        "mixes IPv4 and IPv6",
        "one family",
    ),
    (
        'Topology(ipv6=True).namespace("n").vxlan("v", id=1, local="10.0.0.1", remote="fd00::1")',
        "mixes IPv4 and IPv6",
        "one family",
    ),
    (
        'Topology(ipv6=True).namespace("n").vxlan("v", id=1).fdb("02:00:00:00:00:09", dst="fd00::1")',
        "is not IPv4",
        "one family",
    ),
    ('host.vxlan("vx", id=1, local="239.0.0.1")', "local address of vxlan host/vx is multicast", "this namespace"),
    ('host.vxlan("vx", id=1, remote="239.0.0.1")', "multicast remote and no dev", "dev="),
    (
        'host.vxlan("vx", id=1), host.vxlan("vy", id=1, local="10.0.0.1")',
        "VNI 1 on port 4789 is already host/vx",
        "id=",
    ),
    ('host.route("10.1.0.0/16", via="10.0.0.1", onlink=True)', "is onlink, but on no interface", "dev="),
    ('host.route("10.1.0.0/16", type="blackhole", dev=veth1)', "type blackhole leads nowhere", "leave via and dev out"),
    (
        'host.route("10.1.0.0/16", type="unreachable", dev=veth1)',
        "type unreachable leads nowhere",
        "leave via and dev out",
    ),
    ('host.route("10.1.0.0/16", type="prohibit", dev=veth1)', "type prohibit leads nowhere", "leave via and dev out"),
    ('host.route("10.1.0.0/16", type="throw", dev=veth1)', "type throw leads nowhere", "leave via and dev out"),
    (
        'host.route("10.1.0.0/16", dev=veth1), host.route("10.1.0.0/16", via="10.0.0.1", metric=0)',
        "same table and metric",
        "metric=",
    ),
    (
        'host.route("default", dev=veth1), host.route("0.0.0.0/0", via="10.0.0.1", table=254)',
        "same table and metric",
        "metric=",
    ),
    (
        'veth1.neighbour("10.0.0.1", "02:00:00:00:00:01").neighbour("10.0.0.1", "02:00:00:00:00:02")',
        "is already at 02:00:00:00:00:01",
        "net.add_neighbour()",
    ),
    ('veth0.fdb("00:00:00:00:00:00")', "for the zero MAC", "behind the port"),
    ('host.macvlan("mv", link=host.tun("t"))', "host/t is a tun and carries no macvlan", "veth"),
    ('host.bridge("br1", ports=[host.tun("t")])', "host/t is a tun and cannot be a port", "ports are"),
    ("veth1.hairpin()", "host/veth1 is no port of a bridge", "namespace.port()"),
    ('host.macvlan("mv", link=host.lo)', "host/lo is a loopback and carries no macvlan", "veth"),
    ('host.macvlan("mv", link=veth0)', "host/veth0 is a port of br0 (line 5)", "to the bridge"),
    ('host.macvlan("mv", link=veth1), host.port(veth1, br0)', "host/veth1 carries the macvlan mv", "to the bridge"),
    ('host.veth("a", "b", mac="02:00:00:00:00:99", peer_mac="02:00:00:00:00:99")', "have the same MAC", "its own"),
    ('veth1.address("0.0.0.0/0")', "0.0.0.0 is no address that an interface can have", "unicast"),
    ('veth1.address("224.0.0.1/24")', "224.0.0.1 is no address", "unicast"),
    ('veth1.sysctl("net.ipv4.conf.{}.rp_filter", "banana")', "'banana' is not a value", "number"),
    ('host.sysctl("net.ipv4.ip_forward", "yes")', "'yes' is not a value", "number"),
]


def line_of_lab(text: str, line: str) -> TopologyError:
    """Run a lab that ends in a wrong line, two lines behind what it declares; return its refusal."""
    code = compile(f"{text}\n\n{line}\n", "/labs/wrong.py", "exec")
    with pytest.raises(TopologyError) as caught:
        exec(code, {"Topology": Topology})
    return caught.value


@pytest.mark.parametrize(("line", "message", "remedy"), REFUSED, ids=[ascii(line) for line, *_ in REFUSED])
def test_refused_with_line_and_remedy(line: str, message: str, remedy: str) -> None:
    error = line_of_lab(DECLARED, line)
    assert (error.file, error.line) == ("/labs/wrong.py", FIRST + 2)
    assert error.message.startswith(f"/labs/wrong.py:{FIRST + 2}: ")
    assert message in error.message
    assert remedy in error.remedy


def test_attributes_cannot_be_made_up() -> None:
    """A misspelt declaration must not pass silently as a new attribute."""
    device = Topology().namespace("host").tap("tap0")
    with pytest.raises(AttributeError):
        device.up = 1  # type: ignore[attr-defined]


def test_line_of_a_call_in_a_function_of_the_lab() -> None:
    text = 'topology = Topology()\ndef make(name):\n    return topology.namespace(name)\nmake("a")'
    assert line_of_lab(text, 'make("a")').line == 3


def test_line_of_a_device_method_that_is_chained() -> None:
    assert line_of_lab(DECLARED, 'veth1.address("10.0.0.1/24").address("10.0.0.2")').line == FIRST + 2


def test_two_values_for_a_sysctl() -> None:
    text = DECLARED + 'host.sysctl("net.ipv4.ip_forward", 1)'
    error = line_of_lab(text, 'host.sysctl("net.ipv4.ip_forward", 0)')
    assert "net/ipv4/ip_forward is already 1 in 'host' (line 6)" in error.message
    assert "net.sysctl()" in error.remedy


def test_a_sysctl_of_an_interface_by_either_name_is_one() -> None:
    text = DECLARED + 'veth1.sysctl("net.ipv4.conf.{}.rp_filter", 1)'
    error = line_of_lab(text, 'host.sysctl("net.ipv4.conf.veth1.rp_filter", 2)')
    assert "already 1 in 'host' (line 6)" in error.message


@pytest.mark.parametrize(
    "line",
    [
        'host.route("10.0.0.0/8", via="10.0.0.1")',
        "host.rule(table=100)",
        'host.nft("table ip t { }")',
        'veth1.neighbour("10.0.0.1", "02:00:00:00:00:01")',
        'veth0.fdb("02:00:00:00:00:01")',
        'host.sysctl("net.ipv4.ip_forward", 1)',
    ],
)
def test_declared_twice(line: str) -> None:
    error = line_of_lab(DECLARED + line, line)
    assert error.line == FIRST + 2
    assert "declared twice: " in error.message


@pytest.mark.parametrize(
    "line",
    ['veth1.address("10.0.0.1/24")', 'host.veth("a", "b")', "veth1.down()", 'topology.namespace("late")'],
)
def test_declared_while_the_network_is_up(line: str) -> None:
    error = line_of_lab(DECLARED + "topology.freeze()", line)
    assert error.line == FIRST + 2
    assert "declared while the network is up: " in error.message
    assert "through net" in error.remedy


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('veth1.fdb("02:00:00:00:00:09")', "FDB entry on host/veth1, which is no port"),
        ('host.macvlan("mv", link=veth1, mac=veth1.mac)', "host/mv has the MAC of its link veth1"),
    ],
)
def test_refused_when_all_is_declared(line: str, message: str) -> None:
    error = line_of_lab(DECLARED + line, "topology.freeze()")
    assert (error.file, error.line) == ("/labs/wrong.py", FIRST)
    assert message in error.message
    assert error.remedy


def test_not_refused_when_all_is_declared() -> None:
    """A port may become one after its FDB entry was declared; a macvlan that stays down has no conflict."""
    host = Topology().namespace("host")
    one, two = host.veth("one", "two")
    one.fdb("02:00:00:00:00:09")
    host.bridge("br0", ports=[one])
    host.macvlan("mv", link=two, mac=two.mac).down()
    host.topology.freeze()


def test_routes_and_tunnels_that_differ() -> None:
    topology = Topology(ipv6=True)
    host = topology.namespace("host")
    one, _two = host.veth("one", "two")
    for words in ({}, {"metric": 5}, {"table": 9}, {"type": "local"}):
        host.route("10.1.0.0/16", dev=one, **words)
    host.route("default", dev=one)
    host.route("default", via="fd00::1")
    host.vxlan("v4", id=1)
    host.vxlan("v6", id=1, remote="fd00::1")
    host.vxlan("other", id=1, dstport=8472)
    host.sysctl("net.ipv4.ip_local_port_range", "1024 2048")
    host.sysctl("net.ipv4.conf.all.rp_filter", "0x1")
    topology.freeze()


def test_removal_of_what_nothing_declares() -> None:
    error = line_of_lab(DECLARED, 'topology.without(["ip link add veth9"])')
    assert "nothing declares 'ip link add veth9'" in error.message
    assert "pktlab show" in error.remedy


def test_up_unless_declared_down() -> None:
    topology = Topology()
    host = topology.namespace("host")
    veth0, veth1 = host.veth("veth0", "veth1")
    veth1.down()
    host.lo.down()
    assert [s.device for s in topology.settings if isinstance(s, Up)] == [veth0]


def test_ageing_time_below_a_second_is_no_hub() -> None:
    bridge = Topology().namespace("host")
    bridge.bridge("br0", ageing_time=0.5)
    assert "ageing_time 50 " in next(s for s in bridge.topology.settings if isinstance(s, Link)).command


def test_bridge_has_the_lowest_mac_of_its_ports() -> None:
    host = Topology().namespace("host")
    ports = [host.tap("t0", mac="06:00:00:00:00:01"), host.tap("t1", mac="02:ff:00:00:00:00"), host.tap("t2")]
    assert host.bridge("br0").mac == ""
    assert host.bridge("br1", ports=ports[:2]).mac == "02:ff:00:00:00:00"
    assert host.bridge("br2", ports=ports[2:]).mac == ports[2].mac
    pinned, _ = host.veth("p", "q", mac="02:00:00:00:00:00")
    assert host.bridge("br3", ports=[pinned], mac="0A-00-00-00-00-01").mac == "0a:00:00:00:00:01"


def test_bridge_mac_follows_ports_declared_later() -> None:
    host = Topology().namespace("host")
    bridge = host.bridge("br0", ports=[host.tap("t0", mac="06:00:00:00:00:01")])
    host.port(host.tap("t1", mac="04:00:00:00:00:01"), bridge)
    assert bridge.mac == "04:00:00:00:00:01"


def test_sysctl_of_the_topology() -> None:
    """With {} in every namespace and for every interface but lo; without, once a namespace."""
    topology = Topology()
    for name in ("a", "b"):
        topology.namespace(name).veth("veth0", "veth1")
    before = len(topology.settings)
    topology.sysctl("net.ipv4.conf.{}.rp_filter", 2)
    topology.sysctl("net.ipv4.ip_forward", 1)
    made = [s.command.split(" ", 3)[3] for s in topology.settings[before:]]
    files = [f"net.ipv4.conf.{d}.rp_filter=2" for d in ("veth0", "veth1")]
    assert made == [f"{ns} sysctl -w {f}" for ns in "ab" for f in files] + [
        f"{ns} sysctl -w net.ipv4.ip_forward=1" for ns in "ab"
    ]


# What any topology keeps

NAMES = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["veth", "pair", "bridge", "vxlan", "tap", "macvlan", "address", "route", "rule", "sysctl"]),
        st.integers(0, 30),
        st.integers(0, 30),
    ),
    max_size=24,
)


def build(spaces: Sequence[str], steps: Sequence[tuple[str, int, int]]) -> Topology:
    """A topology of random steps; a step that finds nothing to stand on is left out."""
    topology = Topology()
    every = [topology.namespace(name) for name in spaces]
    for number, (kind, one, two) in enumerate(steps):
        host, far = every[one % len(every)], every[two % len(every)]
        mine = [d for d in host.devices.values() if d.kind != "loopback"]
        device = mine[two % len(mine)] if mine else None
        name = f"{kind}{number}"
        if kind == "veth":
            host.veth(name, f"x{number}")
        elif kind == "pair":
            host.veth(name, f"y{number}", netns=far)
        elif kind == "tap":
            host.tap(name)
        elif kind == "bridge":
            taken = {s.device for s in topology.settings if isinstance(s, Port)}
            taken |= {s.link for s in topology.settings if isinstance(s, Macvlan)}
            host.bridge(name, ports=[d for d in mine if d.kind != "bridge" and d not in taken][: two % 4])
        elif kind == "vxlan":
            host.vxlan(name, id=number, dev=device)
        elif device is None:
            continue
        elif kind == "macvlan":
            if device not in {s.device for s in topology.settings if isinstance(s, Port)}:
                host.macvlan(name, link=device)
        elif kind == "address":
            device.address(f"10.{number}.0.1/24")
        elif kind == "route":
            host.route(f"10.{number}.0.0/16", dev=device)
        elif kind == "rule":
            host.rule(table=number + 1, iif=device)
        elif kind == "sysctl":
            tuned = {s.device for s in topology.settings if isinstance(s, Sysctl)}
            if device not in tuned:
                device.sysctl("net.ipv4.conf.{}.rp_filter", number % 3)
    return topology


@given(st.lists(NAMES, min_size=1, unique=True), STEPS)
@settings(max_examples=150, deadline=None)
def test_deterministic_and_unique(spaces: list[str], steps: list[tuple[str, int, int]]) -> None:
    topology, again = build(spaces, steps), build(spaces, steps)
    devices = [d for d in topology.devices if d.kind != "loopback"]
    macs = [d.mac for d in devices if d.kind != "bridge"]
    assert len({d.index for d in devices}) == len(devices)
    assert all(d.index > 100 for d in devices)
    assert len(set(macs)) == len(macs)
    assert all(re.fullmatch(r"02(:[0-9a-f]{2}){5}", mac) for mac in macs)
    assert len({s.command for s in topology.settings}) == len(topology.settings)
    assert [(d, d.mac, d.index) for d in topology.devices] == [(d, d.mac, d.index) for d in again.devices]
    assert [s.command for s in topology.settings] == [s.command for s in again.settings]


def standing(setting: Setting) -> set[Interface]:
    """Every interface that a setting has anything to do with."""
    return {*setting.devices, *(setting.creates if isinstance(setting, Link) else ())}


@given(st.lists(NAMES, min_size=1, unique=True), STEPS, st.lists(st.integers(0, 200), min_size=1, max_size=4))
@settings(max_examples=250, deadline=None)
def test_without_leaves_nothing_in_the_air(
    spaces: list[str], steps: list[tuple[str, int, int]], picks: list[int]
) -> None:
    topology = build(spaces, steps)
    before = topology.settings
    gone = {before[pick % len(before)] for pick in picks}
    reduced = topology.without([s.command for s in gone])

    there = {s.netns for s in reduced.settings if isinstance(s, Netns)}
    created = {d for s in reduced.settings if isinstance(s, Link) for d in s.creates}
    created |= {Interface(name, "lo") for name in there}
    for setting in reduced.settings:
        assert setting.netns in there
        assert standing(setting) <= created
        assert {d.netns for d in standing(setting)} <= there
    assert set(reduced.namespaces) == there

    # No more goes than must, nothing is added or reordered, and what it was made from stays as it was.
    kept = set(reduced.settings)
    assert [s for s in before if s in kept] == list(reduced.settings)
    assert topology.settings == before
    lost_spaces = {s.netns for s in gone if isinstance(s, Netns)}
    for setting in set(before) - kept - gone:
        assert (
            setting.netns in lost_spaces
            or any(d.netns in lost_spaces for d in standing(setting))
            or not standing(setting) <= created
        )
    # The acts of the lab hold the objects of the whole topology.
    for name, namespace in reduced.namespaces.items():
        assert namespace is topology.namespaces[name]
    # Taking away nothing more changes nothing.
    assert reduced.without([]).settings == reduced.settings


def test_without_a_namespace_all_in_it_goes() -> None:
    topology = Topology()
    host, far = topology.namespace("host"), topology.namespace("far")
    veth0, veth1 = host.veth("veth0", "veth1", netns=far)
    bridge = host.bridge("br0", ports=[veth0])
    mac = far.macvlan("mv0", link=veth1)
    mac.address("10.0.0.1/24")
    far.nft("table ip t { }")
    host.sysctl("net.ipv4.conf.veth0.rp_filter", 1)
    far.sysctl("net.ipv4.ip_forward", 1)
    reduced = topology.without(["ip netns add far"])
    assert {s.netns for s in reduced.settings} == {"host"}
    assert [s.device for s in reduced.settings if isinstance(s, Link)] == [bridge]
    assert all("veth0" not in s.command for s in reduced.settings)


def test_without_an_address_the_interface_stays() -> None:
    topology = Topology()
    host = topology.namespace("host")
    veth0, veth1 = host.veth("veth0", "veth1")
    veth0.address("10.0.0.1/24")
    reduced = topology.without(["ip -n host addr add 10.0.0.1/24 dev veth0"])
    assert not any(isinstance(s, Address) for s in reduced.settings)
    assert len(reduced.settings) == len(topology.settings) - 1
    assert isinstance(veth1, Device)


def test_scenery_is_what_is_declared_in_its_block() -> None:
    topology = Topology()
    host = topology.namespace("host")
    with topology.scenery("the second cable, which the drawing shows"):
        a0, _a1 = host.veth("a0", "a1")
        a0.address("10.0.0.1/24")
    b0, _b1 = host.veth("b0", "b1")
    b0.address("10.0.1.1/24")
    kept = {setting.command: setting.scenery for setting in topology.settings if setting.scenery}
    reason = "the second cable, which the drawing shows"
    assert kept == {
        "ip -n host link set lo up": "pktlab sets the lo of every namespace up",
        "ip -n host link add a0 address 02:00:00:01:00:01 type veth peer name a1 address 02:00:00:01:00:02": reason,
        "ip -n host link set a0 up": reason,
        "ip -n host link set a1 up": reason,
        "ip -n host addr add 10.0.0.1/24 dev a0": reason,
    }
    assert [setting.command for setting in topology.settings if setting.implied] == ["ip -n host link set lo up"]
    less = topology.without(["ip -n host addr add 10.0.1.1/24 dev b0"])
    assert {setting.command: setting.scenery for setting in less.settings if setting.scenery} == kept


def test_scenery_needs_a_reason_and_does_not_nest() -> None:
    topology = Topology()
    with pytest.raises(TopologyError, match="scenery without a reason"), topology.scenery(" "):
        pass
    with pytest.raises(TopologyError, match="scenery within scenery"), topology.scenery("a"), topology.scenery("b"):
        pass
    with topology.scenery("again, since the block above has ended"):
        topology.namespace("host")

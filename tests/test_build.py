"""What is declared is there, as iproute2, sysctl and nft see it; what the kernel refuses is told in its words."""

from __future__ import annotations

import contextlib
import errno
import json
import re
from pathlib import Path
from typing import Any

import pytest
from inside import listed, output, pair, sandboxed
from scapy.layers.l2 import ARP, Ether

from pktlab.errors import KernelError, LabError
from pktlab.interface import Interface
from pktlab.kernel import build, libc, tables
from pktlab.kernel.netlink import Netlink
from pktlab.kernel.sandbox import call
from pktlab.network import Network
from pktlab.topology import Namespace, Topology, settings
from pktlab.topology.origin import origin
from pktlab.topology.sysctl import BASELINE, IPV6_OFF, NEIGHBOUR_BASELINE, catalogue


def link(net: Network, where: Namespace, name: str) -> dict[str, Any]:
    (found,) = listed(net, where, "ip", "-d", "link", "show", "dev", name)
    return found


def part(whole: dict[str, Any], keys: dict[str, Any]) -> dict[str, Any]:
    return {key: whole.get(key) for key in keys}


# Links


@sandboxed
def test_veth() -> None:
    topology = Topology()
    host, far = topology.namespace("host"), topology.namespace("far")
    v0, v1 = host.veth("v0", "v1", mtu=1400, peer_mtu=9000)
    near, other = host.veth("near", "other", netns=far, mac="0e:00:00:00:00:01", peer_mac="0e:00:00:00:00:02")
    with Network(topology) as net:
        for where, device, mtu in ((host, v0, 1400), (host, v1, 9000), (host, near, 1500), (far, other, 1500)):
            found = link(net, where, device.name)
            assert (found["ifindex"], found["address"], found["mtu"]) == (device.index, device.mac, mtu)
            assert found["linkinfo"]["info_kind"] == "veth"
            assert found["operstate"] == "UP"
            assert {"UP", "LOWER_UP"} <= set(found["flags"])
            assert "PROMISC" not in found["flags"]
            assert found.get("promiscuity", 0) == 0
        assert link(net, host, "v0")["link"] == "v1"
        assert link(net, host, "near")["link_index"] == other.index
        assert near.mac == "0e:00:00:00:00:01"
        assert [each["ifname"] for each in listed(net, far, "ip", "link")] == ["lo", "other"]


@sandboxed
def test_names_of_namespaces() -> None:
    topology = pair()
    with Network(topology) as net:
        a = topology.namespaces["a"]
        assert sorted(each["name"] for each in listed(net, a, "ip", "netns", "list")) == ["a", "b"]
        assert [each["ifname"] for each in listed(net, a, "ip", "-n", "b", "link")] == ["lo", "eth0"]


@sandboxed
def test_bridge() -> None:
    topology = Topology()
    sw = topology.namespace("sw")
    ports = [sw.veth(f"p{i}", f"h{i}")[0] for i in range(3)]
    br0 = sw.bridge("br0", ports=ports[:2], ageing_time=0, mcast_snooping=True, group_fwd_mask=0x4000, mtu=1300)
    br1 = sw.bridge("br1", ports=ports[2:], ageing_time=12.5, mac="0e:00:00:00:00:09")
    with Network(topology) as net:
        found = link(net, sw, "br0")
        assert (found["address"], found["mtu"], found["operstate"]) == (br0.mac, 1300, "UP")
        assert found["address"] == min(port.mac for port in ports[:2])
        wanted = {"ageing_time": 0, "stp_state": 0, "mcast_snooping": 1, "group_fwd_mask": "0x4000"}
        data = found["linkinfo"]["info_data"]
        assert part(data, wanted) == wanted
        assert [each["ifname"] for each in listed(net, sw, "ip", "link", "show", "master", "br0")] == ["p0", "p1"]
        for port in ports:
            assert link(net, sw, port.name)["linkinfo"]["info_slave_data"]["state"] == "forwarding"
        other = link(net, sw, "br1")
        assert other["address"] == br1.mac == "0e:00:00:00:00:09"
        wanted = {"ageing_time": 1250, "mcast_snooping": 0, "group_fwd_mask": "0"}
        assert part(other["linkinfo"]["info_data"], wanted) == wanted


@sandboxed
def test_bridge_with_spanning_tree_is_ready_when_its_ports_forward() -> None:
    topology = Topology()
    sw = topology.namespace("sw")
    p0, _h0 = sw.veth("p0", "h0")
    sw.bridge("br0", ports=[p0], stp=True, forward_delay=2)
    with Network(topology) as net:
        wanted = {"stp_state": 1, "forward_delay": 200}
        assert part(link(net, sw, "br0")["linkinfo"]["info_data"], wanted) == wanted
        assert link(net, sw, "p0")["linkinfo"]["info_slave_data"]["state"] == "forwarding"
        assert 4 < net.bring_up < 10


@sandboxed
def test_vxlan() -> None:
    topology = Topology()
    node = topology.namespace("node")
    eth0, _peer = node.veth("eth0", "peer")
    eth0.address("10.9.0.1/24")
    vx0 = node.vxlan(
        "vx0", id=42, local="10.9.0.1", remote="10.9.0.2", dev=eth0, dstport=8472, learning=False, mtu=1450
    )
    vx1 = node.vxlan("vx1", id=2**24 - 1)
    for dst in ("10.9.0.2", "10.9.0.3"):
        vx1.fdb("00:00:00:00:00:00", dst=dst)
    vx1.fdb("02:00:00:00:00:aa", dst="10.9.0.4")
    with Network(topology) as net:
        found = link(net, node, "vx0")
        wanted: dict[str, Any] = {"id": 42, "local": "10.9.0.1", "remote": "10.9.0.2", "link": "eth0", "port": 8472}
        wanted |= {"learning": False}
        assert part(found["linkinfo"]["info_data"], wanted) == wanted
        assert (found["mtu"], found["address"], found["ifindex"]) == (1450, vx0.mac, vx0.index)
        wanted = {"id": 2**24 - 1, "port": 4789, "learning": True}
        assert part(link(net, node, "vx1")["linkinfo"]["info_data"], wanted) == wanted
        entries = {(e["mac"], e["dst"]) for e in listed(net, node, "bridge", "fdb", "show", "dev", "vx1")}
        assert entries == {
            ("00:00:00:00:00:00", "10.9.0.2"),
            ("00:00:00:00:00:00", "10.9.0.3"),
            ("02:00:00:00:00:aa", "10.9.0.4"),
        }
        assert {(e.mac, e.dst) for e in net.fdb(vx1)} == entries


@sandboxed
def test_macvlan() -> None:
    topology = Topology()
    host = topology.namespace("host")
    eth0, _peer = host.veth("eth0", "peer")
    for mode in ("private", "vepa", "bridge"):
        host.macvlan(f"mv-{mode}", link=eth0, mode=mode, mtu=1200)
    with Network(topology) as net:
        for mode in ("private", "vepa", "bridge"):
            found = link(net, host, f"mv-{mode}")
            assert found["linkinfo"]["info_data"]["mode"] == mode
            assert (found["link"], found["mtu"]) == ("eth0", 1200)
            assert found["address"] == host.devices[f"mv-{mode}"].mac
            assert found["operstate"] == "UP"


@sandboxed
def test_tun() -> None:
    topology = Topology()
    host = topology.namespace("host")
    host.tun("tun0", mtu=1472).address("10.0.0.1/24")
    with Network(topology) as net:
        found = link(net, host, "tun0")
        assert part(found, {"mtu": 0, "link_type": 0}) == {"mtu": 1472, "link_type": "none"}
        assert found["linkinfo"]["info_data"] | {"type": "tun", "persist": True} == found["linkinfo"]["info_data"]
        assert "NO-CARRIER" in found["flags"]
        assert not net.ping("10.0.0.2", ns=host)


@sandboxed
def test_hairpin() -> None:
    topology = Topology()
    host = topology.namespace("host")
    p1, p2 = (host.veth(f"p{number}", f"far{number}")[0] for number in (1, 2))
    host.bridge("br0", ports=[p1, p2])
    p1.hairpin()
    with Network(topology) as net:
        ports = {name: link(net, host, name)["linkinfo"]["info_slave_data"]["hairpin"] for name in ("p1", "p2")}
        assert ports == {"p1": True, "p2": False}


@sandboxed
def test_tap() -> None:
    topology = Topology()
    host = topology.namespace("host")
    tap0 = host.tap("tap0", mac="0e:00:00:00:00:07").address("10.0.0.1/24")
    host.bridge("br0", ports=[host.tap("tap1")])
    with Network(topology) as net:
        found = link(net, host, "tap0")
        assert (found["ifindex"], found["address"]) == (tap0.index, "0e:00:00:00:00:07")
        assert found["linkinfo"]["info_data"]["type"] == "tap"
        assert {"UP", "LOWER_UP"} <= set(found["flags"])
        assert link(net, host, "tap1")["linkinfo"]["info_slave_data"]["state"] == "forwarding"


@sandboxed
def test_down() -> None:
    topology = Topology()
    host, far = topology.namespace("host"), topology.namespace("far")
    host.lo.down()
    v0, _v1 = host.veth("v0", "v1")
    p0, _p1 = host.veth("p0", "p1")
    v0.down()
    host.bridge("br0", ports=[p0]).down()
    with Network(topology) as net:
        flags = {each["ifname"]: set(each["flags"]) for each in listed(net, host, "ip", "link")}
        assert "UP" not in flags["lo"] | flags["v0"] | flags["br0"]
        assert "UP" in flags["v1"] & flags["p0"] & flags["p1"]
        assert "NO-CARRIER" in flags["v1"]
        assert "UP" in {f for each in listed(net, far, "ip", "link") for f in each["flags"]}


# Addresses, routes, rules, neighbours, FDB


@sandboxed
def test_addresses() -> None:
    topology = Topology()
    host = topology.namespace("host")
    v0, v1 = host.veth("v0", "v1")
    v0.address("10.0.0.1/24", "10.0.0.2/24").address("192.168.7.1/32")
    v1.address("172.16.0.0/31")
    host.lo.address("10.255.0.1/32")
    with Network(topology) as net:
        found = {
            each["ifname"]: [(i["local"], i["prefixlen"], i.get("broadcast"), i["scope"]) for i in each["addr_info"]]
            for each in listed(net, host, "ip", "addr")
        }
        assert found["v0"] == [
            ("10.0.0.1", 24, "10.0.0.255", "global"),
            ("192.168.7.1", 32, None, "global"),
            ("10.0.0.2", 24, "10.0.0.255", "global"),
        ]
        assert found["v1"] == [("172.16.0.0", 31, None, "global")]
        assert found["lo"] == [("127.0.0.1", 8, None, "host"), ("10.255.0.1", 32, None, "global")]
        (seen,) = net.links(v0)
        assert set(seen.addresses) == {"10.0.0.1/24", "192.168.7.1/32", "10.0.0.2/24"}


@sandboxed
def test_routes() -> None:
    topology = pair()
    a = topology.namespaces["a"]
    eth0 = a.devices["eth0"]
    a.route("default", via="10.0.0.2")
    a.route("10.1.0.0/16", via="10.0.0.2", src="10.0.0.1", metric=50)
    a.route("10.2.0.0/16", dev=eth0)
    a.route("10.3.0.0/16", via="192.0.2.1", dev=eth0, onlink=True)
    a.route("10.4.0.0/16", type="blackhole")
    a.route("10.5.0.0/16", type="unreachable")
    a.route("10.6.0.0/16", type="prohibit", metric=7)
    a.route("10.7.0.0/16", type="throw", table=100)
    a.route("10.8.0.1", dev=eth0, scope="host")
    a.route("10.9.0.0/16", via="10.0.0.2", table=100)
    a.route("10.10.0.0/16", via="10.0.0.2", table=70000)
    a.route("10.11.0.0/16", type="local", dev=a.lo)
    a.route("10.12.0.0/16", dev=eth0, scope="global")
    with Network(topology) as net:
        main = {r["dst"]: r for r in listed(net, a, "ip", "-d", "route")}
        assert part(main["default"], {"gateway": 0, "dev": 0}) == {"gateway": "10.0.0.2", "dev": "eth0"}
        wanted: dict[str, Any] = {"gateway": "10.0.0.2", "prefsrc": "10.0.0.1", "metric": 50, "scope": "global"}
        assert part(main["10.1.0.0/16"], wanted) == wanted
        assert part(main["10.2.0.0/16"], {"dev": 0, "scope": 0}) == {"dev": "eth0", "scope": "link"}
        assert main["10.3.0.0/16"]["gateway"] == "192.0.2.1"
        assert main["10.3.0.0/16"]["flags"] == ["onlink"]
        assert [main[f"10.{i}.0.0/16"]["type"] for i in (4, 5, 6)] == ["blackhole", "unreachable", "prohibit"]
        assert main["10.6.0.0/16"]["metric"] == 7
        assert main["10.8.0.1"]["scope"] == "host"
        assert main["10.12.0.0/16"]["scope"] == "global"
        assert main["10.0.0.0/24"]["prefsrc"] == "10.0.0.1"
        assert set(main) == {"default", "10.0.0.0/24", "10.8.0.1"} | {f"10.{i}.0.0/16" for i in (1, 2, 3, 4, 5, 6, 12)}
        assert {(r["dst"], r["type"]) for r in listed(net, a, "ip", "-d", "route", "show", "table", "100")} == {
            ("10.7.0.0/16", "throw"),
            ("10.9.0.0/16", "unicast"),
        }
        assert [r["dst"] for r in listed(net, a, "ip", "route", "show", "table", "70000")] == ["10.10.0.0/16"]
        local = {r["dst"]: r["dev"] for r in listed(net, a, "ip", "route", "show", "table", "local", "type", "local")}
        assert local["10.11.0.0/16"] == "lo"

        ours = {r.dst: r for r in net.routes(a)}
        assert set(ours) == {d if "/" in d or d == "default" else d + "/32" for d in main}
        assert ours["10.1.0.0/16"].metric == 50
        assert [r.type for r in net.routes(a, table=100)] == ["throw", "unicast"]
        assert [r.table for r in net.routes(a, table=70000)] == [70000]


@sandboxed
def test_rules() -> None:
    topology = pair()
    a = topology.namespaces["a"]
    eth0 = a.devices["eth0"]
    a.rule(table=100, priority=10, src="10.0.0.1", dst="10.1.0.0/16")
    a.rule(table=70000, priority=11, iif=eth0, fwmark=5)
    a.rule(table=101, priority=12, oif=eth0)
    with Network(topology) as net:
        rules = {r["priority"]: r for r in listed(net, a, "ip", "rule")}
        wanted: dict[str, Any] = {"src": "10.0.0.1", "dst": "10.1.0.0", "dstlen": 16, "table": "100"}
        assert part(rules[10], wanted) == wanted
        wanted = {"src": "all", "iif": "eth0", "fwmark": "0x5", "table": "70000"}
        assert part(rules[11], wanted) == wanted
        assert part(rules[12], {"oif": 0, "table": 0}) == {"oif": "eth0", "table": "101"}
        assert set(rules) == {0, 10, 11, 12, 32766, 32767}


@sandboxed
def test_neighbours() -> None:
    topology = pair()
    a = topology.namespaces["a"]
    a.devices["eth0"].neighbour("10.0.0.9", "02:AA:00:00:00:09")
    with Network(topology) as net:
        (entry,) = listed(net, a, "ip", "neigh")
        assert entry == {"dst": "10.0.0.9", "dev": "eth0", "lladdr": "02:aa:00:00:00:09", "state": ["PERMANENT"]}


@sandboxed
def test_fdb_of_a_bridge() -> None:
    topology = Topology()
    sw = topology.namespace("sw")
    p0, _h0 = sw.veth("p0", "h0")
    p1, _h1 = sw.veth("p1", "h1")
    br0 = sw.bridge("br0", ports=[p0, p1])
    p1.fdb("02:aa:00:00:00:09")
    with Network(topology) as net:
        entries = listed(net, sw, "bridge", "fdb", "show", "br", "br0")
        (found,) = [e for e in entries if e["mac"] == "02:aa:00:00:00:09"]
        assert part(found, {"ifname": 0, "master": 0, "state": 0}) == {
            "ifname": "p1",
            "master": "br0",
            "state": "static",
        }
        assert [(e.dev, e.state, e.master) for e in net.fdb(br0) if e.mac == "02:aa:00:00:00:09"] == [
            ("p1", "static", "br0")
        ]


# Sysctls


@sandboxed
def test_sysctls() -> None:
    topology = pair()
    a, b = topology.namespaces["a"], topology.namespaces["b"]
    dotted = a.veth("v.1", "v.2")[0]
    dotted.sysctl("net.ipv4.conf.{}.rp_filter", 2)
    a.devices["eth0"].sysctl("net.ipv4.neigh.{}.retrans_time_ms", 200)
    a.sysctl("net.ipv4.conf.all.arp_ignore", 1)
    a.sysctl("net.ipv4.ip_local_port_range", "40000 40100")
    # ip_forward resets what stands in conf/*; what was declared holds, in whatever order.
    a.devices["eth0"].sysctl("net.ipv4.conf.{}.accept_redirects", 0)
    a.sysctl("net.ipv4.ip_forward", True)
    with Network(topology) as net:
        for key, value in {
            "net.ipv4.conf.v/1.rp_filter": "2",
            "net.ipv4.neigh.eth0.retrans_time_ms": "200",
            "net.ipv4.conf.all.arp_ignore": "1",
            "net.ipv4.ip_local_port_range": "40000\t40100",
            "net.ipv4.conf.eth0.accept_redirects": "0",
            "net.ipv4.ip_forward": "1",
        }.items():
            assert output(net, a, "sysctl", "-n", key).strip() == value
        assert output(net, b, "sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
        assert net.read_sysctl(dotted, "net.ipv4.conf.{}.rp_filter") == "2"


def read_all(net: Network, where: Namespace) -> dict[str, str]:
    """The sysctls of a namespace that a lab can feel, by their paths."""
    found = {}
    with net._testbed.namespaces[where.name].entered():
        for folder in ("net/ipv4/conf", "net/ipv4/neigh", "net/bridge", "net/ipv4"):
            for file in sorted(Path("/proc/sys", folder).rglob("*")):
                with contextlib.suppress(OSError):
                    if file.is_file():
                        found[str(file.relative_to("/proc/sys"))] = file.read_text().strip()
    return found


def baseline(contrary: bool) -> dict[str, str]:
    """All sysctls of a small lab, where the first namespace is as it came or turned about."""
    topology = pair()
    if contrary:
        for key, value in BASELINE.items():
            with contextlib.suppress(OSError):
                Path("/proc/sys", key).write_text("1" if value == "0" else "0")
    with Network(topology) as net:
        return read_all(net, topology.namespaces["a"])


@sandboxed
def test_baseline() -> None:
    topology = pair(arp_timeout=None)
    with Network(topology) as net:
        found = read_all(net, topology.namespaces["a"])
        there = {key: value for key, value in BASELINE.items() if key in found}
        assert len(there) > 35
        assert {key: found[key] for key in there} == there
        for device in ("lo", "eth0"):
            own = {key.rpartition("/")[2]: v for key, v in there.items() if key.startswith("net/ipv4/conf/default/")}
            if device == "lo":
                own |= {"disable_policy": "1", "disable_xfrm": "1"}  # the kernel's own doing: loopback_setup()
            assert {key: found[f"net/ipv4/conf/{device}/{key}"] for key in own} == own
        timers = {f"net/ipv4/neigh/eth0/{key}": value for key, value in NEIGHBOUR_BASELINE.items()}
        assert {key: found[key] for key in timers} == timers


def test_the_baseline_leaves_nothing_to_the_machine() -> None:
    """Each IPv4 setting of interfaces that a namespace copies from the first one, but two that follow from others."""
    found = {key.split("/")[-1] for key in BASELINE if key.startswith("net/ipv4/conf/default/")}
    names = {name.rpartition(".")[2] for name in catalogue() if name.startswith("net.ipv4.conf.{}.")}
    assert names - found == {"forwarding", "mc_forwarding"}
    assert {key.replace("/default/", "/all/") for key in BASELINE if "/default/" in key} <= set(BASELINE)


@sandboxed
def test_what_labs_rely_on() -> None:
    topology = pair()
    topology.namespaces["a"].bridge("br0")
    with Network(topology) as net:
        found = read_all(net, topology.namespaces["a"])
        for device in ("all", "default", "lo", "eth0", "br0"):
            for name in ("rp_filter", "accept_local", "arp_ignore", "arp_announce", "arp_filter", "proxy_arp"):
                assert found[f"net/ipv4/conf/{device}/{name}"] == "0"
            assert found[f"net/ipv4/conf/{device}/send_redirects"] == "1"
        for name in ("iptables", "ip6tables", "arptables"):
            assert found.get(f"net/bridge/bridge-nf-call-{name}", "0") == "0"


@sandboxed
def test_short_arp_timers_are_the_default() -> None:
    topology = pair()
    with Network(topology) as net:
        a = topology.namespaces["a"]
        assert output(net, a, "sysctl", "-n", "net.ipv4.neigh.eth0.mcast_solicit").strip() == "1"
        assert output(net, a, "sysctl", "-n", "net.ipv4.neigh.eth0.retrans_time_ms").strip() == "40"
        assert output(net, a, "sysctl", "-n", "net.ipv4.neigh.eth0.proxy_delay").strip() == "0"
    device = topology.namespaces["a"].devices["eth0"]
    # Hundredths of a second in /proc, milliseconds in the message.
    with Network(topology) as net:
        request, _rest = build.set_neighbour_timers(device, {"proxy_delay": "70"})
        assert request is not None
        net._testbed.netlinks["a"].batch([request])
        assert output(net, topology.namespaces["a"], "sysctl", "-n", "net.ipv4.neigh.eth0.proxy_delay").strip() == "70"


@sandboxed
def test_a_proxy_answers_before_the_question_is_given_up() -> None:
    """The kernel's own delay, up to 0.8 s and drawn by lot, would make its answer an absence in most runs."""
    topology = pair()
    a, b = topology.namespaces["a"], topology.namespaces["b"]
    one, two = a.devices["eth0"], b.devices["eth0"]
    with Network(topology) as net:
        net.sysctl(two, "net.ipv4.conf.{}.proxy_arp", 1)
        net.sysctl(b, "net.ipv4.ip_forward", 1)
        net.run(b, ["ip", "route", "add", "10.9.0.0/16", "dev", "lo"])
        net.run(a, ["ip", "route", "add", "10.9.0.0/16", "dev", "eth0"])
        for host in range(1, 11):
            with net.capture() as seen:
                net.send(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op="who-has", pdst=f"10.9.0.{host}"), dev=one)
            assert seen.path(ARP(op="is-at", psrc=f"10.9.0.{host}")) == [two, one]


def test_the_same_whatever_the_first_namespace_says() -> None:
    as_it_came, turned_about = call(baseline, False), call(baseline, True)
    changed = {
        key: (as_it_came.get(key), turned_about.get(key))
        for key in as_it_came.keys() | turned_about.keys()
        if as_it_came.get(key) != turned_about.get(key)
    }
    assert not changed


# IPv6


@sandboxed
def test_ipv6_is_off() -> None:
    topology = pair()
    with Network(topology) as net:
        a = topology.namespaces["a"]
        addresses = [i["family"] for each in listed(net, a, "ip", "addr") for i in each["addr_info"]]
        assert set(addresses) <= {"inet"}
        for scope in ("all", "default", "eth0", "lo"):
            assert output(net, a, "sysctl", "-n", f"net.ipv6.conf.{scope}.disable_ipv6").strip() == "1"
        assert set(IPV6_OFF) == {"net/ipv6/conf/all/disable_ipv6"}


@sandboxed
def test_ipv6_addresses_are_usable_at_once() -> None:
    topology = pair(ends=("fd00::1/64", "fd00::2/64"), ipv6=True)
    a, b = topology.namespaces["a"], topology.namespaces["b"]
    b.lo.address("fd01::1/128")
    a.route("fd01::/64", via="fd00::2")
    a.devices["eth0"].neighbour("fd00::9", "02:aa:00:00:00:09")
    with Network(topology) as net:
        infos = [i for each in listed(net, a, "ip", "addr", "show", "dev", "eth0") for i in each["addr_info"]]
        (own,) = [i for i in infos if i["local"] == "fd00::1"]
        assert "tentative" not in own
        assert output(net, a, "ping", "-6", "-c", "1", "-W", "2", "fd00::2")
        assert output(net, a, "ping", "-6", "-c", "1", "-W", "2", "fd01::1")
        assert [r.via for r in net.routes(a) if r.dst == "fd01::/64"] == ["fd00::2"]
        assert ("fd00::9", "02:aa:00:00:00:09") in [(n.address, n.mac) for n in net.neighbours(a)]


# nft


@sandboxed
def test_nft() -> None:
    topology = pair()
    a = topology.namespaces["a"]
    a.nft("table ip t {\n chain c {\n type filter hook input priority 0; policy drop;\n counter\n }\n}")
    a.nft("add table ip second")
    with Network(topology) as net:
        text = output(net, a, "nft", "list", "ruleset")
        assert "type filter hook input priority filter; policy drop;" in text
        assert "table ip second" in text
        assert output(net, topology.namespaces["b"], "nft", "list", "ruleset") == ""
        tables = json.loads(output(net, a, "nft", "-j", "list", "tables"))["nftables"]
        assert [each["table"]["name"] for each in tables if "table" in each] == ["t", "second"]


# Refused by the kernel


def refusal(topology: Topology) -> KernelError:
    with pytest.raises(KernelError) as caught:
        Network(topology)
    return caught.value


@sandboxed
def test_gateway_that_cannot_be_reached() -> None:
    topology = pair()
    topology.namespaces["a"].route("10.1.0.0/16", via="192.0.2.1")
    error = refusal(topology)
    assert error.what == "ip -n a route add 10.1.0.0/16 via 192.0.2.1"
    assert (error.errno, error.detail) == (errno.ENETUNREACH, "Nexthop has invalid gateway")
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+", error.where)
    assert str(error) == f"{error.where}: {error.what}: Network is unreachable (kernel: Nexthop has invalid gateway)"


@sandboxed
def test_fdb_entry_of_what_is_no_port() -> None:
    topology = pair()
    topology.namespaces["a"].devices["eth0"].fdb("02:aa:00:00:00:09")
    error = refusal(topology)
    assert error.what == "bridge -n a fdb add 02:aa:00:00:00:09 dev eth0 master static"
    assert error.errno == errno.EOPNOTSUPP


@sandboxed
def test_sysctl_value_that_the_kernel_refuses() -> None:
    topology = pair()
    topology.namespaces["a"].sysctl("net.ipv4.ip_local_port_range", "99999 1")
    error = refusal(topology)
    assert error.what == "sysctl net/ipv4/ip_local_port_range=99999 1 in a"
    assert error.errno == errno.EINVAL


@sandboxed
def test_bad_ruleset() -> None:
    topology = pair()
    topology.namespaces["a"].nft("table ip t {\n  chain c {\n    frobnicate\n  }\n}")
    with pytest.raises(LabError) as caught:
        Network(topology)
    assert re.search(r"nft in a:3:\d+-\d+: Error: ", caught.value.message)
    assert re.match(rf"{re.escape(__file__)}:\d+: nft refused", caught.value.message)
    assert "frobnicate" in caught.value.message
    assert "nft(8)" in caught.value.remedy


@sandboxed
def test_names_that_the_topology_refuses_are_refused_by_the_kernel() -> None:
    """The rules of the topology are the kernel's, no stricter."""
    from pktlab.kernel.link import CREATE, RTM_NEWLINK, request
    from pktlab.kernel.netlink import Netlink

    with contextlib.closing(Netlink()) as netlink:
        for name in ("a/b", "a:b", "a b", "a\N{NO-BREAK SPACE}b", "\u00e0", "."):
            info = {"attrs": [["IFLA_INFO_KIND", "bridge"], ["IFLA_INFO_DATA", {"attrs": []}]]}
            attrs = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
            with pytest.raises(KernelError) as caught:
                netlink.batch([request(name, RTM_NEWLINK, {}, attrs, flags=CREATE)])
            assert caught.value.errno == errno.EINVAL
    libc.unshare(libc.CLONE_NEWNET)
    topology = Topology()
    names = ["-", "a%"[:1], "\u00e9" * 7, "x" * 15, "veth.100", "@", "\u4e00"]
    host = topology.namespace("host")
    for name in names:
        host.bridge(name)
    with Network(topology) as net:
        assert [each.name for each in net.links(host)] == ["lo", *names]


@sandboxed
def test_failed_bring_up_leaves_no_names() -> None:
    topology = pair()
    topology.namespaces["a"].route("10.1.0.0/16", via="192.0.2.1")
    refusal(topology)
    assert list(Path("/run/netns").iterdir()) == []
    with Network(pair()) as net:
        assert net.ping("10.0.0.2", ns=net.topology.namespaces["a"])


@sandboxed
def test_who_is_refused_is_named_where_one_message_says_two_things() -> None:
    """An interface becomes a port and goes up at once; the kernel refuses to make it a port of what is no bridge."""
    topology = pair()
    a, b = topology.namespaces["a"], topology.namespaces["b"]
    eth0, far = a.devices["eth0"], b.devices["eth0"]
    ups = {each.device: each for each in topology.settings if isinstance(each, settings.Up)}
    port = settings.Port(netns="a", origin=origin(), device=eth0, bridge=a.lo)
    gone = settings.Up(netns="b", origin=origin(), device=Interface("b", "gone", index=9))
    with Network(topology) as net:
        netlinks = net._testbed.netlinks
        with pytest.raises(KernelError) as caught:
            netlinks["a"].batch([build.set_up_as_port(ups[eth0], port), build.placed(gone)])
        assert (caught.value.what, caught.value.errno) == ("ip -n a link set eth0 master lo", errno.EOPNOTSUPP)
        assert caught.value.where == str(port.origin)
        # The first of a bunch, one between others and the last are all answered.
        for place in range(3):
            requests = [build.placed(ups[far])] * 3
            requests[place] = build.placed(gone)
            with pytest.raises(KernelError) as caught:
                netlinks["b"].batch(requests)
            assert (caught.value.what, caught.value.errno) == ("ip -n b link set gone up", errno.ENODEV)
        assert net.ping("10.0.0.2", ns=a)


@sandboxed
def test_a_macvlan_on_a_bridge_goes_up_after_it() -> None:
    topology = Topology()
    first, host = topology.namespace("first"), topology.namespace("host")
    p0, h0 = host.veth("p0", "h0", netns=first)
    br0 = host.bridge("br0", ports=[p0])
    mv0 = host.macvlan("mv0", link=br0)
    mv0.address("10.0.0.1/24")
    h0.address("10.0.0.2/24")
    with Network(topology) as net:
        assert link(net, host, "mv0")["operstate"] == "UP"
        assert net.ping("10.0.0.2", dev=mv0)


# Many namespaces


def many(count: int) -> Topology:
    """So many namespaces, each with a bridge."""
    topology = Topology()
    for number in range(count):
        topology.namespace(f"n{number}").bridge("br0")
    return topology


@sandboxed
def test_each_of_many_namespaces_has_the_baseline() -> None:
    """More than are looked up in one mount of proc."""
    topology = many(70)
    wanted = {key: value for key, value in (BASELINE | IPV6_OFF).items() if key.split("/")[1] in ("bridge", "ipv6")}
    with Network(topology) as net:
        assert len(wanted) == 4
        for namespace in net._testbed.namespaces.values():
            with namespace.entered():
                found = {key: Path("/proc/sys", key).read_text().strip() for key in wanted}
            assert found == wanted
        listing = output(net, topology.namespaces["n0"], "ip", "netns", "list")
        assert {line.split()[0] for line in listing.splitlines()} == set(topology.namespaces)


@pytest.mark.parametrize("under_goes_first", [True, False])
@sandboxed
def test_names_go_with_their_network_only(under_goes_first: bool) -> None:
    """Of two networks, the later one's folder lies on the other's."""

    def names() -> set[str]:
        return {each.name for each in Path("/run/netns").iterdir()}

    under, upper = Network(many(2)), Network(pair())
    assert names() == {"a", "b"}
    if under_goes_first:
        under.close()
        assert output(upper, upper.topology.namespaces["a"], "ip", "-n", "b", "link")
        assert names() == {"a", "b"}
        upper.close()
    else:
        upper.close()
        assert names() == {"n0", "n1"}
        under.close()
    assert names() == set()
    assert "nsfs" not in Path("/proc/self/mountinfo").read_text()


@sandboxed
def test_what_an_act_makes_is_known_by_name_after_more_news_than_a_socket_holds() -> None:
    topology = pair()
    b = topology.namespaces["b"]
    with Network(topology) as net:
        noise = [f"link set lo mtu {1000 + number}\n" for number in range(400)]
        assert net.run(b, ["ip", "-batch", "-"], input="".join([*noise, "link add last type bridge\n", *noise]))
        looks: list[int] = []
        look = tables.names

        def counted(netlink: Netlink) -> dict[int, str]:
            looks.append(1)
            return look(netlink)

        tables.names = counted
        assert net.interface(b, "last").name == "last"
        assert len(looks) == 2, "the socket was to overflow once"

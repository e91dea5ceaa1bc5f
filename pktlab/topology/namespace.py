"""A network namespace that a topology declares."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pktlab.interface import Interface
from pktlab.topology import check, settings, sysctl
from pktlab.topology.device import LOOPBACK_MAC, Device
from pktlab.topology.origin import fault, origin

if TYPE_CHECKING:
    from pktlab.topology.topology import Topology

ROUTE_TYPES = ("unicast", "local", "broadcast", "blackhole", "unreachable", "prohibit", "throw")
MACVLAN_MODES = ("private", "vepa", "bridge", "passthru")
SCOPES = ("global", "site", "link", "host")
_MTU = (68, 65535)


class Namespace:
    """A declared network namespace; its methods declare interfaces, routes, rules and settings in it."""

    def __init__(self, topology: Topology, name: str) -> None:
        self.topology = topology
        self.name = name
        self.devices: dict[str, Device] = {}
        self._next = 0
        self.lo = Device(self, "lo", kind="loopback", mac=LOOPBACK_MAC, index=1)
        self.devices["lo"] = self.lo

    def __repr__(self) -> str:
        return self.name

    @property
    def names(self) -> list[str]:
        """The names of the interfaces declared so far."""
        return list(self.devices)

    def declare(self, setting: settings.Setting) -> None:
        """Add a setting to the topology, refusing one that stands there already."""
        self.topology.declare(setting)

    def veth(
        self,
        name: str,
        peer: str,
        *,
        netns: Namespace | None = None,
        mac: str = "",
        peer_mac: str = "",
        mtu: int | None = None,
        peer_mtu: int | None = None,
    ) -> tuple[Device, Device]:
        """Declare a veth pair and return both ends; the peer is placed in `netns`, by default in this namespace.

        MACs are numbered by the topology unless given; `mtu` is in bytes (veth(4)).
        """
        near = self._device(name, "veth", mac)
        far = self._in_topology(netns or self)._device(peer, "veth", peer_mac)
        if near.mac == far.mac:
            raise fault(f"{near} and {far} have the same MAC, {near.mac}", "give each end of a veth its own")
        pair = settings.Veth(
            netns=self.name,
            origin=origin(),
            device=near,
            mac=near.mac,
            mtu=self._mtu(mtu),
            peer=far,
            peer_mac=far.mac,
            peer_mtu=self._mtu(peer_mtu),
        )
        self._create(pair, near, far)
        return near, far

    def bridge(
        self,
        name: str,
        *,
        ports: Sequence[Device] = (),
        ageing_time: float = 300.0,
        stp: bool = False,
        forward_delay: float = 15.0,
        mcast_snooping: bool = False,
        group_fwd_mask: int = 0,
        mac: str = "",
        mtu: int | None = None,
    ) -> Device:
        """Declare a bridge with its ports; times are in seconds, `ageing_time` 0 makes it a hub.

        Its MAC follows the ports unless `mac` pins it. Multicast snooping is off unless asked for, because it
        makes the bridge send IGMP and MLD queries and reports of its own.
        """
        if isinstance(ports, Interface) or not all(isinstance(port, Interface) for port in ports):
            raise fault(f"ports={ports!r} is not a list of interfaces", "write it as a list, as in ports=[p1, p2]")
        if check.number("group_fwd_mask", group_fwd_mask, 0, 0xFFFF) & 7:
            raise fault(
                f"group_fwd_mask {group_fwd_mask:#x} has one of the lowest three bits set",
                "STP, pause and LACP frames are never forwarded (BR_GROUPFWD_RESTRICTED); clear the bits",
            )
        device = self._device(name, "bridge", mac, numbered=False)
        bridge = settings.Bridge(
            netns=self.name,
            origin=origin(),
            device=device,
            mac=device._mac,
            mtu=self._mtu(mtu),
            ageing_time=check.seconds("ageing_time", ageing_time, 0, 10**6),
            stp=bool(stp),
            # BR_MIN_FORWARD_DELAY and BR_MAX_FORWARD_DELAY of net/bridge/br_private_stp.h
            forward_delay=check.seconds("forward_delay", forward_delay, 2 if stp else 0, 30),
            mcast_snooping=bool(mcast_snooping),
            group_fwd_mask=group_fwd_mask,
        )
        self._create(bridge, device)
        for port in ports:
            self.port(port, device)
        return device

    def port(self, device: Device, bridge: Device) -> Device:
        """Declare that `device` is a port of `bridge`; the ports of ``bridge(ports=...)`` need no such line."""
        for each in (device, bridge):
            self._mine(each)
        if bridge.kind != "bridge":
            raise fault(f"{bridge} is a {bridge.kind}, not a bridge", "declare it with namespace.bridge()")
        if device.kind in ("bridge", "loopback", "tun"):
            raise fault(f"{device} is a {device.kind} and cannot be a port", "ports are veth, vxlan, tap or macvlan")
        setting = settings.Port(netns=self.name, origin=origin(), device=device, bridge=bridge)
        self.topology.conflicts.refuse(setting)
        self.declare(setting)
        return device

    def vxlan(
        self,
        name: str,
        *,
        id: int,
        local: str = "",
        remote: str = "",
        dev: Device | None = None,
        dstport: int = 4789,
        learning: bool = True,
        mac: str = "",
        mtu: int | None = None,
    ) -> Device:
        """Declare a VXLAN device with VNI `id`; `remote` is where unknown and broadcast frames go (RFC 7348)."""
        device = self._device(name, "vxlan", mac)
        if dev is not None:
            self._mine(dev)
        ends = [check.ip(address) for address in (local, remote) if address]
        self.topology.allow(*ends)
        if len({":" in address for address in ends}) > 1:
            raise fault(f"vxlan {device} mixes IPv4 and IPv6", "write local and remote in one family")
        if local and ipaddress.ip_address(check.ip(local)).is_multicast:
            raise fault(f"the local address of vxlan {device} is multicast", "give an address of this namespace")
        if remote and dev is None and ipaddress.ip_address(check.ip(remote)).is_multicast:
            raise fault(f"vxlan {device} has a multicast remote and no dev", "give dev= (the interface that joins it)")
        tunnel = settings.Vxlan(
            netns=self.name,
            origin=origin(),
            device=device,
            mac=device.mac,
            mtu=self._mtu(mtu),
            id=check.number("VNI", id, 0, 2**24 - 1),
            dstport=check.number("dstport", dstport, 1, 65535),
            local=check.ip(local) if local else "",
            remote=check.ip(remote) if remote else "",
            dev=dev,
            learning=bool(learning),
        )
        self._create(tunnel, device)
        return device

    def tap(self, name: str, *, mac: str = "") -> Device:
        """Declare a tap device; an act is its other side through ``net.tap(device)``."""
        device = self._device(name, "tap", mac)
        self._create(settings.Tap(netns=self.name, origin=origin(), device=device, mac=device.mac), device)
        return device

    def tun(self, name: str, *, mtu: int | None = None) -> Device:
        """Declare a tun device, which takes bare IP packets; a program that an act starts attaches to it by name.

        Without a program it is up and has no carrier. See Documentation/networking/tuntap.rst.
        """
        device = self._device(name, "tun", "", numbered=False)
        tun = settings.Tun(netns=self.name, origin=origin(), device=device, mtu=self._mtu(mtu))
        self._create(tun, device)
        return device

    def macvlan(
        self, name: str, *, link: Device, mode: str = "bridge", mac: str = "", mtu: int | None = None
    ) -> Device:
        """Declare a macvlan device on `link`, which must be in the same namespace."""
        self._mine(link)
        if mode not in MACVLAN_MODES:
            raise fault(f"macvlan mode {mode!r} is unknown", f"choose one of {', '.join(MACVLAN_MODES)}")
        if link.kind in ("loopback", "tun"):
            raise fault(f"{link} is a {link.kind} and carries no macvlan", "link it to a veth, bridge, tap or vxlan")
        device = self._device(name, "macvlan", mac)
        made = settings.Macvlan(
            netns=self.name,
            origin=origin(),
            device=device,
            mac=device.mac,
            mtu=self._mtu(mtu),
            link=link,
            mode=mode,
        )
        self._create(made, device)
        return device

    def route(
        self,
        dst: str,
        *,
        via: str = "",
        dev: Device | None = None,
        type: str = "unicast",
        src: str = "",
        metric: int | None = None,
        table: int | None = None,
        scope: str = "",
        onlink: bool = False,
    ) -> None:
        """Declare a route; the words are those of ``ip route add`` (ip-route(8))."""
        if dev is not None:
            self._mine(dev)
        self.declare(
            self.make_route(
                dst, via=via, dev=dev, type=type, src=src, metric=metric, table=table, scope=scope, onlink=onlink
            )
        )

    def make_route(
        self,
        dst: str,
        *,
        via: str = "",
        dev: Interface | None = None,
        type: str = "unicast",
        src: str = "",
        metric: int | None = None,
        table: int | None = None,
        scope: str = "",
        onlink: bool = False,
    ) -> settings.Route:
        """Check the words of a route and return it, without declaring it; `dev` may be one that a program made."""
        if type not in ROUTE_TYPES:
            raise fault(f"route type {type!r} is unknown", f"choose one of {', '.join(ROUTE_TYPES)}")
        if scope and scope not in SCOPES:
            raise fault(f"route scope {scope!r} is unknown", f"choose one of {', '.join(SCOPES)}")
        if dev is not None and (not isinstance(dev, Interface) or dev.netns != self.name):
            raise fault(f"{dev!r} is not an interface in namespace {self.name!r}", "pass an object such as veth0")
        if type in ("unicast", "local", "broadcast") and not via and dev is None:
            raise fault(f"route to {dst} leads nowhere", "give via= (a gateway) or dev= (an interface)")
        if type in ("blackhole", "unreachable", "prohibit", "throw") and (via or dev is not None):
            raise fault(f"a route of type {type} leads nowhere, yet this one has via or dev", "leave via and dev out")
        if onlink and dev is None:
            raise fault(f"route to {dst} is onlink, but on no interface", "give dev= (an interface)")
        dst, via, src = check.prefix(dst), check.ip(via) if via else "", check.ip(src) if src else ""
        if len({":" in text for text in (dst, via, src) if text not in ("", "default")}) > 1:
            raise fault(f"route to {dst} mixes IPv4 and IPv6", "write all its addresses in one family")
        self.topology.allow(dst, via, src)
        return settings.Route(
            netns=self.name,
            origin=origin(),
            dst=dst,
            type=type,
            via=via,
            device=dev,
            src=src,
            metric=None if metric is None else check.number("metric", metric, 0, 2**32 - 1),
            table=None if table is None else check.number("table", table, 1, 2**32 - 1),
            scope=scope,
            onlink=bool(onlink),
        )

    def rule(
        self,
        *,
        table: int,
        src: str = "",
        dst: str = "",
        iif: Device | None = None,
        oif: Device | None = None,
        fwmark: int | None = None,
        priority: int | None = None,
    ) -> None:
        """Declare a rule of the routing policy; `src` and `dst` are ip-rule(8)'s ``from`` and ``to``."""
        for device in (iif, oif):
            if device is not None:
                self._mine(device)
        rule = settings.Rule(
            netns=self.name,
            origin=origin(),
            table=check.number("table", table, 1, 2**32 - 1),
            src=check.prefix(src) if src else "",
            dst=check.prefix(dst) if dst else "",
            iif=iif,
            oif=oif,
            fwmark=None if fwmark is None else check.number("fwmark", fwmark, 0, 2**32 - 1),
            priority=None if priority is None else check.number("priority", priority, 0, 2**32 - 1),
        )
        self.topology.allow(rule.src, rule.dst)
        if len({":" in text for text in (rule.src, rule.dst) if text not in ("", "default")}) > 1:
            raise fault("a rule that mixes IPv4 and IPv6", "write src and dst in one family")
        self.declare(rule)

    def sysctl(self, name: str, value: int | str) -> None:
        """Declare a sysctl of this namespace, as in ``net.ipv4.ip_forward``."""
        path, owner = sysctl.key(name, self.names)
        setting = settings.Sysctl(
            netns=self.name,
            origin=origin(),
            key=path,
            value=sysctl.value(name, value),
            device=self.devices[owner] if owner else None,
        )
        self.declare(setting)

    def nft(self, ruleset: str) -> None:
        """Declare a ruleset in nft's own language (nft(8)); it is loaded last."""
        if not isinstance(ruleset, str) or not ruleset.strip():
            raise fault("empty nft ruleset", 'write it as nft reads it: "table ip nat { ... }"')
        self.declare(settings.Nft(netns=self.name, origin=origin(), ruleset=ruleset))

    def _device(self, name: str, kind: str, mac: str, *, numbered: bool = True) -> Device:
        check.interface_name(name)
        if name in self.devices:
            raise fault(
                f"namespace {self.name!r} already has an interface {name!r}", "give each interface its own name"
            )
        self._next += 1
        given = check.unicast_mac(mac) if mac else ""
        device = Device(
            self,
            name,
            kind=kind,
            mac=given or (self.topology.mac(self, self._next) if numbered else ""),
            index=self.topology.next_index(),
        )
        self.devices[name] = device
        return device

    def _create(self, link: settings.Link, *devices: Device) -> None:
        self.declare(link)
        for device in devices:
            self.declare(settings.Up(netns=device.netns, origin=link.origin, device=device))

    def _mine(self, device: Interface) -> None:
        if not isinstance(device, Interface):
            raise fault(f"{device!r} is not an interface", "pass the object that veth(), bridge(), ... returned")
        if self.devices.get(device.name) is not device:
            raise fault(f"{device} is not in namespace {self.name!r}", f"use an interface that {self.name!r} declares")

    def _in_topology(self, namespace: Namespace) -> Namespace:
        if not isinstance(namespace, Namespace) or namespace.topology is not self.topology:
            raise fault(f"{namespace!r} is not a namespace of this topology", "pass what topology.namespace() returned")
        return namespace

    @staticmethod
    def _mtu(mtu: int | None) -> int | None:
        return None if mtu is None else check.number("mtu", mtu, *_MTU)

"""Declared settings, said in rtnetlink's messages."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

from pktlab.interface import Interface
from pktlab.kernel import link, template
from pktlab.kernel.link import Attributes
from pktlab.kernel.netlink import Request
from pktlab.topology import settings

IFF_UP = 1
NUD_NOARP, NUD_PERMANENT = 0x40, 0x80
NTF_SELF, NTF_MASTER = 0x02, 0x04
RTNH_F_ONLINK = 4
RTEXT_FILTER_SKIP_STATS = 8
RT_TABLE_MAIN, RT_TABLE_LOCAL = 254, 255
RTPROT_BOOT, RTPROT_STATIC = 3, 4
SCOPES = {"global": 0, "site": 200, "link": 253, "host": 254}
ROUTE_TYPES = {
    "unicast": 1,
    "local": 2,
    "broadcast": 3,
    "blackhole": 6,
    "unreachable": 7,
    "prohibit": 8,
    "throw": 9,
}
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


def add_link(setting: settings.Link, descriptors: Mapping[str, int]) -> Request:
    """Return the request that creates a link; `descriptors` are the namespaces', by name (for a veth's peer)."""
    if isinstance(setting, settings.Veth):
        # In the order of the slots below.
        device, peer = setting.device, setting.peer
        values = (
            device.index,
            device.name.encode(),
            _mac(setting.mac),
            peer.index,
            peer.name.encode(),
            _mac(setting.peer_mac),
            descriptors[peer.netns],
        )
        key = (settings.Veth, setting.mtu, setting.peer_mtu)
        return link.filled(setting, key, values, lambda: _add_link(setting, descriptors))
    kind, fields, attrs, flags = _add_link(setting, descriptors)
    return link.request(setting, kind, fields, attrs, flags=flags)


def _add_link(setting: settings.Link, descriptors: Mapping[str, int]) -> link.Message:
    attrs: Attributes = [("IFLA_IFNAME", template.name(setting.device.name))]
    if setting.mac:
        attrs.append(("IFLA_ADDRESS", template.mac(setting.mac)))
    kind, data = _kind(setting, descriptors)
    attrs.append(("IFLA_LINKINFO", {"attrs": [["IFLA_INFO_KIND", kind], ["IFLA_INFO_DATA", {"attrs": data}]]}))
    if setting.mtu:
        attrs.append(("IFLA_MTU", setting.mtu))
    if isinstance(setting, settings.Macvlan):
        attrs.append(("IFLA_LINK", setting.link.index))
    return link.RTM_NEWLINK, _index(setting.device), attrs, link.CREATE


def _kind(setting: settings.Link, descriptors: Mapping[str, int]) -> tuple[str, list[list[Any]]]:
    if isinstance(setting, settings.Veth):
        # The whole ifinfomsg of the peer goes along: its index must differ from the near end's, or the kernel
        # takes up to a second to raise the carrier.
        peer: list[list[Any]] = [
            ["IFLA_IFNAME", template.name(setting.peer.name)],
            ["IFLA_ADDRESS", template.mac(setting.peer_mac)],
            ["IFLA_NET_NS_FD", template.number(descriptors[setting.peer.netns])],
        ]
        if setting.peer_mtu:
            peer.append(["IFLA_MTU", setting.peer_mtu])
        return "veth", [["VETH_INFO_PEER", {**_index(setting.peer), "attrs": peer}]]
    if isinstance(setting, settings.Bridge):
        return "bridge", [
            ["IFLA_BR_AGEING_TIME", round(setting.ageing_time * 100)],
            ["IFLA_BR_FORWARD_DELAY", round(setting.forward_delay * 100)],
            ["IFLA_BR_STP_STATE", int(setting.stp)],
            ["IFLA_BR_MCAST_SNOOPING", int(setting.mcast_snooping)],
            ["IFLA_BR_GROUP_FWD_MASK", setting.group_fwd_mask],
        ]
    if isinstance(setting, settings.Vxlan):
        data: list[list[Any]] = [
            ["IFLA_VXLAN_ID", setting.id],
            ["IFLA_VXLAN_PORT", setting.dstport],
            ["IFLA_VXLAN_LEARNING", int(setting.learning)],
        ]
        for name, address in (("IFLA_VXLAN_LOCAL", setting.local), ("IFLA_VXLAN_GROUP", setting.remote)):
            if address:
                data.append([name + ("6" if ":" in address else ""), address])
        if setting.dev:
            data.append(["IFLA_VXLAN_LINK", setting.dev.index])
        return "vxlan", data
    if isinstance(setting, settings.Macvlan):
        # No work queue for broadcasts: what waits in one passes no fence, and what is too much for it is
        # dropped where nobody counts it (macvlan_handle_frame() in drivers/net/macvlan.c; older kernels than 6.4 have
        # no such switch, and ignore it).
        return "macvlan", [["IFLA_MACVLAN_MODE", setting.mode], ["IFLA_MACVLAN_BC_CUTOFF", -1]]
    raise TypeError(f"no link of a kind known here: {setting!r}")


def _index(device: Interface) -> dict[str, Any]:
    return {"index": template.number(device.index)}


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def request(setting: settings.Setting) -> Request | None:
    """Return the request for a setting of an existing interface; None for what is no business of rtnetlink."""
    match setting:
        case settings.Bridge(mtu=int(mtu)) | settings.Tun(mtu=int(mtu)):
            return set_mtu(setting.device, mtu)
        case settings.Up():
            return set_up(setting.device, True)
        case settings.Port():
            return set_master(setting.device, setting.bridge)
        case settings.Hairpin():
            return set_hairpin(setting.device)
        case settings.Address():
            return address(setting.device, setting.address)
        case settings.Neighbour():
            return neighbour(setting.device, setting.address, setting.mac)
        case settings.FdbEntry():
            return fdb(setting)
        case settings.Route():
            return route(setting)
        case settings.Rule():
            return rule(setting)
    return None


def state(index: int) -> Request:
    """Ask for a link without its statistics. The kernel settles its carrier before it answers (rtnl_getlink())."""
    attrs: Attributes = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    fields = {"index": template.number(index)}
    return link.filled("ip link show", "state", (index,), lambda: (link.RTM_GETLINK, fields, attrs, 0))


def set_up(device: Interface, up: bool) -> Request:
    """Set an interface administratively up or down."""
    what = f"ip -n {device.netns} link set {device.name} {'up' if up else 'down'}"
    fields = {**_index(device), "flags": IFF_UP if up else 0, "change": IFF_UP}
    return link.filled(what, ("up", up), (device.index,), lambda: (link.RTM_NEWLINK, fields, [], 0))


def set_up_as_port(up: settings.Up, port: settings.Port) -> Request:
    """Make an interface a port and set it up with one message: the kernel tells everybody of it once."""
    fields = {**_index(port.device), "flags": IFF_UP, "change": IFF_UP}
    attrs: Attributes = [("IFLA_MASTER", template.number(port.bridge.index))]
    values = (port.device.index, port.bridge.index)
    whole = link.filled(port, "port", values, lambda: (link.RTM_NEWLINK, fields, attrs, 0))
    return Request(port, whole.data, port.origin, lambda: [placed(each) for each in (port, up)])


def placed(setting: settings.Setting) -> Request:
    """Return the request for a setting that is rtnetlink's business, with the place that it was declared at."""
    made = request(setting)
    if made is None:
        raise TypeError(f"not to be said in rtnetlink: {setting!r}")
    return Request(made.what, made.data, setting.origin)


def set_neighbour_timers(device: Interface, timers: Mapping[str, str]) -> tuple[Request | None, dict[str, str]]:
    """Return the request that sets the neighbour timers of an interface, and those that have to be set by sysctl.

    `timers` are by their names below net/ipv4/neigh. A message of the batch costs a tenth of opening a file in /proc.
    """
    known = {name: int(value) * _UNITS.get(name, 1) for name, value in timers.items() if name in _NEIGHBOUR_PARMS}
    rest = {name: value for name, value in timers.items() if name not in known}
    if not known:
        return None, rest

    def example() -> link.Message:
        attrs = [[_NEIGHBOUR_PARMS[name], value] for name, value in known.items()]
        parms = {"attrs": [["NDTPA_IFINDEX", template.number(device.index)], *attrs]}
        named: Attributes = [("NDTA_NAME", "arp_cache"), ("NDTA_PARMS", parms)]
        return link.RTM_SETNEIGHTBL, {"family": socket.AF_INET}, named, 0

    key = ("timers", *known.items())
    return link.filled(f"neighbour timers of {device}", key, (device.index,), example), rest


_NEIGHBOUR_PARMS = {
    "mcast_solicit": "NDTPA_MCAST_PROBES",
    "proxy_delay": "NDTPA_PROXY_DELAY",
    "retrans_time_ms": "NDTPA_RETRANS_TIME",
}
_UNITS = {"proxy_delay": 10}  # hundredths of a second in /proc, milliseconds in the message


def set_mtu(device: Interface, mtu: int) -> Request:
    """Set the MTU of an interface; a bridge keeps it from then on, and no longer takes the lowest of its ports."""
    what = f"ip -n {device.netns} link set {device.name} mtu {mtu}"
    return link.request(what, link.RTM_NEWLINK, {"index": device.index}, [("IFLA_MTU", mtu)])


def set_master(device: Interface, bridge: Interface | None) -> Request:
    """Make an interface a port of `bridge`, or of none."""
    what = f"ip -n {device.netns} link set {device.name} " + (f"master {bridge.name}" if bridge else "nomaster")
    attrs: Attributes = [("IFLA_MASTER", template.number(bridge.index if bridge else 0))]
    return link.request(what, link.RTM_NEWLINK, _index(device), attrs)


def set_bridge(device: Interface, *, ageing_time: float | None, stp: bool | None, hello_time: float | None) -> Request:
    """Change a living bridge: its times in seconds, and whether it speaks STP."""
    what = f"ip -n {device.netns} link set {device.name} type bridge"
    data: list[list[Any]] = []
    if ageing_time is not None:
        what += f" ageing_time {ageing_time * 100:.0f}"
        data.append(["IFLA_BR_AGEING_TIME", round(ageing_time * 100)])
    if hello_time is not None:
        what += f" hello_time {hello_time * 100:.0f}"
        data.append(["IFLA_BR_HELLO_TIME", round(hello_time * 100)])
    if stp is not None:
        what += f" stp_state {int(stp)}"
        data.append(["IFLA_BR_STP_STATE", int(stp)])
    info = {"attrs": [["IFLA_INFO_KIND", "bridge"], ["IFLA_INFO_DATA", {"attrs": data}]]}
    return link.request(what, link.RTM_NEWLINK, {"index": device.index}, [("IFLA_LINKINFO", info)])


def set_hairpin(device: Interface) -> Request:
    """Let a port send a frame back to where it came from (br_setport() in net/bridge/br_netlink.c)."""
    what = f"bridge -n {device.netns} link set dev {device.name} hairpin on"
    port = [["IFLA_INFO_SLAVE_KIND", "bridge"], ["IFLA_INFO_SLAVE_DATA", {"attrs": [["IFLA_BRPORT_MODE", 1]]}]]
    return link.request(what, link.RTM_NEWLINK, {"index": device.index}, [("IFLA_LINKINFO", {"attrs": port})])


def set_netns(device: Interface, netns: str, descriptor: int, index: int, name: str = "") -> Request:
    """Move an interface to another namespace, with an ifindex that is free there, and a new name if one is given."""
    what = f"ip -n {device.netns} link set {device.name} netns {netns}" + (f" name {name}" if name else "")
    attrs: Attributes = [("IFLA_NET_NS_FD", descriptor), ("IFLA_NEW_IFINDEX", index)]
    attrs += [("IFLA_IFNAME", name)] if name else []
    return link.request(what, link.RTM_NEWLINK, {"index": device.index}, attrs)


def set_mac(device: Interface, mac: str) -> Request:
    """Set the MAC address of an interface."""
    what = f"ip -n {device.netns} link set {device.name} address {mac}"
    return link.request(what, link.RTM_NEWLINK, {"index": device.index}, [("IFLA_ADDRESS", mac)])


def del_link(device: Interface) -> Request:
    """Delete an interface."""
    what = f"ip -n {device.netns} link del {device.name}"
    return link.request(what, link.RTM_DELLINK, {"index": device.index}, [])


def address(device: Interface, cidr: str, *, delete: bool = False) -> Request:
    """Add or delete an address; an IPv6 one without duplicate address detection, which takes a second.

    Many are declared, each another: so an IPv4 address is read by inet_aton(3), which is fast.
    """
    text, _, length = cidr.partition("/")
    size = int(length)
    verb, kind, flags = ("del", link.RTM_DELADDR, 0) if delete else ("add", link.RTM_NEWADDR, link.CREATE)
    what = f"ip -n {device.netns} addr {verb} {cidr} dev {device.name}"
    if ":" in text:
        scope = SCOPES["host"] if ipaddress.ip_address(text).is_loopback else SCOPES["global"]
        fields = {"family": socket.AF_INET6, "prefixlen": size, "flags": 0x02, **_index(device), "scope": scope}
        return link.request(what, kind, fields, [("IFA_ADDRESS", text), ("IFA_LOCAL", text)], flags=flags)
    packed = socket.inet_aton(text)
    loopback = packed[0] == 127
    values: list[Any] = [device.index, packed, packed]
    if size < 31 and not loopback:
        values.append((int.from_bytes(packed, "big") | (1 << 32 - size) - 1).to_bytes(4, "big"))

    def example() -> link.Message:
        scope = SCOPES["host"] if loopback else SCOPES["global"]
        fields = {"family": socket.AF_INET, "prefixlen": size, **_index(device), "scope": scope}
        names = ("IFA_ADDRESS", "IFA_LOCAL", "IFA_BROADCAST")
        attrs: Attributes = [(n, template.ipv4(v)) for n, v in zip(names, values[1:], strict=False)]
        return kind, fields, attrs, flags

    return link.filled(what, ("address", kind, size, loopback), values, example)


def neighbour(device: Interface, ip: str, mac: str) -> Request:
    """Add a permanent neighbour entry, or replace what is there."""
    what = f"ip -n {device.netns} neigh replace {ip} lladdr {mac} dev {device.name} nud permanent"
    fields = {
        "family": _FAMILY[ipaddress.ip_address(ip).version],
        "ifindex": device.index,
        "state": NUD_PERMANENT,
    }
    return link.request(what, link.RTM_NEWNEIGH, fields, [("NDA_DST", ip), ("NDA_LLADDR", mac)], flags=link.REPLACE)


def del_neighbour(device: Interface, ip: str) -> Request:
    """Delete a neighbour entry."""
    what = f"ip -n {device.netns} neigh del {ip} dev {device.name}"
    fields = {"family": _FAMILY[ipaddress.ip_address(ip).version], "ifindex": device.index}
    return link.request(what, link.RTM_DELNEIGH, fields, [("NDA_DST", ip)])


def fdb(setting: settings.FdbEntry) -> Request:
    """Add a static FDB entry: to the bridge of a port, or to a VXLAN device."""
    attrs: Attributes = [("NDA_LLADDR", setting.mac)]
    fields = {
        "family": socket.AF_BRIDGE,
        "ifindex": setting.device.index,
        "state": NUD_NOARP,
        "flags": NTF_MASTER,
    }
    if setting.dst:
        attrs.append(("NDA_DST", setting.dst))
        fields |= {"flags": NTF_SELF, "state": NUD_NOARP | NUD_PERMANENT}
    # Several VTEPs may share the all-zero MAC, so entries of a VXLAN device are appended.
    flags = link.APPEND if setting.dst else link.CREATE
    return link.request(setting, link.RTM_NEWNEIGH, fields, attrs, flags=flags)


def route(setting: settings.Route, *, delete: bool = False, replace: bool = False) -> Request:
    """Add, replace or delete a route; what is not said is filled in as ip-route(8) does."""
    parsed = None if setting.dst == "default" else ipaddress.ip_network(setting.dst)
    scope = setting.scope
    if not scope:
        local, onward = setting.type == "local", setting.via or setting.type not in ("unicast", "broadcast")
        scope = "host" if local else "global" if onward or setting.family == 6 else "link"
    table = setting.table or (RT_TABLE_LOCAL if setting.type in ("local", "broadcast") else RT_TABLE_MAIN)
    fields = {
        "family": _FAMILY[setting.family],
        "dst_len": parsed.prefixlen if parsed else 0,
        "table": table if table < 256 else 0,
        "proto": RTPROT_BOOT,
        "scope": SCOPES[scope],
        "type": ROUTE_TYPES[setting.type],
        "flags": RTNH_F_ONLINK if setting.onlink else 0,
    }
    attrs: Attributes = [("RTA_TABLE", table)]
    if parsed:
        attrs.append(("RTA_DST", str(parsed.network_address)))
    if setting.via:
        attrs.append(("RTA_GATEWAY", setting.via))
    if setting.device:
        attrs.append(("RTA_OIF", setting.device.index))
    if setting.src:
        attrs.append(("RTA_PREFSRC", setting.src))
    if setting.metric is not None:
        attrs.append(("RTA_PRIORITY", setting.metric))
    if delete:
        # As `ip route del` does: what was not said matches any (fib_table_delete() in net/ipv4/fib_trie.c).
        fields |= {"proto": 0, "scope": 255 if not setting.scope else SCOPES[scope]}
        fields |= {"type": 0} if setting.type == "unicast" else {}
        what = setting.command.replace(" route add ", " route del ")
        return link.request(what, link.RTM_DELROUTE, fields, attrs)
    verb, flags = ("replace", link.REPLACE) if replace else ("add", link.CREATE)
    what = setting.command.replace(" route add ", f" route {verb} ")
    return link.request(what, link.RTM_NEWROUTE, fields, attrs, flags=flags)


def rule(setting: settings.Rule) -> Request:
    """Add a rule of the routing policy."""
    attrs: Attributes = [("FRA_TABLE", setting.table)]
    lengths = {"src_len": 0, "dst_len": 0}
    version = 4
    for text, name, length in ((setting.src, "FRA_SRC", "src_len"), (setting.dst, "FRA_DST", "dst_len")):
        if text and text != "default":
            parsed = ipaddress.ip_network(text)
            version = parsed.version
            lengths[length] = parsed.prefixlen
            attrs.append((name, str(parsed.network_address)))
    if setting.iif:
        attrs.append(("FRA_IIFNAME", setting.iif.name))
    if setting.oif:
        attrs.append(("FRA_OIFNAME", setting.oif.name))
    if setting.fwmark is not None:
        attrs.append(("FRA_FWMARK", setting.fwmark))
    if setting.priority is not None:
        attrs.append(("FRA_PRIORITY", setting.priority))
    table = setting.table if setting.table < 256 else 0
    fields = {"family": _FAMILY[version], "table": table, "action": 1, **lengths}
    return link.request(setting, link.RTM_NEWRULE, fields, attrs, flags=link.CREATE)

"""The kernel's own tables, as data: links, neighbours, routes, FDB, conntrack."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Any

from pktlab.kernel import link
from pktlab.kernel.netlink import Netlink, attributes

# Operational states, RFC 2863 and include/uapi/linux/if.h, in iproute2's words.
OPERSTATES = ("UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP")
NUD = {
    0x01: "INCOMPLETE",
    0x02: "REACHABLE",
    0x04: "STALE",
    0x08: "DELAY",
    0x10: "PROBE",
    0x20: "FAILED",
    0x40: "NOARP",
    0x80: "PERMANENT",
}
NUD_INCOMPLETE, NUD_PROBE = 0x01, 0x10
FLAGS = {
    0x1: "UP",
    0x2: "BROADCAST",
    0x8: "LOOPBACK",
    0x10: "POINTOPOINT",
    0x80: "NOARP",
    0x100: "PROMISC",
    0x1000: "MULTICAST",
    0x10000: "LOWER_UP",
}
IFF_LOWER_UP = 0x10000
IFLA_IFNAME = 3
IFLA_OPERSTATE, IFLA_LINKINFO = 16, 18
IFLA_INFO_SLAVE_DATA = 5
IFLA_BRPORT_STATE = 1
BR_STATE_FORWARDING = 3
# include/uapi/linux/if_bridge.h, in iproute2's words
PORT_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")
ROUTE_TYPES = {1: "unicast", 2: "local", 3: "broadcast", 5: "multicast", 6: "blackhole", 7: "unreachable"}
ROUTE_TYPES |= {8: "prohibit", 9: "throw"}
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp", 132: "sctp"}


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as the kernel has it: `state` as in `ip link` (UP, DOWN, LOWERLAYERDOWN, UNKNOWN), `flags`
    in its words (UP, LOWER_UP, LOOPBACK, ...), `master` the name of its bridge or empty, `mtu` in bytes,
    `addresses` with prefix length, `port` the state of a bridge port in the words of `bridge link` (forwarding, ...)
    or empty, `promiscuity` how many want it promiscuous."""

    name: str
    index: int
    kind: str
    mac: str
    mtu: int
    state: str
    flags: tuple[str, ...]
    master: str = ""
    addresses: tuple[str, ...] = ()
    port: str = ""
    promiscuity: int = 0

    @property
    def up(self) -> bool:
        """Administratively up."""
        return "UP" in self.flags

    @property
    def carrier(self) -> bool:
        """The kernel sees a carrier (LOWER_UP)."""
        return "LOWER_UP" in self.flags


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbour entry: `mac` is empty while unresolved; `state` is one of ip-neighbour(8)'s."""

    address: str
    mac: str
    state: str
    dev: str


@dataclass(frozen=True, slots=True)
class Route:
    """A route: `dst` is a prefix or ``default``; `dev` and `via` are empty where the route has none."""

    dst: str
    type: str
    via: str
    dev: str
    src: str
    metric: int
    table: int
    scope: str


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """An entry of a forwarding database: `dev` is the port or VXLAN device, `dst` the VTEP, `state` is
    ``permanent``, ``static`` or ``learned``."""

    mac: str
    dev: str
    state: str
    master: str = ""
    dst: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a conntrack entry; `id` is the ICMP identifier, ports are 0 where there are none."""

    src: str
    dst: str
    sport: int = 0
    dport: int = 0
    id: int = 0


@dataclass(frozen=True, slots=True)
class Connection:
    """A conntrack entry: what the first packet looked like, and what its answers look like."""

    proto: str
    original: Flow
    reply: Flow


def state(message: bytes) -> tuple[int, int, int]:
    """Return flags, IFLA_OPERSTATE and bridge port state (-1 where it is no port) out of a link.

    Read by hand: this is asked of every interface at every bring-up, and decoding all attributes takes a millisecond.
    """
    flags: int = struct.unpack_from("=I", message, 24)[0]
    operational, port = 0, -1
    for kind, value in attributes(message, 32):
        if kind == IFLA_OPERSTATE:
            operational = value[0]
        elif kind == IFLA_LINKINFO:
            for inner, data in attributes(value, 0):
                if inner == IFLA_INFO_SLAVE_DATA:
                    port = next((v[0] for k, v in attributes(data, 0) if k == IFLA_BRPORT_STATE), -1)
            break
    return flags, operational, port


def carriers(netlink: Netlink) -> dict[int, tuple[int, int]]:
    """Return for each ifindex its flags and its IFLA_OPERSTATE."""
    found = {}
    for message in netlink.dump(link.dump("ip link", link.RTM_GETLINK)):
        index, flags = struct.unpack_from("=iI", message, 20)
        found[index] = (flags, next((v[0] for k, v in attributes(message, 32) if k == IFLA_OPERSTATE), 0))
    return found


def names(netlink: Netlink) -> dict[int, str]:
    """Return the names of the interfaces that are there, by ifindex."""
    return dict(filter(None, map(named, netlink.dump(link.dump("ip link", link.RTM_GETLINK)))))


def named(message: bytes) -> tuple[int, str] | None:
    """Return ifindex and name if the message announces an interface (RTM_NEWLINK of any but the bridge family)."""
    if int.from_bytes(message[4:6], "little") != link.RTM_NEWLINK or message[16] != socket.AF_UNSPEC:
        return None
    index = struct.unpack_from("=i", message, 20)[0]
    name = next((v for k, v in attributes(message, 32) if k == IFLA_IFNAME), b"")
    return index, name.rstrip(b"\0").decode(errors="replace")


def unresolved(netlink: Netlink) -> bool:
    """Tell whether any neighbour is being asked for (NUD_INCOMPLETE), or asked if it is still there (NUD_PROBE)."""
    messages = netlink.dump(link.dump("ip neigh", link.RTM_GETNEIGH))
    return any(struct.unpack_from("=H", message, 24)[0] & (NUD_INCOMPLETE | NUD_PROBE) for message in messages)


def links(netlink: Netlink) -> list[Link]:
    """Return the interfaces of a namespace, in the order of their ifindex."""
    addresses: dict[int, list[str]] = {}
    for message in map(link.decode, netlink.dump(link.dump("ip addr", link.RTM_GETADDR))):
        attrs = message["attrs"]
        text = attrs.get("IFA_LOCAL") or attrs["IFA_ADDRESS"]
        addresses.setdefault(message["index"], []).append(f"{text}/{message['prefixlen']}")
    messages = [link.decode(m) for m in netlink.dump(link.dump("ip link", link.RTM_GETLINK))]
    names = {m["index"]: m["attrs"]["IFLA_IFNAME"] for m in messages}
    found = []
    for message in messages:
        attrs = message["attrs"]
        info = attrs.get("IFLA_LINKINFO") or {"attrs": {}}
        flags = tuple(word for bit, word in FLAGS.items() if message["flags"] & bit)
        found.append(
            Link(
                name=attrs["IFLA_IFNAME"],
                index=message["index"],
                kind=info["attrs"].get("IFLA_INFO_KIND", "loopback" if "LOOPBACK" in flags else ""),
                mac=attrs.get("IFLA_ADDRESS", ""),
                mtu=attrs.get("IFLA_MTU", 0),
                state=attrs.get("IFLA_OPERSTATE", "UNKNOWN"),
                flags=flags,
                master=names.get(attrs.get("IFLA_MASTER", 0), ""),
                addresses=tuple(addresses.get(message["index"], ())),
                port=_port_state(info["attrs"]),
                promiscuity=attrs.get("IFLA_PROMISCUITY", 0),
            )
        )
    return sorted(found, key=lambda each: each.index)


def _port_state(info: dict[str, Any]) -> str:
    if info.get("IFLA_INFO_SLAVE_KIND") != "bridge":
        return ""
    return PORT_STATES[info["IFLA_INFO_SLAVE_DATA"]["attrs"]["IFLA_BRPORT_STATE"]]


def neighbours(netlink: Netlink, names: dict[int, str]) -> list[Neighbour]:
    """Return the neighbour entries of a namespace, without those that no question was ever asked for."""
    found = []
    for message in map(link.decode, netlink.dump(link.dump("ip neigh", link.RTM_GETNEIGH))):
        state = NUD.get(message["state"], "NONE")
        address = message["attrs"].get("NDA_DST", "")
        if state == "NOARP" or not address:
            continue
        dev = names.get(message["ifindex"], "")
        found.append(Neighbour(address, message["attrs"].get("NDA_LLADDR", ""), state, dev))
    return sorted(found, key=lambda n: (n.dev, ipaddress.ip_address(n.address)))


def fdb(netlink: Netlink, names: dict[int, str]) -> list[FdbEntry]:
    """Return the forwarding database of every bridge and VXLAN device of a namespace.

    The multicast addresses that any device filters by are shown by `bridge fdb` too, but forward nothing.
    """
    request = link.dump("bridge fdb", link.RTM_GETNEIGH, {"family": socket.AF_BRIDGE})
    found = []
    for message in map(link.decode, netlink.dump(request)):
        attrs = message["attrs"]
        if "NDA_MASTER" not in attrs and "NDA_DST" not in attrs:
            continue
        state = "permanent" if message["state"] & 0x80 else "static" if message["state"] & 0x40 else "learned"
        found.append(
            FdbEntry(
                mac=attrs.get("NDA_LLADDR", "00:00:00:00:00:00"),
                dev=names.get(message["ifindex"], ""),
                state=state,
                master=names.get(attrs.get("NDA_MASTER", 0), ""),
                dst=attrs.get("NDA_DST", ""),
            )
        )
    return found


def routes(netlink: Netlink, names: dict[int, str], table: int | None) -> list[Route]:
    """Return the IPv4 and IPv6 routes of one table (254 is main), or of all where `table` is None."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in map(link.decode, netlink.dump(link.dump("ip route", link.RTM_GETROUTE, {"family": family}))):
            route = _route(message, names)
            if table is None or route.table == table:
                found.append(route)
    return found


def _route(message: dict[str, Any], names: dict[int, str]) -> Route:
    attrs = message["attrs"]
    dst = attrs.get("RTA_DST")
    length = message["dst_len"]
    return Route(
        dst=f"{dst}/{length}" if dst else "default",
        type=ROUTE_TYPES.get(message["type"], str(message["type"])),
        via=attrs.get("RTA_GATEWAY", ""),
        dev=names.get(attrs.get("RTA_OIF", 0), ""),
        src=attrs.get("RTA_PREFSRC", ""),
        metric=attrs.get("RTA_PRIORITY", 0),
        table=attrs.get("RTA_TABLE", message["table"]),
        scope=SCOPES.get(message["scope"], str(message["scope"])),
    )


def connections(netlink: Netlink) -> list[Connection]:
    """Return the conntrack table of the namespace that the netfilter socket belongs to."""
    request = link.dump("conntrack -L", link.IPCTNL_MSG_CT_GET, {"nfgen_family": socket.AF_INET})
    found = []
    for message in map(link.decode, netlink.dump(request)):
        original, number = _flow(message["attrs"]["CTA_TUPLE_ORIG"])
        reply, _ = _flow(message["attrs"]["CTA_TUPLE_REPLY"])
        found.append(Connection(PROTOCOLS.get(number, str(number)), original, reply))
    return found


def _flow(tuple_: dict[str, Any]) -> tuple[Flow, int]:
    ip, proto = tuple_["attrs"]["CTA_TUPLE_IP"]["attrs"], tuple_["attrs"]["CTA_TUPLE_PROTO"]["attrs"]
    flow = Flow(
        src=ip.get("CTA_IP_V4_SRC") or ip.get("CTA_IP_V6_SRC", ""),
        dst=ip.get("CTA_IP_V4_DST") or ip.get("CTA_IP_V6_DST", ""),
        sport=proto.get("CTA_PROTO_SRC_PORT", 0),
        dport=proto.get("CTA_PROTO_DST_PORT", 0),
        id=proto.get("CTA_PROTO_ICMP_ID", 0),
    )
    return flow, proto.get("CTA_PROTO_NUM", 0)

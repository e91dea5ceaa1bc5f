"""What cannot stand beside something else that is declared; each rule is one of the kernel's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from pktlab.errors import TopologyError
from pktlab.topology.origin import fault
from pktlab.topology.settings import FdbEntry, Macvlan, Neighbour, Port, Route, Setting, Sysctl, Up, Vxlan


class Conflicts:
    """What is declared, by what may be there only once, so that a topology of thousands is declared in linear time."""

    def __init__(self) -> None:
        self._taken: dict[tuple[object, ...], Setting] = {}

    def add(self, setting: Setting) -> None:
        """Take in what was declared."""
        for key in _claims(setting):
            self._taken.setdefault(key, setting)

    def remove(self, setting: Setting) -> None:
        """Forget what was withdrawn."""
        for key in _claims(setting):
            if self._taken.get(key) == setting:
                del self._taken[key]

    def refuse(self, setting: Setting) -> None:
        """Raise TopologyError if `setting`, which is being declared, cannot stand beside what there is."""
        for key in (*_claims(setting), *_forbids(setting)):
            other = self._taken.get(key)
            if other is not None:
                _refuse(setting, other)


def _claims(setting: Setting) -> tuple[tuple[object, ...], ...]:
    """What a setting takes for itself; some of it may be shared by its like, and is looked for by others."""
    match setting:
        case Sysctl():
            return ((Sysctl, setting.netns, setting.key),)
        case Port():
            return ((Port, setting.device),)
        # fib_table_insert() in net/ipv4/fib_trie.c, fib6_add_rt2node() in net/ipv6/ip6_fib.c
        case Route():
            return ((Route, setting.netns, *_place(setting)),)
        case Neighbour():
            return ((Neighbour, setting.device, setting.address),)
        # vxlan_vni_in_use() in drivers/net/vxlan/vxlan_core.c
        case Vxlan():
            return (Vxlan, setting.netns, *_tunnel(setting)), ("tunnel", setting.device)
        case Macvlan():
            return (("lower", setting.link),)
    return ()


def _forbids(setting: Setting) -> tuple[tuple[object, ...], ...]:
    """What must not be there, or must be of a certain sort, for a setting of another kind."""
    match setting:
        # netdev_is_rx_handler_busy() in net/core/dev.c: an interface hands its frames to one of the two.
        case Macvlan():
            return ((Port, setting.link),)
        case Port():
            return (("lower", setting.device),)
        case FdbEntry():
            return (("tunnel", setting.device),)
    return ()


def _refuse(setting: Setting, other: Setting) -> None:
    line = f"(line {other.origin.line})"
    match setting, other:
        case Sysctl(), Sysctl():
            raise fault(
                f"{setting.key} is already {other.value} in {setting.netns!r} {line}",
                "declare one value; an act can change it with net.sysctl()",
            )
        case Port(), Port():
            raise fault(
                f"{setting.device} is already a port of {other.bridge.name} {line}",
                "an interface has one master; use another interface for the second bridge",
            )
        case Route(), Route():
            raise fault(
                f"there is a route to {setting.dst} with the same table and metric already {line}",
                "give one of them another metric=, or another table=",
            )
        case Neighbour(), Neighbour():
            raise fault(
                f"{setting.address} on {setting.device} is already at {other.mac} {line}",
                "an address has one neighbour entry; an act can replace it with net.add_neighbour()",
            )
        case Vxlan(), Vxlan():
            raise fault(
                f"VNI {setting.id} on port {setting.dstport} is already {other.device} {line}",
                "give one of them another id= or dstport=",
            )
        case Macvlan(), Port():
            raise fault(
                f"{setting.link} is a port of {other.bridge.name} {line} and carries no macvlan",
                "link the macvlan to the bridge, or to another interface",
            )
        case Port(), Macvlan():
            raise fault(
                f"{setting.device} carries the macvlan {other.device.name} {line} and cannot be a port",
                "link the macvlan to the bridge, or to another interface",
            )
        case FdbEntry(), Vxlan() if _family(setting.dst) != other.family:
            raise fault(
                f"{setting.dst} is not IPv{other.family}, which vxlan {other.device} speaks {line}",
                "write the addresses of a tunnel in one family",
            )


def refuse_whole(settings: Sequence[Setting]) -> None:
    """Raise TopologyError, placed where it was declared, for what lacks something that could have come later."""
    ports = {each.device for each in settings if isinstance(each, Port)}
    up = {each.device for each in settings if isinstance(each, Up)}
    for setting in settings:
        if isinstance(setting, FdbEntry) and not setting.dst and setting.device not in ports:
            raise _placed(
                setting,
                f"FDB entry on {setting.device}, which is no port of a bridge",
                "make it one with namespace.port(), or declare the entry on a port",
            )
        # macvlan_addr_busy() in drivers/net/macvlan.c, when it goes up
        risen = isinstance(setting, Macvlan) and setting.mode != "passthru" and setting.device in up
        if isinstance(setting, Macvlan) and risen and setting.mac == setting.link.mac:
            raise _placed(
                setting,
                f"macvlan {setting.device} has the MAC of its link {setting.link.name}, {setting.mac}",
                "give it another mac=, or leave it out",
            )


def _placed(setting: Setting, message: str, remedy: str) -> TopologyError:
    return TopologyError(message, remedy=remedy, file=setting.origin.file, line=setting.origin.line)


def _place(route: Route) -> tuple[object, ...]:
    """By what the kernel tells routes apart."""
    table = route.table or (255 if route.type in ("local", "broadcast") else 254)
    whole = route.dst in ("default", "0.0.0.0/0", "::/0")
    # IP6_RT_PRIO_USER stands for no metric, and for zero
    metric = (route.metric or 1024) if route.family == 6 else (route.metric or 0)
    return route.family, "default" if whole else route.dst, table, metric


def _tunnel(vxlan: Vxlan) -> tuple[object, ...]:
    """By what the kernel tells VXLAN devices apart."""
    ends = [ipaddress.ip_address(each) for each in (vxlan.local, vxlan.remote) if each]
    local = vxlan.dev if any(each.version == 6 and each.is_link_local for each in ends) else None
    return vxlan.id, vxlan.dstport, vxlan.family, local


def _family(address: str) -> int:
    return 6 if ":" in address else 4

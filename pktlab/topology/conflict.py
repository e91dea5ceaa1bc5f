"""What cannot stand beside something else that is declared; each rule is one of the kernel's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from pktlab.errors import TopologyError
from pktlab.topology.origin import fault
from pktlab.topology.settings import FdbEntry, Macvlan, Neighbour, Port, Route, Setting, Up, Vxlan


def refuse(setting: Setting, others: Sequence[Setting]) -> None:
    """Raise TopologyError if `setting`, which is being declared, cannot stand beside one of `others`."""
    if not isinstance(setting, Route | Neighbour | Vxlan | Macvlan | Port | FdbEntry):
        return
    for other in others:
        if other.netns != setting.netns:
            continue
        line = f"(line {other.origin.line})"
        match setting, other:
            # fib_table_insert() in net/ipv4/fib_trie.c, fib6_add_rt2node() in net/ipv6/ip6_fib.c
            case Route(), Route() if _place(setting) == _place(other):
                raise fault(
                    f"there is a route to {setting.dst} with the same table and metric already {line}",
                    "give one of them another metric=, or another table=",
                )
            case Neighbour(), Neighbour() if (setting.device, setting.address) == (other.device, other.address):
                raise fault(
                    f"{setting.address} on {setting.device} is already at {other.mac} {line}",
                    "an address has one neighbour entry; an act can replace it with net.add_neighbour()",
                )
            # vxlan_vni_in_use() in drivers/net/vxlan/vxlan_core.c
            case Vxlan(), Vxlan() if _tunnel(setting) == _tunnel(other):
                raise fault(
                    f"VNI {setting.id} on port {setting.dstport} is already {other.device} {line}",
                    "give one of them another id= or dstport=",
                )
            # netdev_is_rx_handler_busy() in net/core/dev.c: an interface hands its frames to one of the two.
            case Macvlan(), Port() if setting.link == other.device:
                raise fault(
                    f"{setting.link} is a port of {other.bridge.name} {line} and carries no macvlan",
                    "link the macvlan to the bridge, or to another interface",
                )
            case Port(), Macvlan() if other.link == setting.device:
                raise fault(
                    f"{setting.device} carries the macvlan {other.device.name} {line} and cannot be a port",
                    "link the macvlan to the bridge, or to another interface",
                )
            case FdbEntry(), Vxlan() if setting.device == other.device and _family(setting.dst) != other.family:
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

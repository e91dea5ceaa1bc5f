"""A topology as the commands that make exactly what pktlab makes of it, in an order in which they can be run.

What can be said of a setting alone is its `command`; here is what pktlab does besides: ifindexes, broadcast addresses,
a bridge's MTU when its ports are there, and the order.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pktlab.interface import Interface
from pktlab.topology import Topology
from pktlab.topology.settings import (
    Address,
    Bridge,
    FdbEntry,
    Hairpin,
    Link,
    Macvlan,
    Neighbour,
    Netns,
    Nft,
    Port,
    Route,
    Rule,
    Setting,
    Sysctl,
    Tap,
    Tun,
    Up,
    Veth,
)
from pktlab.topology.spelling import plain


@dataclass(frozen=True, slots=True)
class Step:
    """A command, possibly of several lines, the setting that it is for, and a remark where one is due."""

    setting: Setting
    command: str
    remark: str = ""

    @property
    def within(self) -> str:
        """The command as it is said inside the setting's namespace."""
        netns = self.setting.netns
        lines = self.command.split("\n")
        starts = ((f"ip netns exec {netns} ", ""), (f"ip -n {netns} ", "ip "), (f"bridge -n {netns} ", "bridge "))
        for prefix, tool in starts:
            lines = [tool + line.removeprefix(prefix) if line.startswith(prefix) else line for line in lines]
        return "\n".join(lines)


def namespaces(topology: Topology) -> list[Step]:
    """Return what makes the namespaces."""
    return [Step(each, each.command) for each in topology.settings if isinstance(each, Netns)]


def links(topology: Topology, *, numbered: bool) -> list[Step]:
    """Return what makes the links, those that stand on another one last, whichever namespace that is in; with the
    ifindexes that a lab gives them, if `numbered`."""
    declared = [each for each in topology.settings if isinstance(each, Link)]
    ordered = [each for each in declared if not each.devices] + [each for each in declared if each.devices]
    return [step for link in ordered for step in _link(link, numbered)]


def _link(link: Link, numbered: bool) -> Iterator[Step]:
    remark = ""
    if isinstance(link, Tap | Tun):
        remark = (
            "Persistent, with an ifindex of the kernel's choice; the program on the other side is missing, and until\n"
            "one attaches to it by its name, as `socat` or `qemu` can, it has no carrier."
        )
    yield Step(link, link.creation(numbered=numbered), remark)
    if isinstance(link, Macvlan):
        command = f"ip -n {link.netns} link set {plain(link.device)} type macvlan bclim -1 2>/dev/null || :"
        yield Step(link, command, "Broadcasts wait in no queue; iproute2 and Linux know this since 6.4.")


def configuration(topology: Topology, netns: str) -> list[Step]:
    """Return what is set in a namespace when the links are there."""
    here = [each for each in topology.settings if each.netns == netns]
    joining = {each.device: each for each in here if isinstance(each, Port)}
    rising = [each for each in here if isinstance(each, Up)]
    # The bridge numbers its ports as they come: first the veths that go up, in that order.
    first = [each.device for each in rising if each.device in joining and each.device.kind == "veth"]
    ports = [joining[device] for device in dict.fromkeys([*first, *joining])]
    # ip_forward resets other sysctls (inet_forward_change() in net/ipv4/devinet.c).
    sysctls = sorted((each for each in here if isinstance(each, Sysctl)), key=lambda each: each.key != _IP_FORWARD)
    sized = [each for each in here if isinstance(each, Hairpin) or (isinstance(each, Bridge) and each.mtu)]
    # What stands on another interface goes up after it.
    rising.sort(key=lambda each: each.device.kind not in ("veth", "loopback"))
    rest = [each for kinds in _ON_LINKS for each in here if isinstance(each, kinds)]
    return [Step(each, _command(each)) for each in (*sysctls, *ports, *sized, *rising, *rest)]


_IP_FORWARD = "net/ipv4/ip_forward"
# A route needs its link up, and a ruleset is loaded last.
_ON_LINKS = ((Address, Neighbour, FdbEntry), (Route, Rule), (Nft,))


def _command(setting: Setting) -> str:
    match setting:
        case Bridge():
            # Each port that joined has changed it (br_mtu_auto_adjust()).
            return f"ip -n {setting.netns} link set {plain(setting.device)} mtu {setting.mtu}"
        case Sysctl():
            return setting.command.replace(" sysctl -w ", " sysctl -q -w ", 1)
        case Address():
            address = ipaddress.ip_interface(setting.address)
            if address.version == 6:
                return f"{setting.command} nodad"
            broadcast = address.network.prefixlen < 31 and not address.is_loopback
            return f"{setting.command} broadcast +" if broadcast else setting.command
    return setting.command


def carrying(settings: Iterable[Setting]) -> tuple[list[Interface], list[Interface]]:
    """Return the interfaces that come to have a carrier, and all others that are up; bridges last in both, which have
    theirs from their ports. Nobody holds the other side of a tap or tun, so these have none."""
    every = list(settings)
    up = [each.device for each in every if isinstance(each, Up) and each.device.kind != "loopback"]
    ends = {end for each in every if isinstance(each, Veth) and {*each.creates} <= {*up} for end in each.creates}
    able = ends | {each for each in up if each.kind in ("vxlan", "macvlan")}
    bridges = {each.bridge for each in every if isinstance(each, Port) and each.device in able and each.bridge in up}
    ordered = sorted(up, key=lambda each: each.kind == "bridge")
    has = ends | bridges
    return [each for each in ordered if each in has], [each for each in ordered if each not in has]

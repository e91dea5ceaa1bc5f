"""A setting that can be given other values than the declared one: a sysctl, an option of a bridge or of a link.

net.ipv4.conf.veth0.rp_filter   host:net.ipv4.conf.all.rp_filter   host/br0:ageing_time   veth0:mtu
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from pktlab.errors import LabError, TopologyError
from pktlab.interface import Interface
from pktlab.topology import check, settings, sysctl
from pktlab.topology.origin import Origin
from pktlab.topology.topology import Topology

_ASKED = Origin("--set", 0)
_SYSCTL = re.compile(r"(?:(?P<netns>[\w.-]+)[:/])?(?P<name>net\..+)")
_OPTION = re.compile(r"(?:(?P<netns>[\w.-]+)/)?(?P<device>[^/]+):(?P<option>\w+)")
_FORMS = "write net.ipv4.conf.veth0.rp_filter=0,1 or host:net.ipv4.ip_forward=0,1 or host/br0:ageing_time=0,300"


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting by its full name, and how a value is given to it in a topology."""

    name: str
    set: Callable[[Topology, str], Topology]


def parse(text: str, topology: Topology) -> list[tuple[Knob, list[str]]]:
    """Read ``NAME=V1,V2``; braces in NAME stand for several settings, as in ``net.ipv4.conf.{veth0,all}.rp_filter``.

    Raises LabError for what the topology does not have, and for a value that the setting cannot have.
    """
    name, equals, given = text.partition("=")
    values = list(dict.fromkeys(value.strip() for value in given.split(",")))
    if not equals or not all(values):
        raise LabError(f"{text!r} is not a setting with values", remedy=_FORMS)
    try:
        return [_checked(each, values, topology) for each in _names(name.strip())]
    except TopologyError as error:
        # It is placed where the declaration would stand, but there is none.
        message = error.message.removeprefix(f"{error.file}:{error.line}: ")
        raise LabError(message, remedy=error.remedy) from None


def _names(name: str) -> Iterator[str]:
    """Expand braces, as a shell does."""
    parts = re.split(r"\{([^{}]*)\}", name)
    for chosen in itertools.product(*([part] if i % 2 == 0 else part.split(",") for i, part in enumerate(parts))):
        yield "".join(chosen)


def _checked(name: str, values: list[str], topology: Topology) -> tuple[Knob, list[str]]:
    if found := _SYSCTL.fullmatch(name):
        return _sysctl(found["name"], _place(found["netns"], found["name"], topology), values, topology)
    if found := _OPTION.fullmatch(name):
        return _option(found["device"], found["option"], found["netns"], values, topology)
    raise LabError(f"{name!r} names no setting", remedy=_FORMS)


def _place(netns: str | None, name: str, topology: Topology) -> str:
    """The namespace that is meant: the one that is named, the one that has the interface, or the only one."""
    spaces = topology.namespaces
    if netns is not None:
        if netns not in spaces:
            raise LabError(f"there is no namespace {netns!r}", remedy=f"there are: {', '.join(spaces)}")
        return netns
    parts = name.split(".")
    owner = ".".join(parts[3:-1]) if len(parts) > 4 and parts[2] in ("conf", "neigh") else ""
    having = [each for each in spaces if owner in spaces[each].names] or list(spaces)
    if len(having) > 1:
        raise LabError(
            f"{name} is in {', '.join(having[:-1])} and {having[-1]}", remedy=f"say which: {having[0]}:{name}=..."
        )
    return having[0]


def _sysctl(name: str, netns: str, values: list[str], topology: Topology) -> tuple[Knob, list[str]]:
    namespace = topology.namespaces[netns]
    key, owner = sysctl.key(name, namespace.names)
    device = namespace.devices[owner] if owner else None

    def give(topology: Topology, value: str) -> Topology:
        setting = settings.Sysctl(netns=netns, origin=_ASKED, key=key, value=value, device=device)
        kept = [
            s for s in topology.settings if not (isinstance(s, settings.Sysctl) and (s.netns, s.key) == (netns, key))
        ]
        return topology.holding([*kept, setting])

    prefix = f"{netns}:" if len(topology.namespaces) > 1 else ""
    return Knob(f"{prefix}{name}", give), [sysctl.value(name, value) for value in values]


def _seconds(name: str, low: float) -> Callable[[str], float]:
    return lambda text: check.seconds(name, float(text), low, 10**6 if name == "ageing_time" else 30)


def _switch(text: str) -> bool:
    return {"0": False, "1": True, "off": False, "on": True}[text]


_BRIDGE: dict[str, Callable[[str], Any]] = {
    "ageing_time": _seconds("ageing_time", 0),
    "forward_delay": _seconds("forward_delay", 0),
    "stp": _switch,
    "mcast_snooping": _switch,
    "group_fwd_mask": lambda text: check.number("group_fwd_mask", int(text, 0), 0, 0xFFFF),
}
_LINK: dict[str, Callable[[str], Any]] = {
    "mtu": lambda text: check.number("mtu", int(text), 68, 65535),
    "mac": check.unicast_mac,
    "up": _switch,
}


def _option(
    device: str, option: str, netns: str | None, values: list[str], topology: Topology
) -> tuple[Knob, list[str]]:
    having = [n for n in topology.namespaces if device in topology.namespaces[n].names and netns in (None, n)]
    if not having:
        raise LabError(f"there is no interface {netns + '/' if netns else ''}{device}", remedy=_devices(topology))
    if len(having) > 1:
        raise LabError(f"{device} is in {' and '.join(having)}", remedy=f"say which: {having[0]}/{device}:{option}=...")
    found = topology.namespaces[having[0]].devices[device]
    reads = _LINK | (_BRIDGE if found.kind == "bridge" else {})
    if option not in reads or (option != "up" and found.kind == "loopback") or (option, found.kind) == ("mtu", "tap"):
        raise LabError(f"{found.kind} {found} has no option {option!r}", remedy=f"choose one of {', '.join(reads)}")
    for value in values:
        try:
            reads[option](value)
        except (ValueError, KeyError):
            raise LabError(f"{value!r} is no value for {option}", remedy="see ip-link(8) for what it takes") from None
    give = _up if option == "up" else _link(option)
    return Knob(f"{found}:{option}", lambda whole, value: give(whole, found, reads[option](value))), values


def _devices(topology: Topology) -> str:
    return f"there are: {', '.join(str(device) for device in topology.devices)}"


def _up(topology: Topology, device: Interface, value: bool) -> Topology:
    kept = [s for s in topology.settings if not (isinstance(s, settings.Up) and s.device == device)]
    risen = [settings.Up(netns=device.netns, origin=_ASKED, device=device)] if value else []
    return topology.holding([*kept, *risen])


def _link(option: str) -> Callable[[Topology, Interface, Any], Topology]:
    def give(topology: Topology, device: Interface, value: Any) -> Topology:
        if option == "mac":
            # What the lab asks by the interface's address, it must ask by the new one; this is a process of its own.
            device._mac = value
        changed = []
        for setting in topology.settings:
            if isinstance(setting, settings.Link) and device in setting.creates:
                name = f"peer_{option}" if setting.device != device else option
                setting = dataclasses.replace(setting, **{name: value})
            changed.append(setting)
        return topology.holding(changed)

    return give

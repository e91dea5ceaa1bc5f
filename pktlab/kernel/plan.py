"""The order in which what is declared is asked for: what a request needs before it, what slows others down after it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pktlab.interface import Interface
from pktlab.kernel import build, link
from pktlab.kernel.netlink import Request
from pktlab.topology import Topology, settings
from pktlab.topology.settings import Setting

# What a bridge has an MTU of its own for: each port that joined has changed it (br_mtu_auto_adjust()).
_SIZED = (settings.Bridge, settings.Tun, settings.Hairpin)
# All of one kind before the next: a route needs its link up.
_ON_LINKS = ((settings.Address, settings.Neighbour, settings.FdbEntry), (settings.Route, settings.Rule))


@dataclass(slots=True)
class Sysctls:
    """What to write in one namespace, by paths below /proc/sys, and where in the lab file it is declared."""

    values: dict[str, str] = field(default_factory=dict)
    places: dict[str, object] = field(default_factory=dict)

    def ordered(self) -> dict[str, str]:
        """Return it in the order of writing."""
        # ip_forward resets the other settings (inet_forward_change() in net/ipv4/devinet.c), so it goes first.
        forward = {key: value for key, value in self.values.items() if key == "net/ipv4/ip_forward"}
        return forward | self.values


def links(every: Iterable[Setting]) -> list[settings.Link]:
    """Return the links in the order of creation: what stands on another interface comes after all others, whichever
    namespace that was declared in."""
    declared = [each for each in every if isinstance(each, settings.Link)]
    return [each for each in declared if not each.devices] + [each for each in declared if each.devices]


def sysctls(every: Iterable[Setting], names: Iterable[str]) -> dict[str, Sysctls]:
    """Return by namespace what is declared."""
    found = {name: Sysctls() for name in names}
    for setting in every:
        if isinstance(setting, settings.Sysctl):
            found[setting.netns].values[setting.key] = setting.value
            found[setting.netns].places[setting.key] = setting.origin
    return found


def neighbour_timers(
    every: Iterable[Setting], timers: Mapping[str, str], written: Mapping[str, Sysctls]
) -> list[tuple[str, Request]]:
    """Return, behind its namespace, a request for each interface that sets its timers, by their names below
    net/ipv4/neigh, and put those that rtnetlink does not set into `written`, where what is declared goes before."""
    requests = []
    for setting in every:
        for device in setting.creates if isinstance(setting, settings.Link) else ():
            wanted, declared = timers, written[device.netns]
            if declared.values:
                place = f"net/ipv4/neigh/{device.name}/"
                wanted = {key: value for key, value in timers.items() if place + key not in declared.places}
            request, rest = build.set_neighbour_timers(device, wanted)
            if request:
                requests.append((device.netns, request))
            for key, value in rest.items():
                declared.values[f"net/ipv4/neigh/{device.name}/{key}"] = value
    return requests


def configuration(every: Sequence[Setting], names: Iterable[str]) -> dict[str, list[Request]]:
    """Return the requests for existing links, by namespace, the namespaces in the order in which to ask.

    Where both ends of a veth go up, the second takes the longer, and where it is a port, all other ports are looked at
    for each frame of news. So bridges go up when their ports are, and after all namespaces without: half a second less
    for a thousand ports.
    """
    ports = {each.device: each for each in every if isinstance(each, settings.Port)}
    bridged = {port.netns for port in ports.values()}
    requests: dict[str, list[Request]] = {name: [] for name in sorted(names, key=bridged.__contains__)}
    merged: set[Interface] = set()
    for setting in every:
        if isinstance(setting, settings.Up) and setting.device in ports and setting.device.kind == "veth":
            merged.add(setting.device)
            requests[setting.netns].append(build.set_up_as_port(setting, ports[setting.device]))
    for setting in every:
        if isinstance(setting, settings.Port) and setting.device not in merged:
            requests[setting.netns].append(build.placed(setting))
    for setting in every:
        if isinstance(setting, _SIZED) and (request := build.request(setting)):
            requests[setting.netns].append(Request(request.what, request.data, setting.origin))
    # What stands on a bridge was declared after it, and goes up after it.
    rising = [each for each in every if isinstance(each, settings.Up) and each.device not in merged]
    for up in sorted(rising, key=lambda up: up.device.kind not in ("veth", "loopback")):
        requests[up.netns].append(build.placed(up))
    for kinds in _ON_LINKS:
        for setting in every:
            if isinstance(setting, kinds):
                requests[setting.netns].append(build.placed(setting))
    return requests


@functools.cache
def rehearse() -> None:
    """Encode the messages that most networks are made of, so that the processes forked from this one need not."""
    topology = Topology()
    host = topology.namespace("host")
    port, end = host.veth("port", "end")
    end.address("10.0.0.1/24")
    host.bridge("br0", ports=[port])
    for each in links(topology.settings):
        build.add_link(each, {"host": 0})
    neighbour_timers(topology.settings, topology.neighbour_timers(), {"host": Sysctls()})
    configuration(topology.settings, ["host"])
    build.state(1)
    for kind in (link.RTM_GETLINK, link.RTM_GETNEIGH):
        link.dump("", kind)

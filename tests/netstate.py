"""What a network is: every namespace below /run/netns as iproute2, nft and /proc/sys tell of it, and what of that two
networks built alike cannot share."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from pktlab.topology import Device, Topology

# One process for all questions of a family: `ip -batch` answers each in a line of JSON. $1 are families, $2 paths below
# /proc/sys.
COLLECT = r"""
cd /run/netns
for netns in *; do
    echo "@ $netns"
    for family in $1; do
        printf '%s\n' 'link show' 'addr show' 'rule show' 'route show table all' 'neigh show' |
            ip -n "$netns" $family -j -d -batch - | sed "s/^/$family /"
    done
    printf '%s\n' 'fdb show' 'link show' | bridge -n "$netns" -j -d -batch - | sed 's/^/bridge /'
    nsenter --net="$netns" sh -c 'nft -j list ruleset | sed "s/^/nft /"
        cd /proc/sys; grep -rs . net/ipv4/conf net/ipv4/neigh net/bridge $1 | sed "s/^/sysctl /"' sh "$2"
done
"""
# The answers of each, in the order of the questions.
_ASKED = {"-4": ["link", "addr", "rule", "route", "neigh"], "-6": ["", "addr6", "rule6", "route6", "neigh6"]}
_ASKED |= {"bridge": ["fdb", "port"], "nft": ["nft"]}

State = dict[str, dict[str, Any]]


def parse(text: str) -> State:
    """The state of each namespace by what was asked; interfaces by their names."""
    state: State = {}
    waiting: dict[str, Iterator[str]] = {}
    here: dict[str, Any] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "@":
            here = state[rest] = {"sysctl": {}, "addr6": [], "route6": [], "neigh6": []}
            waiting = {kind: iter(names) for kind, names in _ASKED.items()}
        elif kind == "sysctl":
            name, _, value = rest.partition(":")
            here["sysctl"][name] = value
        elif rest.strip():
            here[next(waiting[kind])] = json.loads(rest)
    for found in state.values():
        found["link"] = {each["ifname"]: each for each in found["link"]}
    return state


def comparable(state: State, topology: Topology, *, numbered: bool = True) -> State:
    """The state without what two networks that were built alike do not share, and with lists in one order; without
    ifindexes unless they are `numbered` alike."""
    for name, here in state.items():
        devices = topology.namespaces[name].devices
        # A MAC that nobody declared, of a bridge that has none from its ports, is drawn by lot.
        drawn = [each.name for each in devices.values() if each.kind == "bridge" and not each.mac]
        lots = {here["link"][name]["address"] for name in drawn}
        here = _plain(here, lots)
        # What is learned hangs on what the kernel has sent by itself until now: IGMP, MLD, questions for neighbours.
        here["fdb"] = [each for each in here["fdb"] if each["state"]]
        for kind in ("neigh", "neigh6"):
            here[kind] = [each for each in here[kind] if "PERMANENT" in each["state"]]
        # A link-local address has its route when nobody has objected to it, a second later.
        here["route6"] = [each for each in here["route6"] if not _LINK_LOCAL.fullmatch(each["dst"])]
        # The program that holds a tap gives it a carrier, and with it the bridge whose only ports are taps. Nor does
        # iproute2 number what it makes by `ip tuntap`.
        _without_program(here, {each.name for each in devices.values() if each.kind in ("tap", "tun")})
        _without_program(here, {each.name for each in devices.values() if _on_taps(each)}, numbered=True)
        if not numbered:
            _unnumbered(here)
        state[name] = {kind: _ordered(found) for kind, found in here.items()}
    return state


def _plain(found: Any, lots: Collection[str]) -> Any:
    """Without running timers, counters, MACs drawn by lot, and whether an address is still being tried (DAD)."""
    if isinstance(found, dict):
        counts = found.keys() == {"packets", "bytes"}
        kept = {key: value for key, value in found.items() if not key.endswith(_RUNNING) and not counts}
        return {key: _plain(value, lots) for key, value in kept.items()}
    if isinstance(found, list):
        return [_plain(each, lots) for each in found]
    return "by lot" if isinstance(found, str) and found in lots else found


_LINK_LOCAL = re.compile(r"fe80::[^/]*")
_RUNNING = ("_timer", "tentative")


def _on_taps(device: Device) -> bool:
    return device.kind == "bridge" and bool(device.ports) and all(port.kind == "tap" for port in device.ports)


def _without_program(here: dict[str, Any], names: Collection[str], *, numbered: bool = False) -> None:
    for each in (*here["link"].values(), *here["addr"], *here["addr6"], *here["port"]):
        if each.get("ifname") in names:
            each["flags"] = [flag for flag in each["flags"] if flag not in ("NO-CARRIER", "LOWER_UP")]
            for key in ("operstate", "state", *(() if numbered else ("ifindex",))):
                each.pop(key, None)
            info = each.get("linkinfo", {})
            info.get("info_data", {}).pop("persist", None)
            info.get("info_slave_data", {}).pop("state", None)
    for each in (*here["route"], *here["route6"]):
        if each.get("dev") in names:
            each["flags"] = [flag for flag in each["flags"] if flag != "linkdown"]


def _unnumbered(here: dict[str, Any]) -> None:
    for each in (*here["link"].values(), *here["addr"], *here["addr6"], *here["port"]):
        for key in ("ifindex", "link_index", "link", "link_netnsid"):
            each.pop(key, None)


def _ordered(found: Any) -> Any:
    """The kernel tells of interfaces, neighbours and FDB entries in the order of its own tables."""
    return sorted(found, key=lambda each: json.dumps(each, sort_keys=True)) if isinstance(found, list) else found


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two states differ, one line each."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key, "absent"), other.get(key, "absent"), f"{path}/{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}/{number}")
    elif isinstance(one, list) and isinstance(other, list):
        yield f"{path}: {[each for each in one if each not in other]} | {[each for each in other if each not in one]}"
    elif one != other:
        yield f"{path}: {one} | {other}"


def questions(topology: Topology) -> list[str]:
    """The command that collects the state of a topology's network."""
    texts = "\n".join(each.command for each in topology.settings)
    names = {"net.ipv6.conf.all.disable_ipv6", *re.findall(r"sysctl -w '?([\w./-]+)=", texts)}
    paths = sorted(name if "/" in name else name.replace(".", "/") for name in names)
    return ["sh", "-c", COLLECT, "sh", "-4 -6" if topology.ipv6 else "-4", " ".join(paths)]

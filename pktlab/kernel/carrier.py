"""Waiting until the network carries frames: every carrier up, every bridge port forwarding."""

from __future__ import annotations

import array
import fcntl
import select
import socket
import struct
import time
from collections.abc import Mapping, Sequence

from pktlab.errors import DeadlineExceeded
from pktlab.interface import Interface
from pktlab.kernel import tables
from pktlab.kernel.netlink import Netlink
from pktlab.topology import settings
from pktlab.topology.settings import Setting

SIOCETHTOOL = 0x8946
ETHTOOL_GLINK = 0x0000000A
OPER_UNKNOWN = 0
OPER_UP = 6


def expected(declared: Sequence[Setting]) -> dict[Interface, str]:
    """Return what must be true of which interface before the first frame: ``"up"`` or ``"forwarding"``.

    A veth end has a carrier when both ends are up, a bridge when one of its ports has one. Other kinds carry
    frames as soon as they are up.
    """
    up = {s.device for s in declared if isinstance(s, settings.Up)}
    carrying: set[Interface] = set()
    wanted: dict[Interface, str] = {}
    for setting in declared:
        if isinstance(setting, settings.Veth) and {setting.device, setting.peer} <= up:
            for end in setting.creates:
                carrying.add(end)
                wanted[end] = "up"
        elif isinstance(setting, settings.Vxlan | settings.Macvlan | settings.Tap) and setting.device in up:
            carrying.add(setting.device)
    for setting in declared:
        if isinstance(setting, settings.Port) and setting.device in carrying and setting.bridge in up:
            wanted[setting.device] = "forwarding"
            wanted[setting.bridge] = "up"
    return wanted


def flush(control: socket.socket, names: Sequence[str]) -> None:
    """Make the kernel settle the carriers of interfaces at once, instead of up to a second later.

    ETHTOOL_GLINK calls linkwatch_sync_dev(); `control` is any socket in the interfaces' namespace.
    """
    for name in names:
        value = array.array("B", struct.pack("=II", ETHTOOL_GLINK, 0))
        address, _ = value.buffer_info()
        request = struct.pack("=16sQ16x", name.encode(), address)
        try:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        except OSError:
            continue  # kinds without link state (lo) say EOPNOTSUPP, and have nothing to settle


def wait(
    wanted: Mapping[Interface, str],
    netlinks: Mapping[str, Netlink],
    monitors: Mapping[str, Netlink],
    controls: Mapping[str, socket.socket],
    *,
    timeout: float,
) -> None:
    """Return when each interface is as wanted; woken by RTM_NEWLINK, bounded by `timeout` seconds.

    Raises DeadlineExceeded naming the interfaces that are not.
    """
    end = time.monotonic() + timeout
    missing = dict(wanted)
    poll = select.poll()
    for monitor in monitors.values():
        poll.register(monitor, select.POLLIN)
    while True:
        places: dict[str, list[str]] = {}
        for device in missing:
            places.setdefault(device.netns, []).append(device.name)
        for netns, names in places.items():
            flush(controls[netns], names)
        states = {netns: tables.operational(netlinks[netns]) for netns in places}
        missing = {device: what for device, what in missing.items() if not _is(states[device.netns], device, what)}
        if not missing:
            return
        left = end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"not ready within {timeout:g} s: " + ", ".join(f"{d} not {what}" for d, what in missing.items()),
                remedy="with stp=True a port needs twice the forward_delay; otherwise this machine is overloaded",
            )
        poll.poll(min(left, 1.0) * 1000)
        for monitor in monitors.values():
            for _ in monitor.events():
                pass


def settle(
    netlinks: Mapping[str, Netlink],
    controls: Mapping[str, socket.socket],
    names: Mapping[str, Mapping[int, str]],
    *,
    rounds: int = 20,
) -> None:
    """Let the consequences of a change take hold: carriers, and the state of ports and bridges that hang on them.

    An interface's operational state follows its carrier from a work queue (net/core/link_watch.c); flushing it for
    one can change the carrier of the next, so this goes on until all agree.
    """
    for _ in range(rounds):
        for netns, control in controls.items():
            flush(control, list(names[netns].values()))
        if all(_agrees(*link) for netlink in netlinks.values() for link in tables.carriers(netlink).values()):
            return


def _agrees(flags: int, state: int) -> bool:
    """Whether the operational state is the one that goes with the carrier; UNKNOWN is that of lo and tunnels."""
    carrier = bool(flags & tables.IFF_LOWER_UP)
    return state == OPER_UNKNOWN or carrier == (state == OPER_UP)


def _is(states: Mapping[int, tuple[int, int]], device: Interface, what: str) -> bool:
    state, port = states.get(device.index, (0, -1))
    # A port that forwards has a carrier (br_port_carrier_check()); a tap's or a tunnel's state is UNKNOWN for all that.
    return state == OPER_UP if what == "up" else port == tables.BR_STATE_FORWARDING

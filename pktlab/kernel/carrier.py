"""Waiting until the network carries frames: every carrier up, every bridge port forwarding."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from pktlab.errors import DeadlineExceeded
from pktlab.interface import Interface
from pktlab.kernel import build, tables
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

    ETHTOOL_GLINK calls linkwatch_sync_dev(); `control` is any socket in the interfaces' namespace. For programs that
    have no netlink socket at hand; `wait` and `settle` ask by netlink.
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
    pause: Callable[[float], None],
    *,
    timeout: float,
) -> None:
    """Return when each interface is as wanted; bounded by `timeout` seconds.

    `pause` returns when the kernel has announced something of links, or after so many seconds. Raises DeadlineExceeded
    naming the interfaces that are not as wanted.
    """
    end = time.monotonic() + timeout
    missing = dict(wanted)
    while True:
        answers = look(missing, netlinks)
        missing = {d: what for d, what in missing.items() if not _is(answers[d], what)}
        if not missing:
            return
        left = end - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"not ready within {timeout:g} s: " + ", ".join(f"{d} not {what}" for d, what in missing.items()),
                remedy="with stp=True a port needs twice the forward_delay; otherwise this machine is overloaded",
            )
        pause(min(left, 1.0))


def look(devices: Iterable[Interface], netlinks: Mapping[str, Netlink]) -> dict[Interface, bytes | None]:
    """Return what the kernel says of each interface, None where it is gone; what carrier it has has taken hold then."""
    places: dict[str, list[Interface]] = {}
    # A bridge gets its carrier from its ports.
    for device in sorted(devices, key=lambda each: each.kind == "bridge"):
        places.setdefault(device.netns, []).append(device)
    found: dict[Interface, bytes | None] = {}
    for netns, here in places.items():
        found |= zip(here, netlinks[netns].ask([build.state(device.index) for device in here]), strict=True)
    return found


def settle(
    netlinks: Mapping[str, Netlink],
    names: Mapping[str, Mapping[int, str]],
    *,
    rounds: int = 20,
) -> None:
    """Let the consequences of a change take hold: carriers, and the state of ports and bridges that hang on them.

    An interface's operational state follows its carrier from a work queue (net/core/link_watch.c), up to a second
    later. To ask for a link settles it (linkwatch_sync_dev()), which can change the carrier of the next, so this goes
    on until all agree.
    """
    for _ in range(rounds):
        for netns, netlink in netlinks.items():
            netlink.ask([build.state(index) for index in names[netns]])
        if all(_agrees(*link) for netlink in netlinks.values() for link in tables.carriers(netlink).values()):
            return


def _agrees(flags: int, state: int) -> bool:
    """Whether the operational state is the one that goes with the carrier; UNKNOWN is that of lo and tunnels."""
    carrier = bool(flags & tables.IFF_LOWER_UP)
    return state == OPER_UNKNOWN or carrier == (state == OPER_UP)


def _is(message: bytes | None, what: str) -> bool:
    if message is None:
        return False
    _flags, state, port = tables.state(message)
    # A port that forwards has a carrier (br_port_carrier_check()); a tap's or a tunnel's state is UNKNOWN for all that.
    return state == OPER_UP if what == "up" else port == tables.BR_STATE_FORWARDING

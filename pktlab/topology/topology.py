"""A topology: what should exist when an act begins. Data, not actions."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator

from pktlab.interface import Interface
from pktlab.topology import check, conflict, sysctl
from pktlab.topology.device import Device
from pktlab.topology.namespace import Namespace
from pktlab.topology.origin import fault, origin
from pktlab.topology.settings import Link, Netns, OnDevice, Setting, Up

# Below are the indexes that a namespace hands out by itself (lo has 1); a lab's own ones are unique in the
# whole lab, which spares it the second that the kernel otherwise waits for a carrier (linkwatch_urgent_event()
# in net/core/link_watch.c treats a veth whose two ends share an ifindex as not urgent).
FIRST_INDEX = 101
LO_IS_UP = "pktlab sets the lo of every namespace up"


class Topology:
    """A declared network of namespaces.

    `arp_timeout` is for how many seconds an unanswered ARP question is waited for: by default 0.04, one
    request, on every interface of the lab (``mcast_solicit=1``, ``retrans_time_ms=40``), so that a lab about
    something else need not wait 3 s for each absence; and who answers for others (proxy_arp) does so at once
    (``proxy_delay=0``; the kernel's 0.8 s, drawn by lot, would come too late). None leaves the kernel's own
    timers (three requests, a second each), for labs about the timers. `ipv6` leaves IPv6 on; it is off otherwise,
    since it fills a capture with its own traffic.
    """

    def __init__(self, *, arp_timeout: float | None = 0.04, ipv6: bool = False) -> None:
        if arp_timeout is not None:
            check.seconds("arp_timeout", arp_timeout, 0.001, 60)
        self.arp_timeout = arp_timeout
        self.ipv6 = ipv6
        self.namespaces: dict[str, Namespace] = {}
        self._settings: dict[str, Setting] = {}  # by command
        self.conflicts = conflict.Conflicts()
        self._numbers: dict[Namespace, int] = {}
        self._index = FIRST_INDEX
        self._live = False
        self._scenery = ""
        self._implied = False

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Everything declared, in the order of declaration."""
        return tuple(self._settings.values())

    @property
    def devices(self) -> list[Device]:
        """Every declared interface, lo included, namespace by namespace."""
        return [device for namespace in self.namespaces.values() for device in namespace.devices.values()]

    def namespace(self, name: str) -> Namespace:
        """Declare a network namespace; its lo is up unless ``namespace.lo.down()`` says otherwise."""
        check.namespace_name(name)
        if name in self.namespaces:
            raise fault(f"the topology already has a namespace {name!r}", "give each namespace its own name")
        namespace = Namespace(self, name)
        self.namespaces[name] = namespace
        self._numbers[namespace] = len(self.namespaces)
        place = origin()
        self.declare(Netns(netns=name, origin=place))
        self.declare(Up(netns=name, origin=place, device=namespace.lo, scenery=LO_IS_UP, implied=True))
        return namespace

    @property
    def reason(self) -> str:
        """Why what is declared just now is kept, within `scenery`; empty outside."""
        return self._scenery

    @contextlib.contextmanager
    def scenery(self, reason: str, *, implied: bool = False) -> Iterator[None]:
        """Keep what is declared in the block although no act may hang on it, and say why: ``pktlab ablate`` does
        not call it idle then. `implied` is for what declares more than its author has written, as `Cluster` does.
        """
        if not isinstance(reason, str) or not reason.strip():
            raise fault("scenery without a reason", 'say why it is kept: with topology.scenery("the second node"):')
        if self._scenery:
            raise fault(f"scenery within scenery ({self._scenery})", "put the two blocks one behind the other")
        self._scenery, self._implied = " ".join(reason.split()), implied
        try:
            yield
        finally:
            self._scenery, self._implied = "", False

    def sysctl(self, name: str, value: int | str) -> None:
        """Declare a sysctl in every namespace declared so far; {} stands for each of its interfaces but lo."""
        for namespace in self.namespaces.values():
            if "{}" not in name:
                namespace.sysctl(name, value)
                continue
            for device in namespace.devices.values():
                if device.kind != "loopback":
                    device.sysctl(name, value)

    def declare(self, setting: Setting) -> None:
        """Add a setting; refuse one that is there already or comes when the network is up."""
        command = setting.command
        if self._live:
            self._refuse_if_live(command.splitlines()[0])
        if command in self._settings:
            raise fault(f"declared twice: {command.splitlines()[0]}", "remove one of the two")
        self.conflicts.refuse(setting)
        if self._scenery and not setting.scenery:
            setting = dataclasses.replace(setting, scenery=self._scenery, implied=self._implied)
        self._settings[command] = setting
        self.conflicts.add(setting)

    def freeze(self) -> None:
        """Check the whole, and refuse declarations from now on, since the network comes up."""
        self.check()
        self._live = True

    def check(self) -> None:
        """Refuse what can be judged only when all is declared, at the line of what is wrong."""
        conflict.refuse_whole(self.settings)

    def allow(self, *addresses: str) -> None:
        """Refuse IPv6 addresses where IPv6 is off."""
        for address in addresses:
            if ":" in address and not self.ipv6:
                raise fault(f"IPv6 address {address}, but IPv6 is off in this topology", "write Topology(ipv6=True)")

    def _refuse_if_live(self, what: str) -> None:
        if self._live:
            raise fault(
                f"declared while the network is up: {what}",
                "a topology is declared at the top of the lab; an act changes the live network through net",
            )

    def remove(self, kind: type[OnDevice], device: Interface) -> None:
        """Withdraw the declarations of one kind that stand on `device`."""
        self._refuse_if_live(f"no {kind.__name__.lower()} for {device}")
        for setting in self.settings:
            if type(setting) is kind and setting.device == device:
                del self._settings[setting.command]
                self.conflicts.remove(setting)

    def without(self, commands: Iterable[str]) -> Topology:
        """Return this topology less the settings whose `command` is given, and less what stands on them.

        The declared objects are shared, so the acts of the lab run on it unchanged. Raises TopologyError for
        a command that nothing declares.
        """
        gone: set[Setting] = set()
        for command in commands:
            if command not in self._settings:
                raise fault(f"nothing declares {command!r}", "see `pktlab show` for the declared settings")
            gone.add(self._settings[command])
        kept = [s for s in self.settings if s not in gone]
        spaces = {s.netns for s in kept if isinstance(s, Netns)}
        lost = {device for s in gone if isinstance(s, Link) for device in s.creates}
        while True:
            lost |= {d for n in self.namespaces.values() if n.name not in spaces for d in n.devices.values()}
            stays = [s for s in kept if s.netns in spaces and not lost.intersection(_needs(s))]
            if len(stays) == len(kept):
                break
            lost |= {d for s in kept if s not in stays and isinstance(s, Link) for d in s.creates}
            kept = stays
        return self.holding(kept)

    def holding(self, settings: Iterable[Setting]) -> Topology:
        """Return a topology that has these settings instead of its own, and the namespaces that they declare.

        The declared objects are shared, so the acts of the lab run on it unchanged.
        """
        held = Topology(arp_timeout=self.arp_timeout, ipv6=self.ipv6)
        held._settings = {s.command: s for s in settings}
        for setting in held.settings:
            held.conflicts.add(setting)
        held._index = self._index
        spaces = {s.netns for s in held.settings if isinstance(s, Netns)}
        held.namespaces = {name: n for name, n in self.namespaces.items() if name in spaces}
        return held

    def mac(self, namespace: Namespace, number: int) -> str:
        """Return the MAC of the `number`-th interface of a namespace: locally administered, unique in the lab."""
        place = self._numbers.get(namespace, 0)
        return f"02:00:{place >> 8:02x}:{place & 255:02x}:{number >> 8:02x}:{number & 255:02x}"

    def next_index(self) -> int:
        """Hand out the next ifindex."""
        self._index += 1
        return self._index - 1

    def neighbour_timers(self) -> dict[str, str]:
        """Return the neighbour timers that every interface of the lab gets, by their names below net/ipv4/neigh."""
        timers = dict(sysctl.NEIGHBOUR_BASELINE)
        if self.arp_timeout is not None:
            timers |= {"mcast_solicit": "1", "retrans_time_ms": str(max(1, round(self.arp_timeout * 1000)))}
            timers["proxy_delay"] = "0"
        return timers


def _needs(setting: Setting) -> tuple[Interface, ...]:
    if isinstance(setting, Link):
        return (*setting.devices, *setting.creates)
    return setting.devices

"""A topology made real: its namespaces, and the sockets by which pktlab works in them."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pktlab.errors import DeadlineExceeded, Inconclusive
from pktlab.interface import Interface
from pktlab.kernel import build, carrier, process, tables, tun
from pktlab.kernel.capture import Recorder
from pktlab.kernel.fence import Fence
from pktlab.kernel.netlink import NETLINK_NETFILTER, Netlink, Request
from pktlab.kernel.netns import Netns
from pktlab.topology import Topology, settings, sysctl

RTNLGRP_LINK, RTNLGRP_NEIGH = 1, 3
# What the capture queue of each namespace should hold, in bytes; what is allowed is less for an ordinary user.
QUEUE = 64 << 20
# How long the network may take to fall silent, beyond the time that its own timers take.
SETTLE_SECONDS = 10.0


class Closable(Protocol):
    """Anything that is let go of by closing it."""

    def close(self) -> None:
        """Let go of it."""


class Testbed:
    """The live form of a topology, from the constructor's return to `close`.

    When it is up, every carrier is up, every port forwards, and all interfaces are being captured since before the
    first of them existed. `seconds` is how long that took. Must be made inside a sandbox.
    """

    __test__ = False  # to pytest, the name looks like one of its classes

    def __init__(self, topology: Topology, *, queue: int = QUEUE) -> None:
        began = time.monotonic()
        self.topology = topology
        self.namespaces: dict[str, Netns] = {}
        self.netlinks: dict[str, Netlink] = {}
        self.monitors: dict[str, Netlink] = {}
        self.controls: dict[str, socket.socket] = {}
        self.taps: dict[Interface, tun.Tap] = {}
        self.names: dict[str, dict[int, str]] = {}
        # What was moved away, by the same; captured frames know their interface by its index.
        self.gone: dict[str, dict[int, str]] = {}
        self._conntracks: dict[str, Netlink] = {}
        self._restless = False
        self._recorder: Recorder | None = None
        self.fence = Fence()
        try:
            self._namespaces()
            self._recorder = Recorder(list(self.namespaces.values()), queue=queue)
            self._links()
            self._configure()
            # The markers of the fence stamp like any frame, so this proves it for every capture socket.
            self.fence.arm()
            self.recorder.start()
            self.settle()
        except BaseException:
            self.close()
            raise
        self.seconds = time.monotonic() - began

    @property
    def recorder(self) -> Recorder:
        """The capture of all interfaces."""
        assert self._recorder is not None
        return self._recorder

    def _declared(self, kind: type[settings.Setting]) -> list[settings.Setting]:
        return [each for each in self.topology.settings if isinstance(each, kind)]

    def _namespaces(self) -> None:
        # The sandbox's first namespace is a copy of the machine's, as every other will be, so only what differs
        # there from the baseline must be written; lo has the neighbour timers that every new interface gets.
        baseline = sysctl.BASELINE if self.topology.ipv6 else sysctl.BASELINE | sysctl.IPV6_OFF
        deviating = _deviating(baseline)
        lo = "net/ipv4/neigh/lo/"
        timers = _deviating({lo + name: value for name, value in self.topology.neighbour_timers().items()})
        self._timers = {key.removeprefix(lo): value for key, value in timers.items()}
        for setting in self._declared(settings.Netns):
            name = setting.netns
            namespace = self.namespaces[name] = Netns(name)
            namespace.sysctl(deviating)
            with namespace.entered():
                self.netlinks[name] = Netlink()
                self.monitors[name] = Netlink(groups=(RTNLGRP_LINK, RTNLGRP_NEIGH))
                self.controls[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self.names[name] = {1: "lo"}
            self.gone[name] = {}

    def _links(self) -> None:
        descriptors = {name: namespace.fd for name, namespace in self.namespaces.items()}
        declared = [each for each in self.topology.settings if isinstance(each, settings.Link)]
        # What stands on another interface comes after all others, whichever namespace that was declared in.
        ordered = [each for each in declared if not each.devices] + [each for each in declared if each.devices]
        first: dict[str, list[Request]] = {name: [] for name in self.namespaces}
        later: list[tuple[str, Request]] = []
        for setting in ordered:
            for device in setting.creates:
                self.names[device.netns][device.index] = device.name
            if isinstance(setting, settings.Tap):
                with self.namespaces[setting.netns].entered():
                    self.taps[setting.device] = tun.Tap(setting.device.name, setting.device.index, setting.mac)
                continue
            request = _placed(build.add_link(setting, descriptors), setting)
            if setting.devices:
                later.append((setting.netns, request))
            else:
                first[setting.netns].append(request)
        for netns, requests in first.items():
            self.netlinks[netns].batch(requests)
        for netns, request in later:
            self.netlinks[netns].batch([request])

    def _configure(self) -> None:
        every = self.topology.settings
        written: dict[str, dict[str, str]] = {name: {} for name in self.namespaces}
        places: dict[str, dict[str, object]] = {name: {} for name in self.namespaces}
        for setting in every:
            if isinstance(setting, settings.Sysctl):
                written[setting.netns][setting.key] = setting.value
                places[setting.netns][setting.key] = setting.origin
        requests: dict[str, list[Request]] = {name: [] for name in self.namespaces}
        files: dict[str, dict[str, str]] = {name: {} for name in self.namespaces}
        for link in (s for s in every if isinstance(s, settings.Link)):
            for device in link.creates:
                place = f"net/ipv4/neigh/{device.name}/"
                wanted = {k: v for k, v in self._timers.items() if place + k not in written[device.netns]}
                timers, rest = build.set_neighbour_timers(device, wanted)
                requests[device.netns] += [timers] if timers else []
                files[device.netns] |= {place + key: value for key, value in rest.items()}
        for name, namespace in self.namespaces.items():
            # ip_forward resets the other settings (inet_forward_change() in net/ipv4/devinet.c), so it goes first.
            forward = {key: value for key, value in written[name].items() if key == "net/ipv4/ip_forward"}
            namespace.sysctl(forward | files[name] | written[name], places=places[name])
        # All of one kind before the next: a route needs its link up, and that in other namespaces too.
        phases: list[tuple[type[settings.Setting], ...]] = [
            (settings.Port,),
            # A bridge with an MTU of its own: each port that joined has changed it (br_mtu_auto_adjust()).
            (settings.Bridge,),
            (settings.Up,),
            (settings.Address, settings.Neighbour, settings.FdbEntry),
            (settings.Route, settings.Rule),
        ]
        for kinds in phases:
            for setting in every:
                if isinstance(setting, kinds) and (request := build.request(setting)):
                    requests[setting.netns].append(_placed(request, setting))
        for name, netlink in self.netlinks.items():
            netlink.batch(requests[name])
        delays = [s.forward_delay for s in every if isinstance(s, settings.Bridge) and s.stp]
        carrier.wait(
            carrier.expected(every),
            self.netlinks,
            self.monitors,
            self.controls,
            timeout=10.0 + 2 * max(delays, default=0.0) + 2.0 * bool(delays),
        )
        for setting in self._declared(settings.Nft):
            assert isinstance(setting, settings.Nft)
            process.load_ruleset(self.namespaces[setting.netns], setting.ruleset, where=str(setting.origin))

    def settle(self) -> None:
        """Return when no frame is on its way and no neighbour is being asked for.

        Raises DeadlineExceeded if the network does not fall silent, and Inconclusive if the capture broke.
        """
        # It has had its time once: who asks again, at the end of the act say, need not wait as long again.
        timeout = min(SETTLE_SECONDS, 2.0) if self._restless else SETTLE_SECONDS
        end = time.monotonic() + timeout
        count = self.recorder.drain()
        while (left := end - time.monotonic()) > 0:
            # In a storm the markers themselves are lost: the backlog is full.
            with contextlib.suppress(DeadlineExceeded):
                self.fence.round(timeout=left)
                before, count = count, self.recorder.drain()
                if self.recorder.failure is not None:
                    raise Inconclusive(f"the capture ended early: {self.recorder.failure}")
                if count == before and not self._resolving(end):
                    self._restless = False
                    return
        self._restless = True
        raise DeadlineExceeded(
            f"the network did not fall silent within {timeout:g} s ({count} frames so far)",
            remedy="something keeps sending: a loop of bridges, or a program that was not stopped",
        )

    def _resolving(self, end: float) -> bool:
        """Wait for an answer or a failure if any neighbour is being asked for; tell whether one was."""
        busy = [name for name, netlink in self.netlinks.items() if tables.unresolved(netlink)]
        if not busy:
            return False
        poll = select.poll()
        for name in busy:
            poll.register(self.monitors[name], select.POLLIN)
        # A stale event may wake this at once: then it is asked again, which costs a fraction of a millisecond.
        poll.poll(max(0.0, min(end - time.monotonic(), 1.0)) * 1000)
        self.read_events()
        return True

    def read_events(self) -> None:
        """Take in what the kernel has announced of links: the names that captured ifindexes stand for."""
        for netns, monitor in self.monitors.items():
            for message in monitor.events():
                named = tables.named(message)
                if named is not None:
                    index, name = named
                    self.names[netns][index] = name

    def conntrack(self, netns: str) -> Netlink:
        """Return the netfilter socket of a namespace."""
        if netns not in self._conntracks:
            with self.namespaces[netns].entered():
                self._conntracks[netns] = Netlink(NETLINK_NETFILTER)
        return self._conntracks[netns]

    def close(self) -> None:
        """Let go of everything; the kernel takes it down on its own time."""
        if self._recorder is not None:
            self._recorder.close()
        held: tuple[Mapping[Any, Closable], ...] = (
            self.taps,
            self.netlinks,
            self.monitors,
            self.controls,
            self._conntracks,
        )
        for group in held:
            for each in group.values():
                each.close()
        for namespace in self.namespaces.values():
            namespace.close()
        self.fence.close()


def _placed(request: Request, setting: settings.Setting) -> Request:
    """Return a request that says where in the lab file it comes from."""
    return Request(request.what, request.data, setting.origin)


def _deviating(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the sysctls, by their paths below /proc/sys, that are there and have another value."""
    found = {}
    for key, value in wanted.items():
        with contextlib.suppress(FileNotFoundError):
            if Path("/proc/sys", key).read_text().strip() != value:
                found[key] = value
    return found

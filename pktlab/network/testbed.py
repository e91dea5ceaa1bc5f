"""A topology made real: its namespaces, and the sockets by which pktlab works in them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from pktlab.errors import DeadlineExceeded, Inconclusive, KernelError
from pktlab.interface import Interface
from pktlab.kernel import build, carrier, descriptors, plan, process, tables, tun
from pktlab.kernel.backlog import Backlog
from pktlab.kernel.capture import Recorder
from pktlab.kernel.fence import Fence
from pktlab.kernel.netlink import NETLINK_NETFILTER, Netlink, Request
from pktlab.kernel.netns import Names, Netns
from pktlab.kernel.procfs import Sysctls
from pktlab.kernel.watch import Watch
from pktlab.topology import Topology, settings, sysctl

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
        descriptors.allow()
        self.topology = topology
        self.namespaces: dict[str, Netns] = {}
        self.netlinks: dict[str, Netlink] = {}
        self.taps: dict[Interface, tun.Tap] = {}
        self.names: dict[str, dict[int, str]] = {}
        # What was moved away, by the same; captured frames know their interface by its index.
        self.gone: dict[str, dict[int, str]] = {}
        self._conntracks: dict[str, Netlink] = {}
        self._restless = False
        self._recorder: Recorder | None = None
        self._watch: Watch | None = None
        self.fence = Fence()
        self.backlog = Backlog()
        self._folder = Names()
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
    def watch(self) -> Watch:
        """What the kernel announces; from when the network is up."""
        assert self._watch is not None
        return self._watch

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
        with Sysctls() as sysctls:
            for setting in self._declared(settings.Netns):
                name = setting.netns
                namespace = self.namespaces[name] = Netns(name)
                namespace.sysctl(deviating, root=sysctls.root())
                with namespace.entered():
                    self.netlinks[name] = Netlink()
                self.names[name] = {1: "lo"}
                self.gone[name] = {}

    def _links(self) -> None:
        descriptors = {name: namespace.fd for name, namespace in self.namespaces.items()}
        first: dict[str, list[Request]] = {name: [] for name in self.namespaces}
        later: list[tuple[str, Request]] = []
        for setting in plan.links(self.topology.settings):
            for device in setting.creates:
                self.names[device.netns][device.index] = device.name
            if isinstance(setting, settings.Tap):
                with self.namespaces[setting.netns].entered():
                    self.taps[setting.device] = tun.Tap(setting.device.name, setting.device.index, setting.mac)
                continue
            if isinstance(setting, settings.Tun):
                with self.namespaces[setting.netns].entered():
                    tun.make_tun(setting.device.name, setting.device.index)
                continue
            made = build.add_link(setting, descriptors)
            request = Request(made.what, made.data, setting.origin)
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
        sysctls = plan.sysctls(every, self.namespaces)
        timers = plan.neighbour_timers(every, self._timers, sysctls)
        for name, namespace in self.namespaces.items():
            if values := sysctls[name].ordered():
                namespace.sysctl(values, places=sysctls[name].places)
        requests = plan.configuration(every, self.namespaces)
        for netns, request in timers:
            requests[netns].append(request)
        for name, wanted in requests.items():
            self.netlinks[name].batch(wanted)
        delays = [s.forward_delay for s in every if isinstance(s, settings.Bridge) and s.stp]
        timeout = 10.0 + 2 * max(delays, default=0.0) + 2.0 * bool(delays)
        carrying = carrier.expected(every)
        carrier.wait(carrying, self.netlinks, self.pause, timeout=timeout)
        # Nobody waits for those that have no carrier, but that, too, has taken hold when an act begins.
        carrier.look((d for link in plan.links(every) for d in link.creates if d not in carrying), self.netlinks)
        if self._watch is None:
            self._watch = self._listen()
        for setting in self._declared(settings.Nft):
            assert isinstance(setting, settings.Nft)
            process.load_ruleset(self.namespaces[setting.netns], setting.ruleset, where=str(setting.origin))

    def _listen(self) -> Watch:
        return Watch({name: namespace.fd for name, namespace in self.namespaces.items()})

    def pause(self, seconds: float) -> None:
        """Return when the kernel has announced something of links, or after so many seconds."""
        if self._watch is None:
            # Not before it is needed: it is told all that happens. What it missed is seen by looking again.
            self._watch = self._listen()
            return
        self._watch.wait(seconds, neighbours=False)
        self.read_events()

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
        if not any(tables.unresolved(netlink) for netlink in self.netlinks.values()):
            return False
        # A stale event may wake this at once: then it is asked again, which costs a fraction of a millisecond.
        self.watch.wait(min(end - time.monotonic(), 1.0), links=False)
        return True

    def read_events(self) -> None:
        """Take in what the kernel has announced of links: the names that captured ifindexes stand for."""
        lost = False
        while True:
            try:
                for netns, message in self.watch.links():
                    named = tables.named(message)
                    if named is not None:
                        index, name = named
                        self.names[netns][index] = name
                break
            except KernelError:
                # There was too much at once; until all of it is read, more may be lost without a word.
                lost = True
        if lost:
            for netns, netlink in self.netlinks.items():
                self.names[netns] |= tables.names(netlink)

    def dropped(self) -> dict[str, int]:
        """Return how many frames were dropped on their way, by the interface that they had left (see `Backlog`)."""
        places: dict[int, list[str]] = {}
        for netns, found in self.names.items():
            for index, name in found.items():
                places.setdefault(index, []).append(f"{netns}/{name}")
        return self.backlog.dropped(self.namespaces, places.values())

    def conntrack(self, netns: str) -> Netlink:
        """Return the netfilter socket of a namespace."""
        if netns not in self._conntracks:
            with self.namespaces[netns].entered():
                self._conntracks[netns] = Netlink(NETLINK_NETFILTER)
        return self._conntracks[netns]

    def close(self) -> None:
        """Let go of everything; the kernel takes it down on its own time.

        The names are free when this returns. The capture's sockets are closed behind its back, since the kernel takes
        10 ms for each (packet_release() in net/packet/af_packet.c); whoever ends the process before ends them too.
        """
        if self._recorder is not None:
            self._recorder.stop()
            threading.Thread(target=self._recorder.close, name="closing", daemon=True).start()
        threading.Thread(target=self.fence.close, name="closing", daemon=True).start()
        self._folder.close()
        held: tuple[Mapping[Any, Closable], ...] = (self.taps, self.netlinks, self._conntracks)
        for group in held:
            for each in group.values():
                each.close()
        if self._watch is not None:
            self._watch.close()
        for namespace in self.namespaces.values():
            namespace.let_go()


def _deviating(wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the sysctls, by their paths below /proc/sys, that are there and have another value."""
    found = {}
    for key, value in wanted.items():
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(f"/proc/sys/{key}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                if os.read(descriptor, 256).strip() != value.encode():
                    found[key] = value
            finally:
                os.close(descriptor)
    return found

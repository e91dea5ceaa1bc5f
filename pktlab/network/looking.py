"""Looking at the live network: the kernel's tables as data, each look recorded with what it showed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from typing import TypeVar

from pktlab.errors import DeadlineExceeded, LabError
from pktlab.interface import Interface
from pktlab.kernel import tables
from pktlab.kernel.tables import Connection, FdbEntry, Link, Neighbour, Route
from pktlab.network.recording import Recording
from pktlab.network.testbed import Testbed
from pktlab.topology import Device, Namespace

RT_TABLE_MAIN = 254
T = TypeVar("T")


class Looking:
    """What `net` can be asked about its tables. `where` is a declared namespace, or an interface for its own part."""

    def __init__(self, testbed: Testbed, recording: Recording) -> None:
        self._testbed = testbed
        self._recording = recording

    def links(self, where: Namespace | Interface) -> list[Link]:
        """Return the interfaces of a namespace in the order of their ifindex, or the one interface (ip-link(8))."""
        netns, dev = self._place(where)
        found = [each for each in tables.links(self._testbed.netlinks[netns]) if dev in ("", each.name)]
        return self._looked("links", where, found, lambda link: f"{link.name} {link.state}")

    def neighbours(self, where: Namespace | Interface) -> list[Neighbour]:
        """Return the neighbour entries of a namespace or an interface, by address (ip-neighbour(8))."""
        netns, dev = self._place(where)
        entries = tables.neighbours(self._testbed.netlinks[netns], self._names(netns))
        found = [each for each in entries if dev in ("", each.dev)]
        return self._looked("neighbours", where, found, lambda n: f"{n.address} {n.mac or '-'} {n.state}")

    def routes(self, where: Namespace | Interface, *, table: int | None = RT_TABLE_MAIN) -> list[Route]:
        """Return the routes of a table, by default the main one (254); None means all tables (ip-route(8))."""
        netns, dev = self._place(where)
        entries = tables.routes(self._testbed.netlinks[netns], self._names(netns), table)
        found = [each for each in entries if dev in ("", each.dev)]
        return self._looked("routes", where, found, _route_words)

    def fdb(self, where: Namespace | Interface) -> list[FdbEntry]:
        """Return the forwarding database: of a namespace, of a bridge (all its ports), or of one port (bridge(8))."""
        netns, dev = self._place(where)
        entries = tables.fdb(self._testbed.netlinks[netns], self._names(netns))
        found = [each for each in entries if dev in ("", each.dev, each.master)]
        return self._looked("fdb", where, found, lambda e: f"{e.mac} {e.dev} {e.dst or e.state}")

    def conntrack(self, where: Namespace) -> list[Connection]:
        """Return the connections that the namespace tracks (conntrack(8))."""
        netns, _dev = self._place(where)
        found = tables.connections(self._testbed.conntrack(netns))
        return self._looked("conntrack", where, found, lambda c: f"{c.proto} {c.original.src} > {c.original.dst}")

    def read_sysctl(self, where: Namespace | Interface, name: str) -> str:
        """Return the value of a sysctl, by its name with dots; {} stands for the interface's name."""
        from pktlab.topology import sysctl

        netns, dev = self._place(where)
        path, _owner = sysctl.key(name, list(self._names(netns).values()), device=dev)
        value = self._testbed.namespaces[netns].read_sysctl(path)
        self._recording.observe(f"sysctl {name} of {where}", value, value)
        return value

    def wait(self, condition: Callable[[], object], *, timeout: float = 2.0) -> None:
        """Return when `condition()` is true, as in ``net.wait(lambda: net.fdb(p1) == [])``.

        It is asked again whenever the kernel announces a change of a link, a port, a neighbour or an FDB entry, and
        what it asked in vain is not recorded. Raises DeadlineExceeded after `timeout` seconds.
        """
        end = time.monotonic() + timeout
        kept = len(self._recording.observations)
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                raise DeadlineExceeded(f"what the act waits for has not come about in {timeout:g} s")
            self._recording.forget(kept)
            # The question itself may have taken the event from the queue, so this is bounded.
            self._testbed.watch.wait(min(left, 0.05))
            self._testbed.read_events()

    def interface(self, where: Namespace, name: str) -> Interface:
        """Return an interface that no declaration made, such as one that a program created in the act."""
        netns, _dev = self._place(where)
        names = self._names(netns)
        index = next((index for index, each in names.items() if each == name), 0)
        if not index:
            raise LabError(
                f"there is no interface {name!r} in namespace {netns!r}",
                remedy=f"there are: {', '.join(names.values())}",
            )
        mac = next(link.mac for link in tables.links(self._testbed.netlinks[netns]) if link.index == index)
        return Interface(netns, name, mac=mac, index=index)

    def _looked(self, what: str, where: object, found: list[T], words: object) -> list[T]:
        # As JSON has it, which knows no tuples.
        answer = json.loads(json.dumps([dataclasses.asdict(each) for each in found]))  # type: ignore[call-overload]
        text = "; ".join(words(each) for each in found) if callable(words) else ""
        self._recording.observe(f"{what} of {where}", answer, text or "none")
        return found

    def _names(self, netns: str) -> dict[int, str]:
        """The names of the interfaces that are there now, by ifindex."""
        links = tables.carriers(self._testbed.netlinks[netns])
        self._testbed.read_events()
        return {index: name for index, name in self._testbed.names[netns].items() if index in links}

    def _place(self, where: Namespace | Interface) -> tuple[str, str]:
        """Check that a namespace or interface is one of this network; return its names."""
        if isinstance(where, Namespace):
            netns, dev = where.name, ""
        elif isinstance(where, Interface):
            netns, dev = where.netns, where.name
        else:
            raise LabError(
                f"{where!r} is neither a namespace nor an interface",
                remedy="pass an object that the topology returned, such as host or veth0",
            )
        if netns not in self._testbed.namespaces:
            raise LabError(
                f"there is no namespace {netns!r} in this network",
                remedy=f"there are: {', '.join(self._testbed.namespaces) or 'none'}",
            )
        if isinstance(where, Device) and where.index not in self._testbed.names[netns] and where.name != "lo":
            raise LabError(f"there is no interface {where} in this network", remedy="it was not created, or has moved")
        return netns, dev


def _route_words(route: Route) -> str:
    words = [route.type] if route.type != "unicast" else []
    words += [route.dst]
    words += ["via", route.via] if route.via else []
    words += ["dev", route.dev] if route.dev else []
    return " ".join(words)

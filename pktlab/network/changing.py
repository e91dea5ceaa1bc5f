"""Changing the live network: what an act does with `ip link`, `ip addr`, `ip route`, `sysctl` and `nft`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pktlab.errors import LabError
from pktlab.interface import Interface
from pktlab.kernel import build, carrier, process
from pktlab.kernel.netlink import Request
from pktlab.network.attaching import Plugins
from pktlab.network.looking import Looking
from pktlab.topology import Namespace, check, settings, sysctl
from pktlab.topology.origin import origin


class Changing(Looking):
    """The verbs of `net`. Each returns when the change has taken hold: carriers settled, ports forwarding."""

    def up(self, dev: Interface) -> None:
        """Set an interface up."""
        self._ask(build.set_up(self._live(dev), True), carriers=True)

    def down(self, dev: Interface) -> None:
        """Set an interface down; its routes and its resolved neighbours go with it."""
        self._ask(build.set_up(self._live(dev), False), carriers=True)

    def attach(self, dev: Interface, bridge: Interface) -> None:
        """Make an interface a port of a bridge."""
        self._ask(build.set_master(self._live(dev), self._live(bridge)), carriers=True)

    def detach(self, dev: Interface) -> None:
        """Take a port out of its bridge."""
        self._ask(build.set_master(self._live(dev), None), carriers=True)

    def set_bridge(
        self,
        dev: Interface,
        *,
        ageing_time: float | None = None,
        stp: bool | None = None,
        hello_time: float | None = None,
    ) -> None:
        """Change a bridge: its ageing time (0 makes it a hub), whether it speaks STP, and how often; in seconds.

        With STP on, a port that forwards goes on doing so until a BPDU says otherwise, which takes up to a `hello_time`
        (1 to 10 s, by itself 2): wait for it with ``net.wait()``.
        """
        ageing = None if ageing_time is None else check.seconds("ageing_time", ageing_time, 0, 10**6)
        hello = None if hello_time is None else check.seconds("hello_time", hello_time, 1, 10)
        self._ask(build.set_bridge(self._live(dev), ageing_time=ageing, stp=stp, hello_time=hello), carriers=True)

    def delete(self, dev: Interface) -> None:
        """Delete an interface; the other end of a veth goes with it."""
        self._testbed.backlog.look(self._testbed.namespaces)
        self._ask(build.del_link(self._live(dev)), carriers=True)

    def move(self, dev: Interface, namespace: Namespace, *, name: str = "") -> Interface:
        """Move an interface to another namespace; return it as it is there: down, without addresses."""
        live = self._live(dev)
        target, _ = self._place(namespace)
        descriptor = self._testbed.namespaces[target].fd
        self._ask(build.set_netns(live, target, descriptor, live.index, name), netns=live.netns, carriers=True)
        # Frames that it saw there may not have been looked at yet; what was announced of it there is past.
        self._testbed.read_events()
        self._testbed.gone[live.netns][live.index] = self._testbed.names[live.netns].pop(live.index)
        self._testbed.names[target][live.index] = name or live.name
        moved = Interface(target, name or live.name, kind=live.kind, mac=live.mac, index=live.index)
        self._set_timers(moved)
        return moved

    def set_mac(self, dev: Interface, mac: str) -> None:
        """Change the MAC address of an interface."""
        self._ask(build.set_mac(self._live(dev), check.unicast_mac(mac)))

    def add_address(self, dev: Interface, cidr: str) -> None:
        """Add an address with its prefix length to an interface."""
        self._ask(build.address(self._live(dev), check.cidr(cidr)))

    def del_address(self, dev: Interface, cidr: str) -> None:
        """Delete an address from an interface."""
        self._ask(build.address(self._live(dev), check.cidr(cidr), delete=True))

    def move_address(self, cidr: str, source: Interface, target: Interface) -> None:
        """Move an address from one interface to another, as when a bridge takes over the address of its port."""
        self.del_address(source, cidr)
        self.add_address(target, cidr)

    def add_neighbour(self, dev: Interface, address: str, mac: str) -> None:
        """Add a permanent neighbour entry, or replace the one that is there."""
        self._ask(build.neighbour(self._live(dev), check.ip(address), check.mac(mac)))

    def del_neighbour(self, dev: Interface, address: str) -> None:
        """Delete a neighbour entry."""
        self._ask(build.del_neighbour(self._live(dev), check.ip(address)))

    def flush_neighbours(self, where: Namespace | Interface) -> None:
        """Delete every neighbour entry of a namespace or interface that is not permanent."""
        netns, _dev = self._place(where)
        indexes = {name: index for index, name in self._names(netns).items()}
        for entry in self.neighbours(where):
            if entry.state != "PERMANENT":
                dev = Interface(netns, entry.dev, index=indexes[entry.dev])
                self._ask(build.del_neighbour(dev, entry.address))

    def add_route(self, where: Namespace, dst: str, **words: Any) -> None:
        """Add a route; the words are those of ``namespace.route()``."""
        self._ask(build.route(self._route(where, dst, words)), netns=where.name)

    def del_route(self, where: Namespace, dst: str, **words: Any) -> None:
        """Delete the route that fits all the words given."""
        self._ask(build.route(self._route(where, dst, words, delete=True), delete=True), netns=where.name)

    def add_fdb(self, dev: Interface, mac: str, *, dst: str = "") -> None:
        """Add a static FDB entry to the bridge of a port, or towards the VTEP `dst` to a VXLAN device."""
        live = self._live(dev)
        entry = settings.FdbEntry(
            netns=live.netns, origin=origin(), device=live, mac=check.mac(mac), dst=check.ip(dst) if dst else ""
        )
        self._ask(build.fdb(entry), netns=live.netns)

    def sysctl(self, where: Namespace | Interface, name: str, value: int | str) -> None:
        """Set a sysctl, by its name with dots; {} stands for the interface's name."""
        netns, dev = self._place(where)
        path, _owner = sysctl.key(name, list(self._names(netns).values()), device=dev)
        self._testbed.namespaces[netns].sysctl({path: sysctl.value(name, value)})

    def nft(self, where: Namespace, ruleset: str) -> None:
        """Load a ruleset in nft's own language, or run a single command of it, such as ``flush ruleset``."""
        netns, _dev = self._place(where)
        process.load_ruleset(self._testbed.namespaces[netns], ruleset)

    def cni(self, host: Namespace, conf: str | bytes | Mapping[str, Any], *, path: str = "") -> Plugins:
        """Return a network of CNI plugins on a host: ``net.cni(host, conf).add(pod)``.

        `conf` is a conflist or a plugin's configuration, as JSON text or as a dict; `path` the folders with plugins.
        The plugins are real programs, run in `host` by the protocol. Raises MachineError where one is not installed.
        """
        return Plugins(self, host, conf, path=path)

    def _adopt(self, made: Iterable[Interface]) -> None:
        """Take in what a program has done to the links; those that it made get the lab's neighbour timers."""
        for dev in made:
            self._set_timers(dev)
        self._testbed.read_events()
        carrier.settle(self._testbed.netlinks, self._testbed.names)

    def _set_timers(self, dev: Interface) -> None:
        """Give an interface that is new in its namespace the lab's neighbour timers."""
        request, _rest = build.set_neighbour_timers(dev, self._testbed.topology.neighbour_timers())
        if request is not None:
            self._testbed.netlinks[dev.netns].batch([request])

    def _route(self, where: Namespace, dst: str, words: dict[str, Any], *, delete: bool = False) -> settings.Route:
        self._place(where)
        if delete and "type" not in words and "via" not in words and "dev" not in words:
            return settings.Route(netns=where.name, origin=origin(), dst=check.prefix(dst), **words)
        return where.make_route(dst, **words)

    def _live(self, dev: Interface) -> Interface:
        """Check that an interface is there; return it with its ifindex of now."""
        netns, name = self._place(dev)
        if not name:
            raise LabError(f"{dev!r} is not an interface", remedy="pass an object such as veth0")
        indexes = {each: index for index, each in self._names(netns).items()}
        if name not in indexes:
            raise LabError(f"there is no interface {dev} any more", remedy="it was deleted or moved in this act")
        return Interface(netns, name, kind=dev.kind, mac=dev.mac, index=indexes[name])

    def _ask(self, request: Request, *, netns: str = "", carriers: bool = False) -> None:
        netns = netns or str(request.what).split()[2]
        self._testbed.netlinks[netns].batch([request])
        if carriers:
            carrier.settle(self._testbed.netlinks, self._testbed.names)

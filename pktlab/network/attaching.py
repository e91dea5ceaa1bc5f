"""Attaching pods to networks by CNI plugins: what `net.cni()` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pktlab.cni import Chain, CniError, Container, Result
from pktlab.errors import LabError
from pktlab.interface import Interface
from pktlab.kernel.cniplugins import Runtime
from pktlab.topology import Namespace

if TYPE_CHECKING:
    from pktlab.network.changing import Changing


@dataclass(frozen=True, slots=True)
class Attachment:
    """What an ADD made: `result` as the last plugin gave it, `devices` its interfaces in the result's order."""

    pod: Namespace
    result: Result
    devices: tuple[Interface, ...]

    @property
    def ip(self) -> str:
        """The first address, without its prefix length. Raises LabError if there is none."""
        if not self.result.ips:
            raise LabError(f"{self.pod} was given no address", remedy='name a plugin for them: "ipam"')
        return self.result.ips[0].ip


class Plugins:
    """A network's chain of plugins on one host, as a container runtime drives it.

    The plugins are real programs and run in `host`; `pod` is the namespace that they attach, its name the container's
    id unless `id` is given. Raises CniError with the plugin's own words where one fails.
    """

    def __init__(
        self, net: Changing, host: Namespace, conf: str | bytes | Mapping[str, Any], *, path: str = ""
    ) -> None:
        self._net = net
        self.host = host
        self.chain = Chain.parse(conf)
        self._runtime = Runtime(net._testbed.namespaces[net._place(host)[0]], self.chain, path=path)

    def add(
        self,
        pod: Namespace,
        *,
        ifname: str = "eth0",
        id: str = "",
        args: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> Attachment:
        """Attach a pod: each plugin in turn, with the result of the one before it."""
        container = self._container(pod, ifname, id, args, capabilities)
        result = self._run("ADD", container, pod)
        if result is None:
            raise LabError(
                "the chain's ADD gave no result", remedy="a chain begins with a plugin that makes an interface"
            )
        places = {"": self.host, container.netns: pod}
        made = [(places.get(link.sandbox), link.name) for link in result.interfaces]
        # portmap and others may speak of interfaces that are in neither.
        devices = tuple(self._net.interface(where, name) for where, name in made if where is not None)
        self._net._adopt(devices)
        return Attachment(pod, result, devices)

    def check(self, pod: Namespace, *, ifname: str = "eth0", id: str = "") -> None:
        """Have every plugin look whether what it made for a pod is still there.

        portmap of Debian 12 has a fault of its own: given mappings of IPv4 only it fails, "could not check ipv6 dnat".
        """
        self._run("CHECK", self._container(pod, ifname, id), pod)

    def delete(self, pod: Namespace, *, ifname: str = "eth0", id: str = "") -> None:
        """Detach a pod: the chain from its end. It may be said again, and of an ADD that failed half-way."""
        self._run("DEL", self._container(pod, ifname, id), pod)

    @property
    def leases(self) -> dict[str, str]:
        """The addresses that host-local has given out here, each with the container's id."""
        return self._runtime.leases()

    def _container(
        self,
        pod: Namespace,
        ifname: str,
        id: str,
        args: Mapping[str, str] | None = None,
        capabilities: Mapping[str, Any] | None = None,
    ) -> Container:
        netns, _dev = self._net._place(pod)
        given = ({} if args is None else args, {} if capabilities is None else capabilities)
        return Container(id or netns, f"/run/netns/{netns}", ifname, *given)

    def _run(self, command: str, container: Container, pod: Namespace) -> Result | None:
        question = f"cni {command.lower()} {self.chain.name} {pod}/{container.ifname}"
        try:
            result = self._runtime.run(command, container)
        except CniError as error:
            self._net._recording.observe(question, {"code": error.code, "msg": error.msg}, error.message)
            raise
        finally:
            self._net._adopt(())
        # The names and MACs that plugins draw by lot differ from run to run.
        answer = (
            {"ips": [each.address for each in result.ips], "routes": [each.dst for each in result.routes]}
            if result
            else {}
        )
        words = ", ".join(each.address for each in result.ips) if result else ""
        self._net._recording.observe(question, answer, words or "done")
        return result

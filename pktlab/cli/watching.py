"""A network that is up, watched: every frame is sent as it comes, until the watcher is ended or the network is."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pktlab import labfile
from pktlab.cli.declared import declared_topology
from pktlab.cli.standing import found
from pktlab.errors import PktlabError
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.live import Begun
from pktlab.interface import Interface
from pktlab.kernel.capture import Recorder
from pktlab.kernel.fence import Fence
from pktlab.kernel.netns import Netns
from pktlab.kernel.proof import foreign
from pktlab.network.feed import Feed, Send, plain
from pktlab.network.recording import Recording
from pktlab.standing import registry
from pktlab.standing.guest import Guest
from pktlab.standing.registry import Standing
from pktlab.topology import settings

if TYPE_CHECKING:
    from pktlab.topology import Topology

Table = Mapping[tuple[str, str], Interface]


def standing(name: str) -> Standing | None:
    """Return the network of this name that is up, if one is; a path names a lab, not a network."""
    if "/" in name or name.endswith(".py") or not registry.every():
        return None
    with contextlib.suppress(PktlabError):
        return found(name)
    return None


def work(network: Standing) -> Callable[[Send], None]:
    """Return what sends the frames of a network that is up, with what its lab says of the interfaces."""
    with contextlib.suppress(PktlabError):  # it may be gone, or broken by now; the network is as it was
        return watched(network, declared_topology(labfile.read(network.lab)))
    return watched(network, None)


def watched(network: Standing, topology: Topology | None) -> Callable[[Send], None]:
    """Return what sends the frames of a network that is up; `topology` is what its lab declares, if that is known."""
    begun = Begun(network.name)
    declared: dict[tuple[str, str], Interface] = {}
    if topology is not None:
        declared = {(each.netns, each.name): plain(each) for each in topology.devices}
        addresses = (each for each in topology.settings if isinstance(each, settings.Address))
        begun.names = {each.ip: str(each.device) for each in addresses}
        ports = {each.dstport for each in topology.settings if isinstance(each, settings.Vxlan)}
        begun.vxlan_ports = VXLAN_PORTS | ports

    def watch(send: Send) -> None:
        def inside(_tell: Callable[[Any], None]) -> None:
            _watch(network, begun, declared, send)

        with Guest(network, inside) as guest:
            # It has nothing to tell but why it could not be, or that it is over.
            for _message in guest.messages():
                pass

    return watch


def _watch(network: Standing, begun: Begun, declared: Table, send: Send) -> None:
    namespaces = [Netns.named(name) for name in network.namespaces]
    recorder = Recorder(namespaces)
    recorder.marker = foreign  # `pktlab repl` and `send` prove captures of their own
    Fence().arm()  # from here on frames are stamped when they arrive
    recorder.start()

    def resolve(number: int, index: int) -> Interface:
        # Asked each time: whoever works in the network may rename and remake what is in it.
        netns = namespaces[number]
        try:
            with netns.entered():
                name = socket.if_indextoname(index)
        except OSError:
            name = f"if{index}"
        return declared.get((netns.name, name)) or Interface(netns.name, name, index=index)

    for number, namespace in enumerate(namespaces):
        with namespace.entered():
            indexes = [index for index, _name in socket.if_nameindex()]
        begun.interfaces += [resolve(number, index) for index in sorted(indexes)]
    with Feed(begun, send, recorder, Recording(recorder.storage), namespaces, resolve), contextlib.suppress(OSError):
        select.poll().poll()

"""`pktlab up`: a lab's network that stays up."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import complete_lab
from pktlab.cli.screen import Screen
from pktlab.errors import LabError, PktlabError
from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.standing.registry import Standing


def up(
    lab: Annotated[
        str, typer.Argument(metavar="LAB|FILE", help="A lab's name, or a lab file.", autocompletion=complete_lab)
    ],
    name: Annotated[str, typer.Option(metavar="NAME", help="What to call the network; by default as the lab.")] = "",
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end the network with Ctrl-C.")] = False,
) -> int:
    """Bring the network of a lab up and leave it up, with an owner process in the background.

    The network is what the lab declares at its top; no act is run. It ends with `pktlab down`, or with its owner.
    """
    from pktlab.cli.declared import declared_topology
    from pktlab.standing import names, owner

    source = labfile.find([lab])[0]
    topology = declared_topology(source)
    if topology is None:
        raise LabError(
            f"{source.name} declares no topology that could be brought up by itself: a fixture makes it for each act",
            remedy="run it: pktlab run",
        )
    topology.freeze()
    names.sweep()
    network = owner.Network(source.path.resolve(), topology, name or source.name)
    _check_origin(network.name, network.lab)
    if not foreground:
        Screen().lines(_told(owner.start(network)))
        return 0

    def tell(standing: Standing) -> None:
        Screen().lines([*_told(standing), [Span("Ctrl-C ends it.", "mark")]])

    try:
        owner.stay(network, tell)
    except KeyboardInterrupt:
        # The way to end it; and what is left to do is to tell so.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    Screen().lines([[Span(f"{network.name} is down", "mark")]])
    return 0


def _check_origin(name: str, lab: Path) -> None:
    """Refuse a name under which another file's network is up, and say which; of the same file the owner will tell."""
    from pktlab.standing import registry

    there: list[Standing] = []
    with contextlib.suppress(PktlabError):  # the owner of one has been stopped
        there = registry.every()
    for each in there:
        if each.name == name and each.lab != lab:
            raise PktlabError(
                f"a network called {name} is up already, brought up from {each.lab}",
                remedy=f"end it with `pktlab down {name}`, or give this one another name: --name NAME",
            )


def _told(standing: Standing) -> list[Line]:
    """What is up, and how to go on."""
    name, first = standing.name, standing.namespaces[0] if standing.namespaces else "NAMESPACE"
    ways = [
        (f"pktlab sh {name} {first}", "a shell in a namespace"),
        (f"pktlab exec {name} {first} -- ip address", "one command"),
        (f"pktlab repl {name}", "Python, with the declared objects, Scapy and net"),
        (f"pktlab down {name}", "the end of it"),
    ]
    if standing.names:
        ways.insert(2, (f"ip netns exec {standing.names[0]} ip address", "the same by iproute2, as root"))
    width = max(len(words) for words, _what in ways)
    return [
        [Span(name, "name"), Span(" is up: "), Span(", ".join(standing.namespaces), "path")],
        [],
        *([Span(f"  {words:<{width}}  "), Span(what, "mark")] for words, what in ways),
    ]

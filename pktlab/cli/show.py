"""`pktlab show`: a lab for reading, without running its acts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import complete_lab
from pktlab.cli.declared import declared_topology
from pktlab.cli.screen import Screen
from pktlab.transcript import Line, Span

if TYPE_CHECKING:
    from pktlab.topology import Topology

_INDENT = "    "


def show(
    lab: Annotated[str, typer.Argument(help="A lab's name, or a path to a lab file.", autocompletion=complete_lab)],
) -> int:
    """Show a lab: its story, the drawing, the declared topology, the acts and what they prove."""
    source = labfile.find([lab])[0]
    topology = declared_topology(source)
    Screen().lines(_lines(source, topology))
    return 0


def _lines(lab: labfile.LabFile, topology: Topology | None) -> Iterator[Line]:
    yield [Span(lab.name, "name")]
    yield [Span(lab.title, "title")]
    for text in (textwrap.indent(lab.drawing, _INDENT), lab.story):
        if text:
            yield []
            yield from ([Span(line)] for line in text.splitlines())
    yield from _head("Topology", str(lab.path))
    if topology is None:
        yield [Span(f"{_INDENT}made by a fixture when an act begins")]
    else:
        yield from topology_lines(topology)
    yield from _head("Acts", f"need {', '.join(lab.needs)}" if lab.needs else "")
    for act in lab.acts:
        yield [Span(_INDENT), Span(act.name, "name")]
        if act.title:
            yield [Span(_INDENT + "  "), Span(act.title, "title")]
        for claim in act.claims:
            on = f" on {claim['on']}" if "on" in claim else ""
            yield [Span(_INDENT + "  "), Span(f"{claim['verdict']}{on}", claim["verdict"]), Span(f"  {claim['id']}")]


def _head(title: str, aside: str) -> Iterator[Line]:
    yield []
    yield [Span(title, "name"), Span(f"  ({aside})" if aside else "", "mark")]


def topology_lines(topology: Topology) -> Iterator[Line]:
    """Every setting as a command, below its namespace, in the order of declaration."""
    from pktlab.topology.settings import Netns

    # All of them first, so that what is printed can be run from top to bottom: a veth may end in a later namespace.
    for setting in topology.settings:
        if isinstance(setting, Netns):
            yield [Span(_INDENT + setting.command)]
    for namespace in topology.namespaces:
        yield [Span(f"  {namespace}", "path")]
        for setting in topology.settings:
            if setting.netns == namespace and not isinstance(setting, Netns):
                yield from ([Span(_INDENT + line)] for line in setting.command.splitlines())

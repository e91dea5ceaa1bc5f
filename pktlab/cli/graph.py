"""`pktlab graph`: the declared topology as a picture."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import complete_lab
from pktlab.cli.declared import declared_topology
from pktlab.cli.screen import Screen
from pktlab.errors import LabError
from pktlab.transcript import Span


class Format(StrEnum):
    """How a picture is written."""

    svg = "svg"
    mermaid = "mermaid"
    dot = "dot"
    text = "text"


def graph(
    lab: Annotated[str, typer.Argument(help="A lab's name, or a path to a lab file.", autocompletion=complete_lab)],
    form: Annotated[
        Format,
        typer.Option("--format", "-f", help="svg for a page, text for a terminal, mermaid, or dot for Graphviz."),
    ] = Format.text,
) -> int:
    """Draw the topology that a lab declares, on standard output: namespaces as boxes, ports below their bridge.

    The same topology always gives the same picture. Text is at most as wide as the terminal, and 80 columns wide where
    there is none.
    """
    from pktlab.drawing.plan import plan

    source = labfile.find([lab])[0]
    topology = declared_topology(source)
    if topology is None:
        raise LabError(
            f"{source.path} declares no topology: a fixture makes it when an act begins",
            remedy="`pktlab run` shows what its packets do",
        )
    planned = plan(topology)
    screen = Screen()
    if form is Format.svg:
        from pktlab.drawing.svg import svg

        picture = svg(planned, title=f"{source.name}: {source.title}")
    elif form is Format.mermaid:
        from pktlab.drawing.mermaid import mermaid

        picture = mermaid(planned)
    elif form is Format.dot:
        from pktlab.drawing.dot import dot

        picture = dot(planned)
    else:
        from pktlab.drawing.text import text

        picture = text(planned, width=screen.width)
    screen.lines([Span(line)] for line in picture.splitlines())
    return 0

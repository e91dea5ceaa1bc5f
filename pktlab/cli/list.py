"""`pktlab list`: which labs there are."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pktlab import labfile
from pktlab.cli.screen import Screen, write_json
from pktlab.transcript import Line, Span


def list_labs(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """List the labs: name, number of acts, what they need, and their claim in one line."""
    labs = labfile.discover()
    if as_json:
        write_json({"version": 1, "labs": [_data(lab) for lab in labs]})
        return 0
    heads = ("LAB", "ACTS", "NEEDS", "CLAIM")
    rows = [(lab.name, str(len(lab.acts)), ", ".join(lab.needs) or "-", lab.title) for lab in labs]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(3)]
    Screen().lines([_line(heads, widths, "mark"), *(_line(row, widths, "name") for row in rows)])
    return 0


def _line(row: tuple[str, str, str, str], widths: list[int], role: str) -> Line:
    name, acts, needs, title = row
    rest = f"  {acts:>{widths[1]}}  {needs:<{widths[2]}}  {title}"
    return [Span(f"{name:<{widths[0]}}", role), Span(rest, "mark" if role == "mark" else "")]


def _data(lab: labfile.LabFile) -> dict[str, Any]:
    return {
        "name": lab.name,
        "title": lab.title,
        "acts": [{"name": act.name, "title": act.title, "needs": act.needs} for act in lab.acts],
        "needs": lab.needs,
        "file": str(lab.path),
    }

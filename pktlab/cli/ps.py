"""`pktlab ps` and `pktlab down`: which networks are up, and the end of them."""

from __future__ import annotations

from typing import Annotated

import typer

from pktlab.cli.screen import Screen, write_json
from pktlab.cli.standing import complete_network, short
from pktlab.errors import PktlabError
from pktlab.transcript import Line, Span


def ps(
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of a table.")] = False,
) -> int:
    """List the networks that you have up: name, owner process, since when, lab file, namespaces."""
    from pktlab.standing import names, registry

    names.sweep()
    there = registry.every()
    if as_json:
        write_json({"version": 1, "networks": [each.as_json() for each in there]})
        return 0
    heads = ("NAME", "OWNER", "SINCE", "LAB", "NAMESPACES")
    rows = [
        (
            each.name,
            str(each.owner),
            f"{each.since.astimezone():%Y-%m-%d %H:%M:%S}",
            short(each.lab),
            ", ".join(each.namespaces),
        )
        for each in there
    ]
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(4)]
    Screen().lines([_line(heads, widths, "mark"), *(_line(row, widths, "") for row in rows)])
    return 0


def _line(row: tuple[str, ...], widths: list[int], role: str) -> Line:
    name, owner, since, lab, namespaces = row
    rest = f"  {owner:>{widths[1]}}  {since:<{widths[2]}}  {lab:<{widths[3]}}  {namespaces}"
    return [Span(f"{name:<{widths[0]}}", role or "name"), Span(rest, role)]


def down(
    networks: Annotated[
        list[str] | None,
        typer.Argument(metavar="LAB...", help="Networks, by name or lab file.", autocompletion=complete_network),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that you have up.")] = False,
) -> int:
    """End networks that are up, with everything that runs in them."""
    from pktlab.standing import names, registry

    if every == bool(networks):
        raise PktlabError("down needs the names of networks, or --all", remedy="see `pktlab ps`")
    there = (
        registry.every() if every else list({each.name: each for each in map(registry.find, networks or [])}.values())
    )
    for each in there:
        each.end()
        origin = f" (it was up from {short(each.lab)})" if every else ""
        Screen().lines([[Span(f"{each.name} is down{origin}", "mark")]])
    names.sweep()
    return 0

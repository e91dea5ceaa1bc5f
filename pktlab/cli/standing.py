"""Arguments of the commands that work in a network that is up, and their completion."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pktlab.errors import PktlabError


def complete_network(incomplete: str) -> list[tuple[str, str]]:
    """Complete the name of a network that is up, with the lab that it was made from beside it."""
    from pktlab.standing import registry

    try:
        there = registry.every()
    except (PktlabError, OSError):
        return []
    return [(each.name, str(each.lab)) for each in there if each.name.startswith(incomplete)]


def complete_namespace(ctx: Any, incomplete: str) -> list[str]:
    """Complete the name of a namespace in the network that was named before it."""
    from pktlab.standing import registry

    try:
        standing = registry.find(str(ctx.params.get("network") or ""))
    except (PktlabError, OSError):
        return []
    return [name for name in standing.namespaces if name.startswith(incomplete)]


def _namespaces(ctx: typer.Context, incomplete: str) -> list[str]:
    return complete_namespace(ctx, incomplete)


Network = Annotated[
    str,
    typer.Argument(
        metavar="LAB",
        help="A network that is up, by its name (see `pktlab ps`), or the lab file it was made from.",
        autocompletion=complete_network,
    ),
]
Netns = Annotated[str, typer.Argument(metavar="NAMESPACE", help="One of its namespaces.", autocompletion=_namespaces)]

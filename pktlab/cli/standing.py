"""Arguments of the commands that work in a network that is up, and their completion."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pktlab.errors import PktlabError

if TYPE_CHECKING:
    from pktlab.standing.registry import Standing


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


def found(name: str) -> Standing:
    """Return the network that is up of this name, and say on standard error where it is of another lab file.

    Networks are a user's, whatever folder he is in; a lab's name means the lab of this installation. Raises
    PktlabError as `registry.find`.
    """
    from pktlab.standing import registry

    standing = registry.find(name)
    tell_origin(name, standing)
    return standing


def tell_origin(name: str, standing: Standing) -> None:
    """Say on standard error from which file a network was brought up, where its name means another one here."""
    from pktlab import labfile

    try:
        here = labfile.find([name])[0].path.resolve()
    except PktlabError:
        return  # the name was given it by `pktlab up --name`
    if here != standing.lab:
        print(  # noqa: T201
            f"pktlab: {standing.name} was brought up from {standing.lab}\n  and not from {here}", file=sys.stderr
        )


def short(path: Path) -> str:
    """Return a path as it is quickest read: from the current folder, else from the home folder, else whole."""
    for find, before in ((Path.cwd, Path()), (Path.home, Path("~"))):
        with contextlib.suppress(
            OSError, RuntimeError, ValueError
        ):  # the folder has been removed, or the file is elsewhere
            return str(before / path.relative_to(find()))
    return str(path)


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

"""`pktlab wireshark`: the labs as interfaces in Wireshark, and a profile for their captures."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from pktlab.cli.screen import Screen
from pktlab.cli.status import PASSED
from pktlab.transcript import Span

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Put pktlab into Wireshark, and take it out again.\n\n"
    "`install` makes every lab an interface of Wireshark and tshark: capturing on it runs the lab's acts. `profile` "
    "writes a profile with columns for interface, direction, packet and hop.",
)


@app.command(epilog="\b\nExample:\n  pktlab wireshark install && tshark -i pktlab -c 20")
def install(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Install there, and not where tshark -G folders says.")
    ] = None,
) -> int:
    """Put the labs, and the networks that are up, into Wireshark's list of interfaces."""
    from pktlab.wireshark import folders, setup

    named, told, there = folder is not None, {}, os.environ.get("WIRESHARK_EXTCAP_DIR") == str(folder)
    if folder is None:
        told = folders.told()
        folder, there = folders.extcap(told)
    folder = folder.absolute()
    path = setup.install(folder)
    # Of root, Wireshark takes no folder from the environment; anyone else's may be one of those.
    everybody = os.geteuid() == 0 and folder == told.get(folders.GLOBAL)
    _say(f"{path}, for all users" if everybody else str(path))
    variable = "" if there else f"WIRESHARK_EXTCAP_DIR={shlex.quote(str(folder))} "
    if variable and not named:
        # Up to Wireshark 4.0.
        _say("this Wireshark does not look there by itself; start it so:")
        _say(f"  {variable}wireshark")
        _say("(without the system's own extcaps then; or have root install it for all users)")
    _say(f"next: {variable}tshark -i pktlab -c 20")
    return PASSED


@app.command(epilog="\b\nExample:\n  pktlab wireshark uninstall")
def uninstall(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where `install --folder DIR` put it, besides the usual folders.")
    ] = None,
) -> int:
    """Take away what `install` and `profile` wrote, and nothing else: all that you may remove."""
    from pktlab.wireshark import folders, setup

    gone, left, kept = setup.uninstall(folders.told(), *([folder.absolute()] if folder else []))
    for path in gone:
        _say(f"removed {path}")
    for path in left:
        _say(f"left {path}: it has been changed since")
    for path, owner in kept:
        _say(f"left {path}: it is {owner}'s, who can remove it by `pktlab wireshark uninstall`")
    if not gone and not left and not kept:
        _say("nothing is installed")
    return PASSED


@app.command(epilog="\b\nExample:\n  pktlab wireshark profile && wireshark -C pktlab FILE")
def profile(
    force: Annotated[bool, typer.Option("--force", help="Replace a profile that was changed since.")] = False,
) -> int:
    """Write the profile `pktlab`: columns for interface, direction, packet and hop; a colour where a packet stops."""
    from pktlab.wireshark import folders, setup

    told = folders.told()
    path = setup.write_profile(told[folders.CONFIGURATION], folders.known_preferences(), force=force)
    _say(str(path))
    _say("wireshark -C pktlab shows captures with it; frame.packet_id == 1 is one packet's whole way")
    return PASSED


def _say(text: str) -> None:
    Screen().lines([[Span(text)]])

"""`pktlab sh` and `pktlab exec`: a shell, or one command, in a namespace of a network that is up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab.cli.standing import Netns, Network, found

if TYPE_CHECKING:
    from pktlab.standing.registry import Standing

_NO_SHELLS = ("nologin", "false", "true")


def sh(network: Network, namespace: Netns) -> int:
    """Open a shell ($SHELL, else /bin/sh) in a namespace of a network that is up; it ends with the network.

    What it starts runs there, as root of the network and as you towards files.
    """
    from pktlab.standing import visit

    standing = found(network)
    visit.check(standing, namespace)
    shell = os.environ.get("SHELL", "")
    if os.path.basename(shell) in _NO_SHELLS or not os.access(shell, os.X_OK):
        shell = "/bin/sh"
    words, env = _prompted(shell, f"{standing.name}/{namespace}", _environment(standing, namespace))
    return visit.run(standing, namespace, shell, words, env, shell=True)


def exec_(
    network: Network,
    namespace: Netns,
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="A program and its arguments, behind --.")],
) -> int:
    """Run a command in a namespace of a network that is up, and exit as it does.

    Standard input, output and error are yours. A command that a signal ends gives 128 and the signal's number.
    """
    from pktlab.kernel.process import resolved
    from pktlab.standing import visit

    standing = found(network)
    visit.check(standing, namespace)
    words = resolved(command)
    return visit.run(standing, namespace, words[0], words, _environment(standing, namespace))


def _environment(standing: Standing, namespace: str) -> dict[str, str]:
    from pktlab.kernel.program import environment

    return environment() | {"PKTLAB_NETWORK": standing.name, "PKTLAB_NAMESPACE": namespace}


def _prompted(shell: str, where: str, env: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The words and the environment with which a shell says in its prompt where it is.

    bash takes its prompt from ~/.bashrc, so it is given a file that goes on from there: one in memory, which is gone
    with its descriptor. Shells that set a prompt of their own have $PKTLAB_NETWORK and $PKTLAB_NAMESPACE.
    """
    if os.path.basename(shell) != "bash" or not os.isatty(0):
        return [shell], env | {"PS1": f"{where} # "}
    rc = os.memfd_create("pktlab", 0)
    with open(rc, "w", encoding="utf-8", closefd=False) as file:
        file.write(f"[ -f ~/.bashrc ] && . ~/.bashrc\nPS1='{where} \\w \\$ '\nexec {rc}<&-\n")
    return [shell, "--rcfile", f"/proc/self/fd/{rc}", "-i"], env

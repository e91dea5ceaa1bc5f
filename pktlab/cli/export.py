"""`pktlab export`: a lab's network for other tools."""

from __future__ import annotations

import stat
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import complete_lab
from pktlab.cli.declared import declared_topology
from pktlab.errors import LabError, PktlabError


class Format(StrEnum):
    """What a lab is written as."""

    script = "script"
    containerlab = "containerlab"


def export(
    lab: Annotated[str, typer.Argument(help="A lab's name, or a path to a lab file.", autocompletion=complete_lab)],
    form: Annotated[
        Format, typer.Option("--format", "-f", help="script: for sh; containerlab: a topology file for containerlab.")
    ] = Format.script,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; - for standard output.")
    ] = "-",
) -> int:
    """Write the network that a lab declares in the words of other tools.

    A script has the plain commands of ip, bridge, sysctl and nft that build it, in namespaces of its own, with the
    lab's own lines as comments. A file for containerlab has a node for each namespace. What the acts of the lab do is
    in neither.
    """
    from pktlab.export import containerlab, script

    source = labfile.find([lab])[0]
    topology = declared_topology(source)
    if topology is None:
        raise LabError(
            f"{source.path} declares no topology: a fixture makes it when an act begins",
            remedy="declare one at the top of the file: topology = Topology()",
        )
    topology.check()
    text = script(topology, source) if form is Format.script else containerlab(topology, source)
    if output == "-":
        sys.stdout.write(text)
    else:
        _write(Path(output), text, executable=form is Format.script)
    return 0


def _write(file: Path, text: str, *, executable: bool) -> None:
    try:
        file.write_text(text, encoding="utf-8")
        mode = file.stat().st_mode
        # Who may read it may run it; /dev/stdout is left as it is.
        if executable and stat.S_ISREG(mode):
            file.chmod(mode | (mode & 0o444) >> 2)
    except OSError as error:
        raise PktlabError(
            f"cannot write {file}: {error.strerror}", remedy="name another file, or - for standard output"
        ) from None

"""Arguments and options that several commands share, and what is checked of them before anything runs."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Annotated

import typer

from pktlab import labfile
from pktlab.errors import LabError, PktlabError

# Bytes. The captures of a lab take less; a file system that cannot hold that much is as good as full.
_ROOM = 64 * 1024


def complete_lab(incomplete: str) -> list[tuple[str, str]]:
    """Complete the name of a lab, with its claim beside it."""
    try:
        labs = labfile.discover()
    except LabError:
        return []
    return [(lab.name, lab.title) for lab in labs if lab.name.startswith(incomplete)]


Labs = Annotated[
    list[str] | None,
    typer.Argument(metavar="LAB|FILE", help="Labs by name, lab files by path.", autocompletion=complete_lab),
]


def captures_folder(path: Path) -> Path:
    """Make the folder for pcapng files if need be, and prove that it can be written to.

    Raises PktlabError if it cannot: a run whose captures are lost would have to be done again.
    """
    import tempfile

    if not path.name and path == Path():
        raise PktlabError("--captures names no folder", remedy="name one: --captures DIR")
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(bytes(_ROOM))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        remedy = "make room there" if error.errno == errno.ENOSPC else "make it a folder that you may write to"
        raise PktlabError(
            f"cannot write captures to {path}: {error.strerror}", remedy=f"{remedy}, or name another: --captures DIR"
        ) from None
    return path


def json_file(path: str) -> Path:
    """Check that the file for JSON can be written, without touching what is in it. Raises PktlabError if not."""
    return _writable(Path(path), "name another file, or - for standard output")


def pcapng_file(file: Path) -> Path:
    """Check that a capture can be written to a file, as `json_file` does."""
    return _writable(file, "name another file: -w FILE")


def _writable(file: Path, remedy: str) -> Path:
    reason = ""
    if file.is_dir():
        reason = os.strerror(errno.EISDIR)
    elif not file.parent.is_dir():
        reason = os.strerror(errno.ENOENT)
    elif not os.access(file if file.exists() else file.parent, os.W_OK):
        reason = os.strerror(errno.EACCES)
    if reason:
        raise PktlabError(f"cannot write {file}: {reason}", remedy=remedy)
    return file

"""What goes to the terminal: results to standard output, progress to standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any, NoReturn

from pktlab.transcript import plain

if TYPE_CHECKING:
    from rich.console import Console

    from pktlab.transcript import Line

_PIPED_WIDTH = 80
_STYLES = {
    "name": "bold",
    "path": "cyan",
    "mark": "dim",
    "file": "dim",
    "detail": "",
    "passed": "bold green",
    "failed": "bold red",
    "skipped": "bold yellow",
    "inconclusive": "bold magenta",
    "confirmed": "green",
    "refuted": "red",
    "depends": "magenta",
    "undecidable": "yellow",
    "open": "dim",
}


class Screen:
    """Standard output as a place for lines; colours only where it is a terminal and NO_COLOR is not set."""

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file or sys.stdout
        self._console: Console | None = None
        # What makes rich write colours where no terminal is: then the lines are its business, too.
        forced = any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
        self._plain = not forced and not self._file.isatty()

    @property
    def width(self) -> int:
        """Columns to lay text out in: the terminal's, or $COLUMNS or 80 where there is none."""
        if self._file.isatty():
            return shutil.get_terminal_size().columns
        columns = os.environ.get("COLUMNS", "")
        return int(columns) if columns.isdigit() and int(columns) > 0 else _PIPED_WIDTH

    def lines(self, lines: Iterable[Line]) -> None:
        """Print lines as they are: never wrapped, cut or highlighted."""
        for line in lines:
            text = plain(line)
            if self._plain and text.isprintable():
                self._write(text.rstrip() + "\n")
            else:
                self._colour(line)

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:
            raise BrokenPipeError from None  # without its errno, by which Typer would take it and exit with 1

    def _colour(self, line: Line) -> None:
        """Print a line by rich, which takes 20 ms to import; it knows what control characters do to a terminal, too."""
        from rich.text import Text

        console = self._console or self._open()
        text = Text.assemble(*((span.text, _STYLES.get(span.role, "")) for span in line))
        text.rstrip()
        console.print(text, soft_wrap=True, highlight=False)

    def _open(self) -> Console:
        from rich.console import Console

        class Quiet(Console):
            def on_broken_pipe(self) -> NoReturn:
                raise BrokenPipeError  # rich would exit with 1, which means that an expectation failed

        self._console = Quiet(file=self._file, markup=False, emoji=False)
        return self._console


def write_json(data: dict[str, Any], file: IO[str] | None = None) -> None:
    """Write JSON for people and programs: indented, in ASCII, since a file's name need not be text at all."""
    file = file or sys.stdout
    import json

    try:
        json.dump(data, file, indent=2)
        file.write("\n")
        file.flush()
    except BrokenPipeError:
        raise BrokenPipeError from None  # without its errno, by which Typer would take it and exit with 1


class Progress:
    """One line on standard error that is replaced at each step; nothing at all where that is no terminal.

    It is written when something happens, never by a thread of its own: acts are forked from this process.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file or sys.stderr
        self._live = self._file.isatty() and os.environ.get("TERM") != "dumb"

    def show(self, text: str) -> None:
        """Replace the line."""
        if self._live:
            self._write("\r\x1b[2K" + text[: shutil.get_terminal_size().columns - 1])

    def clear(self) -> None:
        """Take the line away, before something else is printed."""
        if self._live:
            self._write("\r\x1b[2K")

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()

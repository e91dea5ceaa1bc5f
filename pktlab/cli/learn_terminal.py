"""The learner's terminal: text wrapped to its columns, Chinese as well, and lines typed in."""

from __future__ import annotations

import contextlib
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len

from pktlab.cli.screen import Screen
from pktlab.transcript import Line, Span, plain

# Wider is hard to read.
_WIDEST = 100
# Chinese may be broken between any two characters, but no line begins with the one or ends with the other.
_NOT_FIRST = frozenset("\uff0c\u3002\u3001\uff1b\uff1a\uff01\uff1f\uff09\u300d\u300b\u201d\u2019\u2026,.;:!?)]}")
_NOT_LAST = frozenset("\uff08\u300c\u300a\u201c\u2018([{")
_PIECES = re.compile(r"\s+|[^\s\u2e80-\uffef]+|[\u2e80-\uffef]")


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns: at spaces, and between Chinese characters."""
    lines, line, gap = [], "", ""
    for piece in _unbroken(text):
        if piece.isspace():
            gap = " "
            continue
        if line and cell_len(line + gap + piece) > width:
            lines.append(line)
            line = piece
        else:
            line += (gap if line else "") + piece
        gap = ""
    return [*lines, line]


def _unbroken(text: str) -> Iterator[str]:
    """Pieces of a text between which a line may be broken."""
    held = ""
    for piece in _PIECES.findall(text):
        if piece.isspace():
            if held:
                yield held
            yield piece
            held = ""
        elif held and piece[0] not in _NOT_FIRST and held[-1] not in _NOT_LAST:
            yield held
            held = piece
        else:
            held += piece
    if held:
        yield held


class Terminal:
    """Where the learner reads and types. With `quiet` nothing is written."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._screen = Screen()
        self._quiet = quiet
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (input() then edits a line, and knows wide characters)

    @property
    def width(self) -> int:
        """Columns to lay text out in."""
        return min(self._screen.width, _WIDEST)

    def lines(self, lines: Iterable[Line]) -> None:
        """Write lines as they are."""
        if not self._quiet:
            self._screen.lines(lines)

    def say(self, text: str = "", role: str = "", *, indent: int = 0, head: str = "") -> None:
        """Write a paragraph, wrapped; one that begins with spaces is written as it is. `head` stands before it."""
        if text.startswith("    "):
            self.lines([Span(line, role)] for line in text.splitlines())
            return
        first = " " * indent + head
        rest = " " * cell_len(first)
        parts = wrap(text, max(20, self.width - cell_len(first)))
        self.lines([Span(rest if number else first, "mark"), Span(part, role)] for number, part in enumerate(parts))

    def commands(self, lines: Iterable[Line]) -> None:
        """Write commands; a long one goes on as a shell reads it."""
        for line in lines:
            text = plain(line)
            indent = " " * (len(text) - len(text.lstrip()))
            room = max(20, self.width - len(indent) - 2)
            *rows, last = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False) or [""]
            self.lines([Span(f"{indent if not n else indent + '  '}{row.strip()} \\")] for n, row in enumerate(rows))
            self.lines([[Span((indent + "  " if rows else indent) + last.strip(), line[0].role if line else "")]])

    def heading(self, text: str) -> None:
        """Write the title of a part."""
        room = max(0, self.width - cell_len(text) - 1)
        self.lines([[], [Span(text, "name"), Span(" " + "-" * room, "mark")]])

    def table(self, rows: Sequence[Sequence[str]], *, indent: int = 2) -> None:
        """Write rows in columns; the last one is wrapped."""
        if not rows:
            return
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [cell + " " * (width - cell_len(cell)) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
            self.say(row[-1], indent=indent, head="  ".join([*cells, ""]))

    def ask(self, prompt: str = "> ") -> str:
        """Return a line that was typed. Raises EOFError at the end of input."""
        sys.stdout.flush()
        return input(prompt)

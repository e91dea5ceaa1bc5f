"""What a lab file says of a setting: the line that declares it, and the comment above that line."""

from __future__ import annotations

import itertools
from pathlib import Path

from pktlab.topology.origin import Origin
from pktlab.topology.settings import Setting


class Remarks:
    """Reads lab files, and tells of each setting what has not been told by the one before it.

    A line is quoted where it first comes up in a section, and the comment above it where it first comes up at all.
    """

    def __init__(self, lab: Path) -> None:
        self._lab = lab.resolve()
        self._files: dict[str, list[str]] = {}
        self._told: set[Origin] = set()
        self._quoted: set[Origin] = set()
        self._last: tuple[Origin, str] | None = None

    def section(self) -> None:
        """Begin a section."""
        self._last = None
        self._quoted.clear()

    def on(self, setting: Setting) -> list[str]:
        """Return the lines to put above a setting; none if it was declared where the one before it was."""
        origin = setting.origin
        if self._last == (origin, setting.scenery):
            return []
        self._last = (origin, setting.scenery)
        lines = self._lines(origin.file)
        why = f"  ({setting.scenery})" if setting.scenery else ""
        if origin in self._quoted or not 0 < origin.line <= len(lines):
            return [f"{self._place(origin)}{why}"]
        above = [] if origin in self._told else _comment(lines[: origin.line - 1])
        self._told.add(origin)
        self._quoted.add(origin)
        return [*above, f"{self._place(origin)}: {lines[origin.line - 1].strip()}{why}"]

    def _lines(self, file: str) -> list[str]:
        if file not in self._files:
            try:
                self._files[file] = Path(file).read_text(encoding="utf-8", errors="replace").split("\n")
            except OSError:
                # Declared at a prompt, or gone since.
                self._files[file] = []
        return self._files[file]

    def _place(self, origin: Origin) -> str:
        return (
            str(origin.line) if Path(origin.file).resolve() == self._lab else f"{Path(origin.file).name}:{origin.line}"
        )


def _comment(before: list[str]) -> list[str]:
    """The block of comment lines that ends here, without their signs."""
    block = itertools.takewhile(lambda line: line.startswith("#"), (line.strip() for line in reversed(before)))
    return [line.lstrip("#").strip() for line in block][::-1]

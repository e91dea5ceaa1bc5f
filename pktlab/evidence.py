"""Where the proof of a verdict is: the capture of an act, and the frames in it that the act asked about.

A capture says itself which these are, in a line of the comment on the whole file, so that the list of claims can be
made from the captures of a folder alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pktlab.errors import LabError

ASKED = "asked about: frames "


@dataclass(frozen=True, slots=True)
class Evidence:
    """A capture file and its frames in words, as in ``1-3, 7``; no frames where only the kernel's tables were asked."""

    capture: str
    frames: str

    def __str__(self) -> str:
        return f"{self.capture} {self.words}"

    @property
    def words(self) -> str:
        """The frames in words."""
        if not self.frames:
            return "no frames: the kernel's tables"
        return f"frame {self.frames}" if self.frames.isdecimal() else f"frames {self.frames}"

    def shortened(self, most: int) -> str:
        """The frames in words, as their first ranges and how many frames they are where there are more ranges than
        `most`, as in ``frames 1-3, 7, … (2918 frames)``.
        """
        found = self.frames.split(", ")
        if len(found) <= most:
            return self.words
        return f"frames {', '.join(found[:most])}, … ({sum(map(_length, found))} frames)"


def _length(found: str) -> int:
    first, _, last = found.partition("-")
    return int(last or first) - int(first) + 1


def ranges(numbers: Sequence[int]) -> str:
    """Return numbers in ascending order as ranges, as in ``1-3, 7``."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def of_act(folder: Path, lab: str, act: str) -> list[Evidence]:
    """Return what the captures of an act below `folder` say; a parametrized act has one for each case."""
    name = act.removeprefix("test_")
    files = [folder / lab / f"{name}.pcapng", *sorted((folder / lab).glob(f"{name}.*.pcapng"))]
    return [Evidence(file.as_posix(), _asked(file)) for file in files if file.is_file()]


def _asked(file: Path) -> str:
    from pktlab.frames import pcapng

    try:
        with file.open("rb") as opened:
            comment = pcapng.read(opened).section_comment
    except (LabError, OSError):
        return ""
    return next((line.removeprefix(ASKED) for line in comment.splitlines() if line.startswith(ASKED)), "")

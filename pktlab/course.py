"""The course: every lab once, in teaching order, by chapters; read from course.toml beside the labs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pktlab import labfile
from pktlab.errors import LabError


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lab in the course, and the labs that it builds on."""

    lab: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """Some labs on one subject."""

    title: str
    lessons: tuple[Lesson, ...]


def load(path: Path | None = None) -> list[Chapter]:
    """Read the course, by default that of the shipped labs. Raises LabError for a file that is none."""
    path = path or labfile.labs_folder() / "course.toml"
    try:
        data = tomllib.loads(path.read_bytes().decode())
        after: dict[str, Any] = data.get("after", {})
        return [
            Chapter(
                str(chapter["title"]),
                tuple(Lesson(lab, tuple(after.get(lab, ()))) for lab in chapter["labs"]),
            )
            for chapter in data["chapter"]
        ]
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}", remedy="the course ships with the labs") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise LabError(f"{path} is no course: {error}", remedy="write [[chapter]] with title and labs") from None

"""The index page of a folder of captures: what each file shows, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pktlab.errors import LabError
from pktlab.frame import Frame
from pktlab.frames import pcapng
from pktlab.frames.path import path_of
from pktlab.frames.words import short_words
from pktlab.markdown import cell

NAME = "index.md"
# Packets told of a capture: enough for an act's story, few enough for a page.
_MOST = 16
_HEAD = """\
# Captures

One pcapng an act, with every interface of every namespace in true order. In Wireshark, `frame.packet_id == 2` shows
the whole way of one packet, and `frame.comment` says where it stops. Written by `pktlab run`; do not edit.
"""


def page(folder: Path) -> str:
    """Return the page for all LAB/ACT.pcapng below a folder; files that are no capture of ours are passed over."""
    lines = [_HEAD]
    for lab in sorted(path for path in folder.iterdir() if path.is_dir()):
        rows = list(_rows(lab))
        if rows:
            lines += [f"## {lab.name}", "", "| act | frames | its packets |", "|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def write(folder: Path) -> None:
    """Write the page into the folder, unless a page of somebody else's has its name. Raises OSError."""
    file = folder / NAME
    if not file.exists() or file.read_text(encoding="utf-8", errors="replace").startswith(_HEAD.splitlines()[0] + "\n"):
        file.write_text(page(folder), encoding="utf-8")


def _rows(lab: Path) -> Iterator[str]:
    for file in sorted(lab.glob("*.pcapng")):
        try:
            with file.open("rb") as opened:
                capture = pcapng.read(opened)
        except (LabError, OSError):
            continue
        title = capture.section_comment.partition("\n")[0].partition(": ")[2] or file.stem
        sightings: dict[int, list[Frame]] = {}
        for frame in capture.frames:
            sightings.setdefault(frame.packet, []).append(frame)
        ways = [(frames[0].data, path_of(frames, capture.interfaces)) for frames in sightings.values()]
        told = [f"{short_words(data)}: {path}" for data, path in ways]
        different = list(dict.fromkeys(map(cell, told)))
        more = [f"and {len(different) - _MOST} more"] if len(different) > _MOST else []
        packets = "<br>".join(different[:_MOST] + more)
        link = f"[{file.stem}]({lab.name}/{file.name})"
        yield f"| {link}<br>{cell(title)} | {len(capture.frames)} | {packets} |"

"""An act told in tcpdump's words: each packet with the interfaces that saw it, each question with its answer.

Pure text: a line is a list of spans, each with a role that says what the text is, so that whoever prints it may
choose colours. The plain text of a line is its spans put together.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pktlab.act import ActRecord, Packet

INDENT = 4
GAP = 2
_STEP = 2
# Less than this beside a path is no room for a packet.
_NARROWEST = 24
_ARROW = " > "
_TIMES = "\N{MULTIPLICATION SIGN}"


class Span(NamedTuple):
    """A piece of a line; `role` is packet, path, question, answer, name, title, file, detail or a status."""

    text: str
    role: str = ""


Line = list[Span]


def plain(line: Line) -> str:
    """Return a line as text."""
    return "".join(span.text for span in line).rstrip()


def act(record: ActRecord, *, detail: str = "", width: int = 80) -> list[Line]:
    """Tell one act: its name and outcome, the packets and questions in the order of events, the verdict.

    `detail` is the text of a failure; lines are at most `width` columns wide where their words allow it.
    """
    lines: list[Line] = [[Span("  "), Span(record.name, "name")]]
    lines += [[Span("  "), Span(text, "title")] for text in textwrap.wrap(record.title, max(width - 2, _NARROWEST))]
    story = _story(record, width)
    if story:
        lines += [[], *story]
    return [*lines, [], *_verdict(record, detail, width)]


def names(record: ActRecord) -> dict[str, str]:
    """Return how each interface of the act is called: without its namespace where that leaves no doubt.

    Either all of them are short or none, since "h1/eth0 > eth1" would say that eth1 is nowhere in particular;
    lo, which every namespace has, is judged by itself.
    """
    known = dict.fromkeys([*record.capture.interfaces, *(name for p in record.packets for name in p.path)])
    count = Counter(name.rpartition("/")[2] for name in known)
    doubtful = any(number > 1 for name, number in count.items() if name != "lo")
    return {name: name if (count["lo"] > 1 if _bare(name) == "lo" else doubtful) else _bare(name) for name in known}


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def _story(record: ActRecord, width: int) -> list[Line]:
    short = names(record)
    packets: list[tuple[str, str]] = []
    told: list[tuple[str, int]] = []
    previous = ""
    repeats: list[int] = []
    story = record.story or [
        *(("packet", index) for index in range(len(record.packets))),
        *(("observation", index) for index in range(len(record.observations))),
    ]
    for kind, index in story:
        if kind == "packet":
            told_packet = (_words(record.packets[index]), _path(record.packets[index], short))
            if previous == "packet" and packets[-1] == told_packet:
                repeats[-1] += 1
                continue
            packets.append(told_packet)
            repeats.append(1)
            index = len(packets) - 1
        told.append((kind, index))
        previous = kind
    counted = zip(packets, repeats, strict=True)
    rows = [(words, f"{path}  {_TIMES}{times}" if times > 1 else path) for (words, path), times in counted]
    column = _column(rows, width)
    lines: list[Line] = []
    for kind, index in told:
        if kind == "packet":
            lines += _packet(*rows[index], column, width)
        else:
            observation = record.observations[index]
            answer = observation.text or str(observation.answer)
            lines += _question(_shorten(observation.question, short), _shorten(answer, short), width)
    return lines


def _words(packet: Packet) -> str:
    """The packet without its length, which no path depends on and which costs the room for the path."""
    return re.sub(r", length \d+(?= / |$)", "", packet.words)


def _path(packet: Packet, short: dict[str, str]) -> str:
    return _ARROW.join(short.get(name, name) for name in packet.path)


def _shorten(text: str, short: dict[str, str]) -> str:
    return re.sub(r"[\w.-]+/[\w.@-]+", lambda match: short.get(match[0], match[0]), text)


def _column(rows: Iterable[tuple[str, str]], width: int) -> int:
    """Where the paths begin: behind the longest packet, or further left if the longest path needs the room."""
    rows = list(rows)
    widest = max((len(_wrap(words, " / ", width - INDENT)[-1]) for words, _ in rows), default=0) + INDENT + GAP
    room = [len(path) for _, path in rows if len(path) <= width - INDENT - _NARROWEST]
    return min(widest, width - max(room, default=0))


def _packet(words: str, path: str, column: int, width: int) -> Iterator[Line]:
    lines = _wrap(words, " / ", width - INDENT)
    for line in lines[:-1]:
        yield [Span(" " * INDENT), Span(line, "packet")]
    last: Line = [Span(" " * INDENT), Span(lines[-1], "packet")]
    if column + len(path) > width:  # too long for its column: on lines of its own
        yield last
        for line in _wrap(path, _ARROW, width - INDENT - 2 * _STEP):
            yield [Span(" " * (INDENT + 2 * _STEP)), Span(line, "path")]
        return
    used = INDENT + len(lines[-1])
    column = max(column, used + GAP) if used + GAP + len(path) <= width else column
    if used + GAP > column:
        yield last
        last, used = [], 0
    yield [*last, Span(" " * (column - used)), Span(path, "path")]


def _question(question: str, answer: str, width: int) -> Iterator[Line]:
    first, *rest = answer.splitlines() or [""]
    head: Line = [Span(" " * INDENT), Span("? ", "mark"), Span(question, "question")]
    if INDENT + len(f"? {question}: {first}") > width:
        yield head
        rest = [first, *rest]
    else:
        yield [*head, Span(": ", "mark"), Span(first, "answer")]
    for line in rest:
        for part in _wrap(line, _ARROW, width - INDENT - _STEP):
            yield [Span(" " * (INDENT + _STEP)), Span(part, "answer")]


def _wrap(text: str, at: str, width: int) -> list[str]:
    """Break a line only where `at` stands in it; what stands there begins the next line."""
    first, *rest = text.split(at)
    lines = [first]
    for part in rest:
        if len(lines[-1]) + len(at + part) > width:
            lines.append(at.lstrip() + part)
        else:
            lines[-1] += at + part
    return lines


def _verdict(record: ActRecord, detail: str, width: int) -> Iterator[Line]:
    line: Line = [Span("  "), Span(record.status, record.status), Span(f"  {record.seconds:.3f} s", "detail")]
    if record.capture.file:
        if len(plain(line)) + GAP + len(record.capture.file) > width:
            yield line
            line = []
        line += [Span("  "), Span(record.capture.file, "file")]
    yield line
    if record.capture.dropped:
        yield [Span(" " * INDENT), Span(f"{record.capture.dropped} frames lost", "inconclusive")]
    # What failed says more than a one-line reason; but where frames were lost, that is what matters.
    told = record.reason if record.status == "inconclusive" else detail or record.reason
    for text in told.splitlines():
        yield [Span(" " * INDENT), Span(text, "detail")] if text.strip() else []

"""An act told in tcpdump's words: each packet with the interfaces that saw it, each question with its answer.

Pure text: a line is a list of spans, each with a role that says what the text is, so that whoever prints it may
choose colours. The plain text of a line is its spans put together.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from pktlab.interface import shortest

if TYPE_CHECKING:
    from pktlab.act import ActRecord, Observation, Packet

INDENT = 4
GAP = 2
_STEP = 2
# Where a path stands that has no room beside its packet.
_BELOW = 8
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
    if events := story(record, width):
        lines += [[], *events]
    return [*lines, [], *_verdict(record, detail, width)]


def names(record: ActRecord) -> dict[str, str]:
    """Return how each interface of the act is called: without its namespace where that leaves no doubt."""
    return shortest([*record.capture.interfaces, *(name for p in record.packets for name in p.path)])


def story(record: ActRecord, width: int = 80) -> list[Line]:
    """Tell the packets and the questions of an act in the order of events, without its name and its verdict."""
    short = names(record)
    packets: list[tuple[str, str]] = []
    told: list[tuple[str, int]] = []
    previous = ""
    repeats: list[int] = []
    events = record.story or [
        *(("packet", index) for index in range(len(record.packets))),
        *(("observation", index) for index in range(len(record.observations))),
    ]
    for kind, index in events:
        if kind == "packet":
            told_packet = (packet_words(record.packets[index]), _path(record.packets[index], short))
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
    for number, (kind, index) in enumerate(told):
        if kind == "packet":
            if number and told[number - 1][0] == "observation":
                lines.append([])  # something new is tried
            lines += _packet(*rows[index], column, width)
        else:
            observation = record.observations[index]
            lines += _question(shorten(observation.question, short), answer_words(observation, short), width)
    if record.untold:
        lines.append([Span(f"    ({record.untold:,} more frames; the capture has them all)", "title")])
    return lines


def packet_words(packet: Packet) -> str:
    """Return a packet's words without TCP's options and its length: no path depends on them, and they cost it room."""
    return re.sub(r", options \[[^\]]*\]|, length \d+(?= / |$)", "", packet.words)


def _path(packet: Packet, short: dict[str, str]) -> str:
    return _ARROW.join(short.get(name, name) for name in packet.path)


def answer_words(observation: Observation, short: dict[str, str]) -> str:
    """Return the answer as it was worded, but a path as everywhere in the act; `short` is what `names` says."""
    answer = observation.answer
    if _ARROW in observation.text and isinstance(answer, list) and answer:
        paths = answer if isinstance(answer[0], list) else [answer]
        if all(
            isinstance(path, list) and all(isinstance(name, str) and name in short for name in path) for path in paths
        ):
            return "; ".join(_ARROW.join(short[name] for name in path) for path in paths)
    return shorten(observation.text or str(answer), short)


def shorten(text: str, short: dict[str, str]) -> str:
    """Return a text with each interface called as everywhere in the act; `short` is what `names` says."""
    return re.sub(r"[\w.-]+/[\w.@-]+", lambda match: short.get(match[0], match[0]), text)


def _column(rows: Iterable[tuple[str, str]], width: int) -> int:
    """Where paths begin: behind the longest packet that has room for its path beside it, and none too far right."""
    beside = [(end, path) for words, path in rows if (end := _end(words, width)) + len(path) <= width]
    widest = max((end for end, _ in beside), default=0)
    return min(widest, width - max((len(path) for _, path in beside), default=0))


def _end(words: str, width: int) -> int:
    """The first column in which the path may begin, on the last line of the packet."""
    return INDENT + len(_wrap(words, " / ", width - INDENT)[-1]) + GAP


def _packet(words: str, path: str, column: int, width: int) -> Iterator[Line]:
    lines = _wrap(words, " / ", width - INDENT)
    for line in lines[:-1]:
        yield [Span(" " * INDENT), Span(line, "packet")]
    last: Line = [Span(" " * INDENT), Span(lines[-1], "packet")]
    end = _end(words, width)
    if end + len(path) <= width:
        yield [*last, Span(" " * (max(column, end) - end + GAP)), Span(path, "path")]
        return
    yield last
    for line in _wrap(path, _ARROW, width - _BELOW):
        yield [Span(" " * _BELOW), Span(line, "path")]


def _question(question: str, answer: str, width: int) -> Iterator[Line]:
    first, *rest = answer.splitlines() or [""]
    asked = _fold(question, width - INDENT - _STEP)
    for number, line in enumerate(asked):
        head: Line = [Span(" " * INDENT), Span("  " if number else "? ", "mark"), Span(line, "question")]
        if number < len(asked) - 1:
            yield head
    if len(plain(head)) + len(f": {first}") <= width:
        yield [*head, Span(": ", "mark"), Span(first, "answer")]
    else:
        yield head
        rest = [first, *rest]
    for line in rest:
        for part in _fold(line, width - INDENT - 2 * _STEP):
            yield [Span(" " * (INDENT + 2 * _STEP)), Span(part, "answer")]


def _fold(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


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
    if record.log:
        yield [Span(" " * INDENT), Span("what its programs wrote: ", "detail"), Span(record.log, "file")]
    if record.capture.dropped:
        yield [Span(" " * INDENT), Span(f"{record.capture.dropped} frames lost", "inconclusive")]
    # What failed says more than a one-line reason; but where frames were lost, that is what matters.
    told = record.reason if record.status == "inconclusive" else detail or record.reason
    for text in told.splitlines():
        yield [Span(" " * INDENT), Span(text, "detail")] if text.strip() else []

"""`pktlab pcap`: captures told as paths again, and compared by their paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pktlab.cli.screen import Screen, write_json
from pktlab.cli.status import FAILED, INCONCLUSIVE, PASSED
from pktlab.errors import LabError
from pktlab.transcript import Line, Span, story

if TYPE_CHECKING:
    from pktlab.frames.retold import Act, Retold
    from pktlab.interface import Interface

app = typer.Typer(
    help="Captures told as paths again (show), and compared by their paths (diff).",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SUFFIXES = (".pcapng", ".pcap")
_SECOND = 10**9

Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
VxlanPorts = Annotated[
    list[int] | None,
    typer.Option(
        "--vxlan", metavar="PORT", help="A UDP port that carries VXLAN, besides 4789 and 8472; may be repeated."
    ),
]


@app.command(
    short_help="Tell a capture as an act is told.",
    epilog="\b\nExample:\n"
    "  pktlab pcap show captures/bridge_swallows_arp_reply/address_on_the_port.pcapng\n"
    "  pktlab pcap show captures/nat_hides_the_source/no_nat.pcapng --hops | less\n"
    "  tcpdump -i eth0 -c 20 -w eth0.pcap && pktlab pcap show eth0.pcap",
)
def show(
    file: Annotated[Path, typer.Argument(help="A pcapng or pcap file.")],
    each_hop: Annotated[
        bool,
        typer.Option("--hops", help="Tell each packet hop by hop, with what was rewritten and Wireshark's filter."),
    ] = False,
    as_json: Json = False,
    vxlan: VxlanPorts = None,
) -> int:
    """Tell a capture as `pktlab run` tells an act: its packets with their ways, its questions with their answers.

    A pcapng file of pktlab also says what was asked, how many frames were lost, and on which interfaces markers
    proved that it heard everything: armed before the act, fenced after it, in seconds since the first frame. Of
    another program's capture the packets are followed anew.
    """
    retold = _read(file, vxlan)
    if as_json:
        write_json(_shown(retold))
    else:
        screen = Screen()
        screen.lines(_lines(retold, screen.width, each_hop=each_hop))
    return PASSED


@app.command(
    short_help="Say which packets went other ways.",
    epilog="\b\nExample:\n"
    "  pktlab run bridge_swallows_arp_reply --captures /tmp/fresh\n"
    "  pktlab pcap diff captures/bridge_swallows_arp_reply /tmp/fresh/bridge_swallows_arp_reply\n\n"
    "\b\nExit status:\n"
    "  0  the same paths\n"
    "  1  other paths, or captures that only one folder has\n"
    "  2  wrong use: a file that is no capture\n"
    "  4  inconclusive: other paths, but frames were lost in one of the captures",
)
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="A capture, or a folder of captures.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    count: Annotated[
        bool, typer.Option("--count", help="Compare as well how many packets of a kind went each way.")
    ] = False,
    common: Annotated[
        bool, typer.Option("--common", help="Of two folders compare only the files that both have.")
    ] = False,
    as_json: Json = False,
    vxlan: VxlanPorts = None,
) -> int:
    """Say which packets went other ways in one capture than in another.

    Compared are paths, not bytes. What a kernel or a program draws anew in each run does not count: times, ports of
    clients, identifiers, sequence numbers, MACs and veth names that nobody declared, how TCP cut its stream, and
    packets that keep their own time (IGMP, MLD, router and duplicate address discovery). In captures of acts, what
    comes after the last question does not count either: it is what sockets send as they are closed.
    """
    pairs, alone = _pairs(a, b)
    results = [_compared(name, one, other, count=count, vxlan=vxlan) for name, one, other in pairs]
    missing = [] if common else [{"name": name, "status": f"only in {where}"} for name, where in alone]
    status = PASSED
    if any(each["status"] == "inconclusive" for each in results):
        status = INCONCLUSIVE
    if missing or any(each["status"] == "different" for each in results):
        status = FAILED
    if as_json:
        write_json({"version": 1, "a": str(a), "b": str(b), "same": status == PASSED, "files": [*results, *missing]})
    else:
        Screen().lines(_told(str(a), str(b), results, missing))
    return status


def _read(file: Path, vxlan: Sequence[int] | None) -> Retold:
    from pktlab.frames import retold
    from pktlab.frames.headers import VXLAN_PORTS

    return retold.read(file, vxlan_ports=VXLAN_PORTS | frozenset(vxlan or ()))


def _pairs(a: Path, b: Path) -> tuple[list[tuple[str, Path, Path]], list[tuple[str, str]]]:
    """Return (name, file, file) of what is in both, and (name, folder) of what is in one."""
    if a.is_dir() != b.is_dir():
        folder, file = (a, b) if a.is_dir() else (b, a)
        raise LabError(f"{folder} is a folder and {file} is none", remedy="compare two files, or two folders")
    if not a.is_dir():
        return [(str(b), a, b)], []
    found = [
        {path.relative_to(top).as_posix() for path in top.rglob("*") if path.suffix in _SUFFIXES} for top in (a, b)
    ]
    for top, names in zip((a, b), found, strict=True):
        if not names:
            raise LabError(f"there is no capture in {top}", remedy="name a folder that `pktlab run --captures` wrote")
    both = [(name, a / name, b / name) for name in sorted(found[0] & found[1])]
    return both, sorted(
        [(name, str(a)) for name in found[0] - found[1]] + [(name, str(b)) for name in found[1] - found[0]]
    )


def _compared(name: str, a: Path, b: Path, *, count: bool, vxlan: Sequence[int] | None) -> dict[str, Any]:
    from pktlab.frames.likeness import differences

    one, other = _read(a, vxlan), _read(b, vxlan)
    found = differences(one, other, count=count)
    lost = {str(path): each.dropped for path, each in ((a, one), (b, other)) if each.dropped}
    status = "same" if not found else "inconclusive" if lost else "different"
    return {"name": name, "status": status, "lost": lost, "differences": [asdict(each) for each in found]}


def _told(a: str, b: str, results: Sequence[dict[str, Any]], missing: Sequence[dict[str, Any]]) -> Iterator[Line]:
    for each in results:
        if each["status"] == "same":
            continue
        yield [Span(each["name"], "name")]
        for path, lost in each["lost"].items():
            yield [Span(f"  {lost} frames lost in {path}", "inconclusive")]
        for found in each["differences"]:
            yield [Span("  "), Span(found["packet"], "packet")]
            for sign, ways in (("-", found["a"]), ("+", found["b"])):
                yield from ([Span(f"    {sign} "), Span(way, "path")] for way in ways)
        yield []
    for each in missing:
        yield [Span(each["name"], "name"), Span(f"  {each['status']}")]
    count = {
        status: sum(each["status"] == status for each in results) for status in ("same", "different", "inconclusive")
    }
    parts = [f"{number} {status}" for status, number in count.items() if number]
    parts += [f"{len(missing)} in one folder only"] if missing else []
    yield [Span(f"- {a}  + {b}: " if count["same"] < len(results) else "", "mark"), Span(", ".join(parts))]


def _lines(retold: Retold, width: int, *, each_hop: bool) -> Iterator[Line]:
    yield [Span(retold.lab or retold.file, "name")]
    yield from ([Span(text, "title")] for text in [retold.title] if text)
    yield []
    yield from _table([_HEADS, *_rows(retold)])
    yield []
    yield from ([Span(f"  {text}", "detail")] for text in _summary(retold))
    if each_hop:
        from pktlab.cli import hops

        yield []
        yield from hops.lines(retold)
        return
    parts: list[Act | None] = [*retold.acts] or [None]
    for act in parts:
        record = retold.record(act)
        if not retold.ours and len(retold.capture.interfaces) == 1:
            for packet in record.packets:
                packet.path = []  # the same in each line
        if act:
            yield []
            yield [Span(f"  {act.name}", "name")]
            yield from ([Span(f"  {act.title}", "title")] for _ in [act.title] if act.title)
        if told := story(record, width):
            yield []
            yield from told


def _summary(retold: Retold) -> Iterator[str]:
    capture = retold.capture
    markers = f", {_number(retold.markers, 'marker')}" if retold.markers else ""
    lost = f"{_number(retold.dropped, 'frame')} lost" if retold.dropped else "none lost" if retold.ours else ""
    yield ", ".join(
        filter(
            None,
            [
                f"{_number(len(capture.frames), 'frame')} of {_number(len(retold.journeys), 'packet')}{markers}",
                lost,
                f"written by {capture.application}" if capture.application else "",
            ],
        )
    )
    if retold.asked:
        yield f"the act asked about frames {retold.asked}"
    without = {str(each): note for each, note in capture.notes.items() if not retold.proof(each)}
    if retold.ours and not capture.notes:
        yield "nothing proves that it is complete: no marker was sent"
    yield from (f"{interface}: {note}" for interface, note in without.items())


_HEADS = ("INTERFACE", "KIND", "MAC", "FRAMES", "IN", "OUT", "LOST", "ARMED", "FENCED")


def _rows(retold: Retold) -> Iterator[tuple[str, ...]]:
    from pktlab.frames.retold import directions

    frames = retold.capture.frames
    began = frames[0].time if frames else 0
    counts = directions(retold)
    # A file that knows no direction has all frames as received.
    directed = retold.ours or any(sent for _received, sent in counts.values())
    for interface, (received, sent) in counts.items():
        seen = ("", str(received), str(sent)) if directed else (str(received), "", "")
        proof = retold.proof(interface)
        ends = (f"{(proof[word] - began) / _SECOND:+.6f}" if word in proof else "" for word in ("armed", "fenced"))
        lost = retold.capture.dropped.get(interface)
        yield str(interface), interface.kind, interface.mac, *seen, "" if lost is None else str(lost), *ends


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[Line]:
    """Without columns that are empty; numbers to the right."""
    kept = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    widths = [max(len(row[column]) for row in rows) for column in kept]
    for number, row in enumerate(rows):
        cells = [
            row[column].rjust(width) if column > _HEADS.index("MAC") else row[column].ljust(width)
            for column, width in zip(kept, widths, strict=True)
        ]
        yield [Span("  " + "  ".join(cells), "" if number else "mark")]


def _shown(retold: Retold) -> dict[str, Any]:
    from pktlab.frames.retold import directions

    capture, record = retold.capture, retold.record()
    return {
        "version": 1,
        "file": retold.file,
        "lab": retold.lab,
        "title": retold.title,
        "application": capture.application,
        "ours": retold.ours,
        "frames": len(capture.frames),
        "markers": retold.markers,
        "untold": retold.untold,
        "lost": retold.dropped,
        "asked_about": retold.asked,
        "names": capture.names,
        "interfaces": [
            _interface(retold, interface, received, sent) for interface, (received, sent) in directions(retold).items()
        ],
        "packets": [asdict(packet) for packet in record.packets],
        "questions": [asdict(question) for question in retold.questions],
        "acts": [asdict(act) for act in retold.acts],
        "story": record.story,
    }


def _interface(retold: Retold, interface: Interface, received: int, sent: int) -> dict[str, Any]:
    return {
        "name": str(interface),
        "kind": interface.kind,
        "mac": interface.mac,
        "in": received,
        "out": sent,
        "lost": retold.capture.dropped.get(interface),
        "note": retold.capture.notes.get(interface, ""),
        **retold.proof(interface),
    }


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

"""`pktlab capture`: one stream of what all namespaces carry, while it happens."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import labfile
from pktlab.cli.arguments import complete_lab
from pktlab.cli.status import INCONCLUSIVE, INTERRUPTED, PASSED, worst
from pktlab.errors import LabError, PktlabError

if TYPE_CHECKING:
    from pktlab.cli.livestream import Choice, Outcome
    from pktlab.cli.outlet import Outlet
    from pktlab.cli.player import Act
    from pktlab.frames.live import Begun

_PCAPNG = b"\x0a\x0d\x0d\x0a"


def capture(
    source: Annotated[
        str,
        typer.Argument(
            metavar="LAB|FILE", help="A lab, a network that is up, or a pcapng file.", autocompletion=complete_lab
        ),
    ],
    keyword: Annotated[
        str, typer.Option("-k", metavar="EXPR", help="Run only acts whose names match, as in pytest.")
    ] = "",
    interfaces: Annotated[
        list[str] | None,
        typer.Option("-i", metavar="NS/IFACE", help="Only this interface; may be repeated. IFACE is that of any."),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option("-f", metavar="PATTERN", help="Only frames that match, as in 'ARP(op=\"who-has\")'.")
    ] = None,
    write: Annotated[
        str, typer.Option("-w", metavar="FILE|-", help="Write pcapng to a file, or to standard output.")
    ] = "",
    duration: Annotated[float | None, typer.Option(metavar="SECONDS", min=0.0, help="End after this time.")] = None,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many frames.")] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Where a packet stops, name Wireshark's filter for its whole way.")
    ] = False,
) -> int:
    """Run a lab's acts and stream what every interface of every namespace carries, each frame as it comes.

    With -w a pcapng stream, which Wireshark reads along; without, a line for each frame. A network that is up
    (`pktlab up`) is watched until Ctrl-C, and no act is run, unless -k asks for acts. A FILE is one that pktlab wrote,
    and is filtered. Ctrl-C ends it with a whole file.
    """
    from pktlab.cli.livestream import Choice

    if write == "-" and sys.stdout.isatty():
        raise PktlabError(
            "pcapng is nothing for a terminal", remedy="pipe it: pktlab capture LAB -w - | wireshark -k -i -"
        )
    choice = Choice(list(interfaces or ()))
    if pattern is not None:
        from pktlab.frames import expression

        choice.pattern = expression.pattern(pattern)
    if _is_file(source):
        _filter(Path(source), _outlet(write, verbose=verbose), choice, count)
        choice.check()
        return PASSED
    from pktlab.cli import livestream, player, watching

    standing = None if keyword else watching.standing(source)
    work = player.acts(labfile.find([source]), keyword) if standing is None else watching.work(standing)
    with player.Player(work) as playing:
        outlet = _outlet(write, verbose=verbose)
        outcome = livestream.Streaming(
            playing, outlet, choice, tell=partial(_tell, choice), duration=duration, count=count
        ).run()
    _say(outcome)
    choice.check()
    if standing is not None:
        return INCONCLUSIVE if outcome.lost else PASSED
    if outcome.interrupted:
        return INTERRUPTED
    if not outcome.statuses and duration is None and count is None:
        raise PktlabError(
            f"no act matches -k {keyword!r}" if keyword else "no act was run", remedy="`pktlab show LAB` names them"
        )
    return worst(outcome.statuses)


def _is_file(source: str) -> bool:
    try:
        with open(source, "rb") as file:
            return file.read(4) == _PCAPNG or source.endswith((".pcapng", ".pcap"))
    except OSError as error:
        if source.endswith((".pcapng", ".pcap")):
            raise LabError(f"cannot read {source}: {error.strerror}", remedy="check the path") from None
        return False


def _outlet(write: str, *, verbose: bool) -> Outlet:
    from pktlab.cli import outlet
    from pktlab.cli.screen import Screen

    if write == "-":
        return outlet.Stream(sys.stdout.fileno(), "standard output")
    if write:
        return outlet.Stream(outlet.file(Path(write)), write)
    return outlet.Lines(Screen(), verbose=verbose)


def _filter(path: Path, outlet: Outlet, choice: Choice, count: int | None) -> None:
    """Write those frames of a file that are wanted, with all that is said of them."""
    from pktlab.frames import pcapng
    from pktlab.frames.live import Begun

    with path.open("rb") as file:
        found = pcapng.read(file)
    wanted = choice.of(found.interfaces)
    outlet.begin(Begun(path.stem, interfaces=found.interfaces, names=found.names), wanted)
    left = count
    for frame in found.frames:
        if left == 0:
            break
        if choice.has(frame):
            outlet.frame(frame, found.comments.get(frame.number, ()))
            left = None if left is None else left - 1
    outlet.finish({each: found.dropped.get(each, 0) for each in wanted}, found.notes)


def _tell(choice: Choice, act: Act | Begun) -> None:
    from pktlab.frames.live import Begun

    if isinstance(act, Begun):
        if act.act and not choice.warned:
            for name in choice.unknown():
                print(f"pktlab: no declared interface is called {name!r}; a program may make it", file=sys.stderr)  # noqa: T201
            choice.warned = True
        if not act.act:  # of one that is up, nothing else says that its frames are being heard from now on
            choice.check()
            print(f"capturing on {len(act.interfaces)} interfaces of {act.lab}", file=sys.stderr)  # noqa: T201
        return
    told = f"{act.lab}: {act.name}: {act.status}, {act.seconds:.2f} s"
    print(f"{told}: {act.reason}" if act.reason and act.status != "passed" else told, file=sys.stderr)  # noqa: T201


def _say(outcome: Outcome) -> None:
    words = f"{outcome.frames} frames, {len(outcome.packets)} packets"
    if outcome.packets:
        first = min(outcome.packets)
        words += f"; in Wireshark, frame.packet_id == {first} shows the whole way of packet {first}"
    if outcome.lost:
        words += f"; {sum(outcome.lost.values())} frames lost"
    print(words, file=sys.stderr)  # noqa: T201

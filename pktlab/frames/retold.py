"""A capture file told again: packets with their ways, questions with their answers, what is known of its completeness.

A file of ours says which frames are sightings of one packet, and holds the questions as comments. Of another
program's capture the packets are followed anew; what it does not say, such as directions, they are followed without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pktlab.act import ActRecord, Captured, Observation
from pktlab.errors import LabError
from pktlab.evidence import ASKED
from pktlab.frame import IN, OUT, Frame
from pktlab.frames import pcapng, telling
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import Journey, follow
from pktlab.interface import Interface

# What `annotate` writes on every frame; all other comments are questions.
_HOP = re.compile(r"hop \d+ of \d+(, stops here)?$")
# A question may quote bytes, in which a colon means nothing.
_ASKED = re.compile(r"((?:b?'(?:[^'\\]|\\.)*'|(?!: ).)+): (.*)", re.DOTALL)
# What `pktlab capture` writes on the first frame of an act: its name and its title.
_ACT = re.compile(r"(test_\w+(?:\[[^\]]*\])?)(?:: (.*))?", re.DOTALL)
_ARMED = re.compile(r"(armed|fenced) at (\d+)\.(\d{9})")
_MARKER = bytes(6) + b"\x88\xb5"  # from no one, by the ethertype for experiments: of `pktlab run --markers`
_CAPTURES = "give a pcapng or pcap file, as pktlab, tcpdump and Wireshark write them"
_PCAPNG, _GZIP = b"\x0a\x0d\x0d\x0a", b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked when so many frames had been seen; `answer` is its text, `frame` where it stands in the file."""

    frame: int
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Act:
    """An act in a stream of several: the frame that it begins with, its name and its title."""

    frame: int
    name: str
    title: str


@dataclass(slots=True)
class Retold:
    """What a capture file says. `ours` tells whether pktlab wrote it, `numbered` whether it has the packets' numbers
    (epb_packetid); `markers` counts those left out of `journeys`, `untold` the frames of which the file does not say
    to which packet they belong."""

    file: str
    capture: pcapng.Capture
    journeys: list[Journey]
    ours: bool = True
    numbered: bool = False
    questions: list[Question] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    markers: int = 0
    untold: int = 0
    vxlan_ports: frozenset[int] = VXLAN_PORTS

    @property
    def lab(self) -> str:
        """The name of the lab; empty where the file does not say."""
        return self._head[0] if self.ours else ""

    @property
    def title(self) -> str:
        """The first line of what the file says of itself, without the lab's name."""
        return self._head[2] if self.ours else self.capture.section_comment.partition("\n")[0]

    @property
    def _head(self) -> tuple[str, str, str]:
        return self.capture.section_comment.partition("\n")[0].partition(": ")

    @property
    def asked(self) -> str:
        """The numbers of the frames that the act asked about, as in ``1-3, 7``."""
        lines = self.capture.section_comment.splitlines()
        return next((line.removeprefix(ASKED) for line in lines if line.startswith(ASKED)), "")

    @property
    def dropped(self) -> int:
        """How many frames the capture lost."""
        return sum(self.capture.dropped.values())

    def proof(self, interface: Interface) -> dict[str, int]:
        """Return when an interface was proved to be ``armed`` and ``fenced``, in nanoseconds since the epoch."""
        note = self.capture.notes.get(interface, "") if self.ours else ""
        return {word: int(seconds) * 10**9 + int(rest) for word, seconds, rest in _ARMED.findall(note)}

    def record(self, act: Act | None = None) -> ActRecord:
        """Return it, or one act of several in it, as the record of an act, of which the transcript is made."""
        frames = self.capture.frames
        first = act.frame if act else 0
        after = next((each.frame for each in self.acts if act and each.frame > first), len(frames) + 1)
        journeys = [each for each in self.journeys if first <= each.frames[0].number < after]
        questions = [each for each in self.questions if first <= each.frame < after]
        return ActRecord(
            lab=self.lab,
            name=act.name if act else Path(self.file).stem,
            title=act.title if act else self.title,
            capture=Captured(self.file, len(frames), self.dropped, [str(each) for each in self.capture.interfaces]),
            observations=[Observation(each.question, each.answer, each.answer) for each in questions],
            packets=telling.packets(journeys, frames[0].time if frames else 0, vxlan_ports=self.vxlan_ports),
            story=telling.story(journeys, [each.frame for each in questions]),
            untold=0 if act else self.untold,
        )


def read(path: Path | str, *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> Retold:
    """Read a pcapng or pcap file of Ethernet frames, of ours or of another program.

    Raises LabError for a file that cannot be read, is neither, or is cut off.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as opened:
            magic = opened.read(4)
            opened.seek(0)
            capture = pcapng.read(opened) if magic == _PCAPNG else None
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}", remedy="check the path and its permissions") from None
    except LabError as error:
        raise _with_remedy(error) from None
    if not magic:
        raise LabError(f"{path} is empty", remedy=_CAPTURES)
    if magic[:2] == _GZIP:
        raise LabError(f"{path} is compressed", remedy=f"gunzip -k {path}")
    return _retold(name, capture or _classic(name), vxlan_ports)


def _with_remedy(error: LabError) -> LabError:
    """Say what to do about a file that is no capture, is cut off, or is not of Ethernet."""
    remedy = "editcap (of Wireshark) copies what is whole: editcap FILE whole.pcapng"
    if "link type" in error.message:
        remedy = "capture on an interface that has Ethernet frames: tcpdump -i eth0 rather than -i any"
    elif "no pcapng" in error.message:
        remedy = _CAPTURES
    return LabError(error.message, remedy=remedy)


def _classic(path: str) -> pcapng.Capture:
    """A classic pcap: it knows neither interfaces nor directions."""
    try:
        packets = pcapng.read_packets(path)
    except LabError as error:
        raise _with_remedy(error) from None
    here = Interface("", "if0")
    frames = [Frame(number, time, here, IN, data) for number, (time, data) in enumerate(packets, 1)]
    return pcapng.Capture(interfaces=[here], frames=frames)


def _retold(file: str, capture: pcapng.Capture, vxlan_ports: frozenset[int]) -> Retold:
    ours = capture.application.startswith("pktlab")
    told = Retold(file, capture, [], ours, vxlan_ports=vxlan_ports)
    found = [frame for frame in capture.frames if not (ours and _is_marker(frame))]
    told.markers = len(capture.frames) - len(found)
    if ours and any(frame.packet for frame in found):
        told.numbered = True
        packets: dict[int, Journey] = {}
        for frame in found:
            if frame.packet:
                packets.setdefault(frame.packet, Journey(frame.packet)).frames.append(frame)
            else:
                told.untold += 1
        told.journeys = list(packets.values())
    else:
        told.journeys = follow(found, vxlan_ports=vxlan_ports)
    for number, texts in sorted(capture.comments.items()):
        for text in texts:
            if not ours:
                told.questions.append(Question(number, f"comment on frame {number}", text))
            elif match := _ACT.fullmatch(text):
                told.acts.append(Act(number, match[1], match[2] or ""))
            elif not _HOP.search(text):
                match = _ASKED.fullmatch(text)
                told.questions.append(Question(number, *match.groups()) if match else Question(number, text, ""))
    return told


def _is_marker(frame: Frame) -> bool:
    return not frame.packet and frame.data[6:14] == _MARKER


def directions(retold: Retold) -> dict[Interface, tuple[int, int]]:
    """Return how many frames each interface of a capture received and sent."""
    count = {interface: [0, 0] for interface in retold.capture.interfaces}
    for frame in retold.capture.frames:
        count[frame.interface][frame.direction == OUT] += 1
    return {interface: (received, sent) for interface, (received, sent) in count.items()}

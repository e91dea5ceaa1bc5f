"""What is known of an act after it ran: its verdict, its capture, its questions and their answers.

One record feeds the transcript, the JSON of `pktlab run`, the comments in the pcapng and the list of claims.
It travels from the sandboxed child to pytest, and from an xdist worker to its controller, as plain JSON data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["passed", "failed", "skipped", "inconclusive"]

# The key under which a record travels in pytest's TestReport.user_properties.
PROPERTY = "pktlab_act"


@dataclass(slots=True)
class Observation:
    """A question that an act asked of the network or of a capture, with the answer it got.

    `answer` is JSON data: a path is a list of ``"namespace/interface"``, a ping an object, a count a number.
    `text` is the same answer as one line for people, `frames` are the numbers of the frames that it is about.
    """

    question: str
    answer: Any
    text: str = ""
    frames: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Packet:
    """One packet of the transcript: what tcpdump would call it, and the interfaces that saw it in order.

    `time` is in seconds since the first frame of the act, `frames` are frame numbers in the pcapng.
    """

    number: int
    time: float
    words: str
    path: list[str]
    frames: list[int]


@dataclass(slots=True)
class Captured:
    """What was captured in an act: file (empty if none was written), frames, and frames lost.

    `proof` is what was proved of its completeness: `pktlab.network.completeness`.
    """

    file: str = ""
    frames: int = 0
    dropped: int = 0
    interfaces: list[str] = field(default_factory=list)
    proof: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class ActRecord:
    """One act after it ran. `status` is empty until pytest has the outcome; times are in seconds."""

    lab: str
    name: str
    title: str = ""
    status: str = ""
    seconds: float = 0.0
    bring_up: float = 0.0
    reason: str = ""
    capture: Captured = field(default_factory=Captured)
    observations: list[Observation] = field(default_factory=list)
    claims: list[dict[str, str]] = field(default_factory=list)
    packets: list[Packet] = field(default_factory=list)
    # The transcript in the order of events: ("packet", index into packets) or ("observation", index).
    story: list[tuple[str, int]] = field(default_factory=list)
    # Frames of packets that are not told: a flood has too many.
    untold: int = 0
    # The file with what the programs of an act that failed had written; empty if there is none.
    log: str = ""

    @property
    def evidence(self) -> list[int]:
        """The numbers of the frames that the act asked about."""
        return sorted({number for observation in self.observations for number in observation.frames})

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON data that `from_json` takes back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ActRecord:
        """Rebuild a record from the data that `as_json` made."""
        fields = dict(data)
        fields["capture"] = Captured(**fields["capture"])
        fields["observations"] = [Observation(**o) for o in fields["observations"]]
        fields["packets"] = [Packet(**p) for p in fields["packets"]]
        fields["story"] = [(kind, index) for kind, index in fields["story"]]
        return cls(**fields)

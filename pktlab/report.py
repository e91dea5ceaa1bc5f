"""The result of a run as data: what `pktlab run --json` writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from pktlab.act import ActRecord

VERSION = 1


@dataclass(slots=True)
class LabResult:
    """A lab after it ran; `fault` says why it could not be run as far as its acts."""

    name: str
    title: str = ""
    acts: list[ActRecord] = field(default_factory=list)
    fault: str = ""

    @property
    def status(self) -> str:
        """The worst that an act came to; skipped only where nothing else happened."""
        found = {act.status for act in self.acts}
        if self.fault or "failed" in found:
            return "failed"
        if "inconclusive" in found:
            return "inconclusive"
        return "passed" if "passed" in found else "skipped"

    @property
    def seconds(self) -> float:
        """The time of all acts together, in seconds."""
        return sum((act.seconds for act in self.acts), 0.0)


def as_json(labs: Iterable[LabResult]) -> dict[str, Any]:
    """Return the results as JSON data, in the shape that version 1 fixes."""
    return {
        "version": VERSION,
        "labs": [
            {
                "name": lab.name,
                "title": lab.title,
                "status": lab.status,
                "seconds": round(lab.seconds, 6),
                "acts": [_act(act) for act in lab.acts],
            }
            for lab in labs
        ],
    }


def _act(act: ActRecord) -> dict[str, Any]:
    return {
        "name": act.name,
        "title": act.title,
        "status": act.status,
        "seconds": round(act.seconds, 6),
        "reason": act.reason,
        "capture": asdict(act.capture),
        "log": act.log,
        "observations": [{"question": o.question, "answer": o.answer} for o in act.observations],
        "claims": [{"id": claim["id"], "verdict": claim["verdict"]} for claim in act.claims],
    }

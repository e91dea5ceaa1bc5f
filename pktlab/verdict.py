"""What became of each claim: proved right or wrong by a packet just now, undecidable, or open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pktlab.act import ActRecord
from pktlab.claims import Citation, Claim
from pktlab.evidence import Evidence, of_act, ranges
from pktlab.report import LabResult

VERSION = 1
UNDECIDABLE, OPEN = "undecidable", "open"
# The order in which a summary counts them.
VERDICTS = ("confirmed", "refuted", "depends", UNDECIDABLE, OPEN)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim with its verdict, the act that gave it and where to see it, and why there is none."""

    claim: Claim
    verdict: str = OPEN
    on: str = ""
    lab: str = ""
    act: str = ""
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def really(self) -> str:
        """What really happens, where the claim is not simply right."""
        return self.claim.really if self.verdict in ("refuted", "depends") else ""

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON data."""
        return {
            "id": self.claim.id,
            "topic": self.claim.topic,
            "statement": self.claim.statement,
            "documents": list(self.claim.documents),
            "verdict": self.verdict,
            "on": self.on,
            "really": self.really,
            "lab": self.lab,
            "act": self.act,
            "evidence": [asdict(each) for each in self.evidence],
            "reason": self.reason,
        }


def as_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return the verdicts as JSON data."""
    return {"version": VERSION, "claims": [verdict.as_json() for verdict in verdicts]}


def declared(claims: Iterable[Claim], cited: Iterable[Citation], captures: Path | None = None) -> list[Verdict]:
    """Return what the labs say of each claim, whether or not it holds here, with the evidence in a folder of captures
    of an earlier run.
    """
    by_id = _by_id(cited)
    return [
        _best([_said(claim, each, _earlier(captures, each)) for each in by_id.get(claim.id, [])], claim)
        for claim in claims
    ]


def proved(claims: Iterable[Claim], cited: Iterable[Citation], labs: Iterable[LabResult]) -> list[Verdict]:
    """Return what the acts that passed say of each claim; a claim of an act that did not pass is open, or undecidable
    where this machine lacks what the act needs.
    """
    results = {lab.name: lab for lab in labs}
    by_id = _by_id(cited)
    return [
        _best([_judge(claim, citation, results.get(citation.lab)) for citation in by_id.get(claim.id, [])], claim)
        for claim in claims
    ]


def _by_id(cited: Iterable[Citation]) -> dict[str, list[Citation]]:
    found: dict[str, list[Citation]] = {}
    for citation in cited:
        found.setdefault(citation.id, []).append(citation)
    return found


def _best(candidates: list[Verdict], claim: Claim) -> Verdict:
    """The first that decides; one that hangs on a setting says more than one that holds in a single setting."""
    order = ("depends", "confirmed", "refuted", UNDECIDABLE, OPEN)
    if claim.undecidable:
        return Verdict(claim, UNDECIDABLE, reason=claim.undecidable)
    return min(candidates, key=lambda verdict: order.index(verdict.verdict), default=Verdict(claim))


def _said(claim: Claim, citation: Citation, evidence: tuple[Evidence, ...]) -> Verdict:
    return Verdict(claim, citation.verdict, citation.on, citation.lab, citation.act, evidence=evidence)


def _earlier(captures: Path | None, citation: Citation) -> tuple[Evidence, ...]:
    return tuple(of_act(captures, citation.lab, citation.act)) if captures else ()


def _judge(claim: Claim, citation: Citation, lab: LabResult | None) -> Verdict:
    acts = [act for act in lab.acts if _is(act, citation.act)] if lab else []
    verdict, reason = OPEN, "" if acts else (lab.fault if lab else "") or "the act did not run"
    for act in acts:
        if act.status == "skipped" and not act.reason.startswith("expected to fail"):
            verdict, reason = UNDECIDABLE, f"not on this machine: {act.reason}"
        elif act.status != "passed":
            verdict, reason = OPEN, f"{act.status}: {act.reason}" if act.reason else act.status
            break
    if reason:
        return Verdict(claim, verdict, "", citation.lab, citation.act, reason)
    return _said(claim, citation, tuple(_evidence(act) for act in acts))


def _evidence(act: ActRecord) -> Evidence:
    return Evidence(act.capture.file, ranges(act.evidence))


def _is(act: ActRecord, name: str) -> bool:
    """A parametrized act is one act for a claim: the claim holds where every case of it passed."""
    return act.name == name or act.name.startswith(f"{name}[")

"""What became of each claim: proved right or wrong by a packet just now, or open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pktlab.act import ActRecord
from pktlab.claims import Citation, Claim
from pktlab.report import LabResult

VERSION = 1
OPEN = "open"
# The order in which a summary counts them.
VERDICTS = ("confirmed", "refuted", "depends", OPEN)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claim with its verdict, the act that gave it, and why it is open where it is."""

    claim: Claim
    verdict: str = OPEN
    on: str = ""
    lab: str = ""
    act: str = ""
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as JSON data."""
        return {
            "id": self.claim.id,
            "topic": self.claim.topic,
            "statement": self.claim.statement,
            "documents": list(self.claim.documents),
            "verdict": self.verdict,
            "on": self.on,
            "lab": self.lab,
            "act": self.act,
            "reason": self.reason,
        }


def as_json(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return the verdicts as JSON data."""
    return {"version": VERSION, "claims": [verdict.as_json() for verdict in verdicts]}


def declared(claims: Iterable[Claim], cited: Iterable[Citation]) -> list[Verdict]:
    """Return what the labs say of each claim, whether or not it holds here."""
    by_id = _by_id(cited)
    return [_best([_said(claim, citation) for citation in by_id.get(claim.id, [])], claim) for claim in claims]


def proved(claims: Iterable[Claim], cited: Iterable[Citation], labs: Iterable[LabResult]) -> list[Verdict]:
    """Return what the acts that passed say of each claim; a claim of an act that did not pass is open."""
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
    order = ("depends", "confirmed", "refuted", OPEN)
    return min(candidates, key=lambda verdict: order.index(verdict.verdict), default=Verdict(claim))


def _said(claim: Claim, citation: Citation) -> Verdict:
    return Verdict(claim, citation.verdict, citation.on, citation.lab, citation.act)


def _judge(claim: Claim, citation: Citation, lab: LabResult | None) -> Verdict:
    acts = [act for act in lab.acts if _is(act, citation.act)] if lab else []
    reason = "" if acts else (lab.fault if lab else "") or "the act did not run"
    for act in acts:
        if act.status != "passed":
            reason = f"{act.status}: {act.reason}" if act.reason else act.status
            break
    if reason:
        return Verdict(claim, OPEN, "", citation.lab, citation.act, reason)
    return _said(claim, citation)


def _is(act: ActRecord, name: str) -> bool:
    """A parametrized act is one act for a claim: the claim holds where every case of it passed."""
    return act.name == name or act.name.startswith(f"{name}[")

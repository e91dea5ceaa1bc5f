"""What the documents claim, and what an act says about it.

``labs/claims.toml`` holds the claims; the decorators below go on an act and say what it proves when it passes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pktlab import labfile
from pktlab.errors import LabError
from pktlab.topology.origin import origin

ATTRIBUTE = "__pktlab_claims__"
_KEYS = ("id", "topic", "documents", "statement")
_OPTIONAL = ("really", "undecidable")

Act = TypeVar("Act", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence of the source documents in our own words, and where it stands in them.

    `really` says what happens instead, of a claim that is wrong; `undecidable` why no packet can decide it, of one
    that has no act.
    """

    id: str
    topic: str
    statement: str
    documents: tuple[str, ...]
    really: str = ""
    undecidable: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """What one act says of one claim; `on` names the setting that a "depends" hangs on."""

    id: str
    verdict: str
    lab: str
    act: str
    on: str = ""


def confirms(*ids: str) -> Callable[[Act], Act]:
    """Mark an act that proves these claims right by passing. Raises LabError when used wrongly."""
    return _mark("confirms", "confirmed", ids)


def refutes(*ids: str) -> Callable[[Act], Act]:
    """Mark an act that proves these claims wrong by passing. Raises LabError when used wrongly."""
    return _mark("refutes", "refuted", ids)


def depends(*ids: str, on: str = "") -> Callable[[Act], Act]:
    """Mark an act that shows on which setting (`on`) these claims hang. Raises LabError when used wrongly."""
    if not isinstance(on, str) or not on.strip():
        raise _fault("@depends does not say on what", '@depends("claim-id", on="rp_filter of veth0")')
    return _mark("depends", "depends", ids, on=on.strip())


def _mark(name: str, verdict: str, ids: tuple[Any, ...], *, on: str = "") -> Callable[[Act], Act]:
    example = f'@{name}("claim-id")' if not on else f'@{name}("claim-id", on={on!r})'
    if len(ids) == 1 and callable(ids[0]):
        raise _fault(f"@{name} without parentheses", f"name the claims: {example}")
    if not ids:
        raise _fault(f"@{name} names no claim", f"name the claims: {example}")
    for identifier in ids:
        if not isinstance(identifier, str) or not identifier.strip():
            raise _fault(f"@{name} with {identifier!r}, which is not the id of a claim", f"name the claims: {example}")
    claims = [{"id": identifier, "verdict": verdict} | ({"on": on} if on else {}) for identifier in ids]

    def decorate(act: Act) -> Act:
        # The lower of two stacked decorators runs first; the list follows the order on the page.
        setattr(act, ATTRIBUTE, claims + getattr(act, ATTRIBUTE, []))
        return act

    return decorate


def _fault(message: str, remedy: str) -> LabError:
    where = origin()
    return LabError(f"{where.file}:{where.line}: {message}", remedy=remedy)


def load(path: Path | None = None) -> list[Claim]:
    """Read the claims, by default those that ship with the labs.

    Raises LabError for a file that cannot be read or is not TOML, a missing key, or an id that comes twice.
    """
    path = path or labfile.labs_folder() / "claims.toml"
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}", remedy="the claims ship with the labs") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LabError(f"{path} is not TOML: {error}", remedy="see https://toml.io") from None
    entries = data.get("claim", [])
    if not isinstance(entries, list) or set(data) - {"claim"}:
        raise LabError(f"{path} holds something else than [[claim]] entries", remedy="write [[claim]] over each entry")
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(entries, 1):
        claim = _claim(entry, f"{path}: claim {number}")
        if claim.id in claims:
            raise LabError(
                f"{path}: claim {number}: id {claim.id!r} is there already", remedy="give it an id of its own"
            )
        claims[claim.id] = claim
    return list(claims.values())


def _claim(entry: Any, where: str) -> Claim:
    if not isinstance(entry, dict):
        raise LabError(f"{where} is not a table", remedy="write [[claim]] over each entry")
    for key in _KEYS:
        value = entry.get(key)
        items = value if key == "documents" and isinstance(value, list) else [value]
        if not items or not all(isinstance(item, str) and item.strip() for item in items):
            kind = "a list of strings" if key == "documents" else "a string"
            raise LabError(f"{where} has no {key}", remedy=f"each claim needs {', '.join(_KEYS)}; {key} is {kind}")
    for key in _OPTIONAL:
        text = entry.get(key, "-")
        if not isinstance(text, str) or not text.strip() or len(text.splitlines()) != 1:
            raise LabError(f"{where}: {key} is not one line of text", remedy="write a sentence, or leave the key out")
    if unknown := sorted(set(entry) - {*_KEYS, *_OPTIONAL}):
        raise LabError(
            f"{where} has an unknown key {unknown[0]!r}", remedy=f"the keys are {', '.join(_KEYS + _OPTIONAL)}"
        )
    documents = entry["documents"]
    return Claim(
        id=entry["id"],
        topic=entry["topic"],
        statement=entry["statement"],
        documents=(documents,) if isinstance(documents, str) else tuple(documents),
        really=entry.get("really", ""),
        undecidable=entry.get("undecidable", ""),
    )


def citations(labs: Iterable[labfile.LabFile]) -> list[Citation]:
    """Return what the labs cite, in the order of labs and acts."""
    return [
        Citation(claim["id"], claim["verdict"], lab.name, act.name, claim.get("on", ""))
        for lab in labs
        for act in lab.acts
        for claim in act.claims
    ]


def check(claims: Iterable[Claim], cited: Iterable[Citation]) -> None:
    """Raise LabError where an act cites a claim that nobody makes or that is said to be undecidable, one act confirms
    what another refutes, or nobody says what really happens where a claim is refuted.
    """
    known = {claim.id: claim for claim in claims}
    decided: dict[str, Citation] = {}
    depending: set[str] = set()
    for citation in cited:
        where = f"{citation.lab}: {citation.act}"
        if citation.id not in known:
            raise LabError(
                f"{where} cites {citation.id!r}, which claims.toml does not have",
                remedy="`pktlab claims` lists every id; correct the one in the lab, or add the claim",
            )
        if known[citation.id].undecidable:
            raise LabError(
                f"{where} decides {citation.id!r}, which claims.toml calls undecidable",
                remedy="take `undecidable` out of claims.toml, or the citation out of the lab",
            )
        if citation.verdict == "depends":
            depending.add(citation.id)
            continue
        other = decided.setdefault(citation.id, citation)
        if other.verdict != citation.verdict:
            raise LabError(
                f"{citation.id!r} is {other.verdict} by {other.lab}: {other.act}, but {citation.verdict} by {where}",
                remedy='where the outcome hangs on a setting, both acts say @depends(..., on="...")',
            )
    for identifier, citation in decided.items():
        if citation.verdict == "refuted" and identifier not in depending and not known[identifier].really:
            raise LabError(
                f"{identifier!r} is refuted by {citation.lab}: {citation.act}, but nobody says what really happens",
                remedy='add `really = "<one sentence>"` to the claim in claims.toml',
            )

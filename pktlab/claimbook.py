"""The claims as a page of Markdown: what the documents state, topic by topic, and what the packets say to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pktlab.markdown import cell
from pktlab.verdict import VERDICTS, Verdict

PAGE = Path("docs/claims.md")
# Of an act that asks about thousands of frames the cell of a table names so many ranges, which fill a few lines.
_RANGES = 12
_HEAD = """\
# Claims

What the documents state about Linux and Kubernetes networking, in our words, and what packets say to it. An act that
passes decides a claim; the numbers are those of the frames in its capture that it asks about. Written by
`pktlab claims --markdown` from `labs/` and `captures/`; do not edit.

Under each statement stands its source: a document by its file's name, and the section. These source documents are not
part of the repository.
"""


def page(verdicts: Sequence[Verdict]) -> str:
    """Return the page; its links are relative to the folder `docs` beside `labs` and `captures`."""
    lines = [_HEAD, _count(verdicts), ""]
    for topic in dict.fromkeys(verdict.claim.topic for verdict in verdicts):
        mine = [verdict for verdict in verdicts if verdict.claim.topic == topic]
        lines += [f"## {topic}", "", _count(mine), ""]
        lines += ["| claim | verdict | proof |", "|---|---|---|", *map(_row, mine), ""]
    return "\n".join(lines).rstrip() + "\n"


def _count(verdicts: Sequence[Verdict]) -> str:
    count = Counter(verdict.verdict for verdict in verdicts)
    words = ", ".join(f"{count[word]} {word}" for word in VERDICTS if count[word])
    return f"{len(verdicts)} claim{'s' if len(verdicts) != 1 else ''}: {words}."


def _row(verdict: Verdict) -> str:
    claim = verdict.claim
    stated = f"`{claim.id}`<br>{cell(claim.statement)}<br>{'<br>'.join(map(cell, claim.documents))}"
    return f"| {stated} | {'<br>'.join(_judged(verdict))} | {'<br>'.join(_proof(verdict))} |"


def _judged(verdict: Verdict) -> Iterator[str]:
    yield f"**{verdict.verdict}**" + (f" on {cell(verdict.on)}" if verdict.on else "")
    for text in (verdict.really, verdict.reason):
        if text:
            yield cell(text)


def _proof(verdict: Verdict) -> Iterator[str]:
    if verdict.lab:
        yield f"[{verdict.lab}](../labs/{verdict.lab}.py): {verdict.act}"
    for each in verdict.evidence:
        yield f"[{Path(each.capture).name}](../{each.capture}): {each.shortened(_RANGES)}"

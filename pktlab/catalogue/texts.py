"""The texts that a learner reads, as the keys of catalogues: of a lab, of the claims, of the program itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pktlab.claims import Claim
from pktlab.course import Chapter
from pktlab.labfile import LabFile

# The modules whose words a learner reads, below the package.
_SPEAKING = ("learn/*.py", "cli/learn*.py")
_KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}


class Text(NamedTuple):
    """A text to translate: the key, its plural if it has one, and what it is, told to the translator."""

    key: str
    comment: str
    plural: str = ""


def paragraphs(text: str) -> list[str]:
    """Split a text into paragraphs, each one line; indented ones, whose columns matter, stay as they are."""
    return [block if block.startswith("    ") else " ".join(block.split()) for block in text.split("\n\n") if block]


def of_lab(lab: LabFile) -> Iterator[Text]:
    """Yield the texts of a lab in its order, each once: claim line, story, and what the acts say."""
    seen = set()
    for text in _of_lab(lab):
        if text.key and text.key not in seen:
            seen.add(text.key)
            yield text


def _of_lab(lab: LabFile) -> Iterator[Text]:
    yield Text(lab.title, "the lab's claim")
    for paragraph in paragraphs(lab.story):
        table = "a table, keep its columns (a Chinese character is two wide)"
        yield Text(paragraph, table if "\n" in paragraph else "the story")
    for act in lab.acts:
        for paragraph in paragraphs(act.text):
            yield Text(paragraph, act.name)
        for claim in act.claims:
            yield Text(claim.get("on", ""), f"{act.name}: the outcome hangs on this")


def of_claims(claims: list[Claim]) -> Iterator[Text]:
    """Yield the texts of claims in their order: what is stated, what is true instead, why nobody can tell."""
    seen = set()
    for claim in claims:
        for key, comment in (
            (claim.statement, "stated by a document, true or not"),
            (claim.really, "what is true instead"),
            (claim.undecidable, "why no packet can decide it"),
        ):
            if key and key not in seen:
                seen.add(key)
                yield Text(key, f"{claim.id}: {comment}")


def of_course(chapters: list[Chapter]) -> Iterator[Text]:
    """Yield the titles of the chapters."""
    yield from (Text(chapter.title, "a chapter of the course") for chapter in chapters)


def of_program() -> Iterator[Text]:
    """Yield the program's own words for learners, in the order of its modules."""
    from babel.messages.extract import extract

    package = Path(__file__).resolve().parent.parent
    seen = set()
    for file in sorted(each for pattern in _SPEAKING for each in package.glob(pattern)):
        with file.open("rb") as source:
            found = list(extract("python", source, keywords=_KEYWORDS, comment_tags=["i18n:"], strip_comment_tags=True))
        for _line, message, comments, _context in found:
            key, plural = message if isinstance(message, tuple) else (message, "")
            if key not in seen:
                seen.add(key)
                yield Text(key, " ".join(comments), plural)


def of_report() -> Iterator[Text]:
    """Yield the words of a report's pages, template by template."""
    from jinja2.ext import babel_extract

    folder = Path(__file__).resolve().parent.parent / "html" / "templates"
    seen = set()
    for file in sorted(folder.glob("*.html")):
        with file.open("rb") as source:
            found = list(babel_extract(source, ("_", "ngettext"), [], {"trim_blocks": "true", "lstrip_blocks": "true"}))
        for _line, _function, message, _comments in found:
            key, plural = message[:2] if isinstance(message, tuple) else (message, "")
            if key and key not in seen:
                seen.add(key)
                yield Text(key, f"{file.name}, a page of `pktlab report`", plural or "")

"""Pages made of templates, in which everything is escaped that did not come from the templates themselves.

A page needs nothing but itself: styles, script and pictures are in it, and so are captures unless they are large. Its
content security policy forbids every request and every script but its own, should an escape ever be forgotten.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup

from pktlab import catalogue
from pktlab.act import ActRecord
from pktlab.catalogue import files
from pktlab.frame import Frame
from pktlab.html import lane
from pktlab.html.ladder import Asked, Gap, Ladder, Lane
from pktlab.labfile import LabFile
from pktlab.verdict import VERDICTS, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

_TEMPLATES = Path(__file__).with_name("templates")
INDEX = "index.html"
# Control characters, halves of characters, and what turns the direction of the text behind it.
_NO_TEXT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_FORMS = 8  # of one packet, at most, that are dissected


@dataclass(frozen=True, slots=True)
class Form:
    """What a packet looked like on some interfaces, dissected."""

    where: str
    text: str


@dataclass(slots=True)
class ActPage:
    """An act as its part of the page tells it: `text` are the paragraphs about it, `log` is what its programs wrote,
    `capture` is an address: of a file beside the page, or all of it."""

    record: ActRecord
    ladder: Ladder
    text: Sequence[str] = ()
    detail: str = ""
    capture: str = ""
    size: int = 0
    verdicts: Sequence[Verdict] = ()
    log: str = ""


@dataclass(slots=True)
class LabPage:
    """A lab as its page tells it; `drawing` is the declared topology as SVG, `settings` are its commands. `listed`
    says that an index of several labs lies beside it."""

    lab: LabFile
    status: str
    title: str = ""
    story: Sequence[str] = ()
    fault: str = ""
    drawing: str = ""
    settings: Sequence[str] = ()
    acts: list[ActPage] = field(default_factory=list)
    listed: bool = False

    @property
    def file(self) -> str:
        """The name of the page's file."""
        return f"{self.lab.name}.html"


def embedded(capture: bytes) -> str:
    """Return a capture as an address that holds all of it (RFC 2397)."""
    return "data:application/vnd.tcpdump.pcap;base64," + b64encode(capture).decode()


@dataclass(frozen=True, slots=True)
class Made:
    """Who made a page, of what, when, and in which language."""

    version: str
    kernel: str
    date: str
    language: str = catalogue.SOURCE


def lab_page(page: LabPage, *, dissect: Callable[[Frame], str], made: Made) -> str:
    """Return the page of a lab; `dissect` says what is in a frame."""
    template = _templates(made.language).get_template("lab.html")
    return template.render(page=page, forms=_forms(dissect), made=made, index=INDEX)


def index_page(pages: Sequence[LabPage], verdicts: Sequence[Verdict], *, made: Made) -> str:
    """Return the page that lists labs and claims."""
    acts = {
        (page.lab.name, act.record.name): f"{quote(page.file)}#act-{number}"
        for page in pages
        for number, act in enumerate(page.acts, 1)
    }

    def link(verdict: Verdict) -> str:
        """The first case of a parametrized act stands for all."""
        first = (at for (lab, act), at in acts.items() if lab == verdict.lab and act.partition("[")[0] == verdict.act)
        return next(first, "")

    counts = [(word, count) for word in VERDICTS if (count := sum(each.verdict == word for each in verdicts))]
    template = _templates(made.language).get_template("index.html")
    return template.render(pages=pages, verdicts=verdicts, counts=counts, link=link, made=made)


@cache
def _templates(language: str) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        # Whatever is no text for a page, such as a control character in a payload, is replaced before it is escaped.
        finalize=_clean,
    )
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {
        "style": Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "policy": f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
        "kind": lambda event: {Lane: "lane", Asked: "asked", Gap: "gap"}[type(event)],
        "columns": lane.columns,
        # Built as trees of elements, these are escaped already.
        "head": lambda columns: Markup(lane.head(columns)),
        "way": lambda drawn, columns, stops: Markup(lane.lane(drawn, columns, stops=stops)),
        "picture": Markup,
    }
    environment.filters |= {"address": quote, "size": _size}
    install: Any = environment  # the extension adds its methods at run time
    install.install_gettext_translations(catalogue.translations(files.of_report(language)), newstyle=True)
    return environment


def _clean(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return _NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _forms(dissect: Callable[[Frame], str]) -> Callable[[Lane], list[Form]]:
    """What a packet looked like, once for each time that it was changed, and where."""

    def forms(drawn: Lane) -> list[Form]:
        seen: dict[bytes, list[Frame]] = {}
        for hop in drawn.hops:
            seen.setdefault(hop.frame.data, []).append(hop.frame)
        return [
            Form(", ".join(dict.fromkeys(str(frame.interface) for frame in frames)), dissect(frames[0]))
            for frames in list(seen.values())[:_FORMS]
        ]

    return forms


def _size(size: int) -> str:
    return f"{size:,} bytes" if size < 10_000 else f"{size / 1000:,.0f} kB"

"""The .po files: where they lie, what they should hold, what they lack."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pktlab import claims, course, labfile
from pktlab.catalogue import texts
from pktlab.catalogue.texts import Text
from pktlab.errors import LabError

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"

"""
PROGRAM, COURSE, REPORT = "pktlab", "course", "report"


@dataclass(frozen=True, slots=True)
class Domain:
    """What belongs into one catalogue: its name, the folder that has a folder for each language, and the texts."""

    name: str
    folder: Path
    texts: tuple[Text, ...]

    def file(self, language: str) -> Path:
        """The catalogue of a language."""
        return self.folder / language / f"{self.name}.po"


def domains() -> Iterator[Domain]:
    """Yield every catalogue there should be: of the program, reports, the course, each lab, each topic's claims."""
    own = Path(__file__).resolve().parent.parent / "locale"
    yield Domain(PROGRAM, own, tuple(texts.of_program()))
    yield Domain(REPORT, own, tuple(texts.of_report()))
    folder = labfile.labs_folder() / "locale"
    yield Domain(COURSE, folder, tuple(texts.of_course(course.load())))
    for lab in labfile.discover():
        yield Domain(lab.name, folder, tuple(texts.of_lab(lab)))
    made = claims.load()
    for topic in dict.fromkeys(claim.topic for claim in made):
        of_topic = texts.of_claims([claim for claim in made if claim.topic == topic])
        yield Domain(_claims(topic), folder, tuple(of_topic))


def _claims(topic: str) -> str:
    return f"claims/{topic.replace('/', '-')}"


def of_program(language: str) -> Path:
    """The file with the program's own words."""
    return Path(__file__).resolve().parent.parent / "locale" / language / f"{PROGRAM}.po"


def of_report(language: str) -> Path:
    """The file with the words of a report's pages."""
    return Path(__file__).resolve().parent.parent / "locale" / language / f"{REPORT}.po"


def of_lab(lab: labfile.LabFile, language: str) -> Path:
    """The file with the texts of a lab: in the folder `locale` beside it."""
    return lab.path.resolve().parent / "locale" / language / f"{lab.name}.po"


def of_course(language: str) -> Path:
    """The file with the titles of the course."""
    return labfile.labs_folder() / "locale" / language / f"{COURSE}.po"


def of_topic(topic: str, language: str) -> Path:
    """The file with the claims on a topic."""
    return labfile.labs_folder() / "locale" / language / f"{_claims(topic)}.po"


def read(file: Path) -> Catalog:
    """Read a .po file. Raises LabError for one that cannot be read."""
    from babel.messages.pofile import PoFileError, read_po

    try:
        with file.open("rb") as source:
            return read_po(source, abort_invalid=True)
    except OSError as error:
        raise LabError(f"cannot read {file}: {error.strerror}", remedy="check its permissions") from None
    except (PoFileError, UnicodeDecodeError, ValueError) as error:
        raise LabError(f"{file} is no catalogue: {error}", remedy="correct it, or write it anew: --update") from None


def write(domain: Domain, language: str) -> Path:
    """Write a catalogue with every text in its order; what was translated stays, what is stale goes."""
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import write_po

    file = domain.file(language)
    old = read(file) if file.is_file() else Catalog()
    new = Catalog(locale=language)
    for text in domain.texts:
        key = (text.key, text.plural) if text.plural else text.key
        before = old.get(text.key)
        new.add(key, before.string if before is not None else "", auto_comments=[text.comment] if text.comment else [])
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as target:
        target.write(_HEADER.format(language=language).encode())
        write_po(target, new, width=0, omit_header=True)
    return file


def faults(domain: Domain, language: str) -> Iterator[str]:
    """Yield what is wrong with a catalogue: texts without a translation, translations of what is no longer said, and
    translations without a word that must stay as it is.
    """
    file = domain.file(language)
    translated = read(file) if file.is_file() else None
    if translated is None:
        if domain.texts:
            yield f"there is no {file.name}"
        return
    for text in domain.texts:
        message = translated.get(text.key)
        strings = _strings(message.string) if message is not None else []
        if message is None or message.fuzzy or not strings or not all(each.strip() for each in strings):
            yield f"missing: {text.key}"
            continue
        kept = fields(text.key) if domain.name == PROGRAM else _fixed(text.key)
        for each in strings:
            has = fields(each) if domain.name == PROGRAM else _fixed(each)
            if lost := sorted(kept - has) or (sorted(has - kept) if domain.name == PROGRAM else []):
                yield f"{', '.join(lost)} is not in both: {text.key}"
    known = {text.key for text in domain.texts}
    for message in translated:
        key = message.id[0] if isinstance(message.id, list | tuple) else message.id
        if key and key not in known:
            yield f"stale: {key}"


def _strings(string: object) -> list[str]:
    return list(string) if isinstance(string, list | tuple) else [str(string)]


@cache
def fields(text: str) -> frozenset[str]:
    """The names between braces."""
    return frozenset(f"{{{name}}}" for _text, name, _spec, _conversion in string.Formatter().parse(text) if name)


@cache
def _fixed(text: str) -> frozenset[str]:
    """What no translation changes: functions, man pages, addresses, fields, and what stands between backticks."""
    kept = r"%\(\w+\)s|`[^`]+`|\b[\w-]+\(\d?\)|\b\d+\.\d+\.\d+\.\d+\b|\b\w+_\w+\b"
    return frozenset(re.findall(kept, text, re.ASCII))

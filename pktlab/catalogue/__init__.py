"""What a learner reads, in the learner's language: gettext catalogues whose keys are the English texts themselves.

A catalogue is a .po file, one for each lab, so that translators never meet in one file; `pktlab.catalogue.files` says
where each lies. They are read as they are (Babel compiles one in a millisecond): nothing compiled can be out of date.

How a translator works::

    python -m pktlab.catalogue                          # what is missing or stale, by catalogue
    python -m pktlab.catalogue --update my_lab          # write labs/locale/zh/my_lab.po, or bring it up to date
    python -m pktlab.catalogue my_lab                   # when it is filled in: is it whole?

Each entry is a paragraph, in the order of the lab, with a comment that says what it is: fill in the ``msgstr``, change
nothing else. A paragraph is one line, however the lab breaks it; the drawing is not translated. Names of functions,
man pages, interfaces, fields and addresses stay as they are, as do the texts between backticks.
"""

from __future__ import annotations

import gettext
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pktlab.errors import LabError

SOURCE = "en"
LANGUAGES = (SOURCE, "zh")
# As gettext asks them, ours before the others.
_VARIABLES = ("PKTLAB_LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")


def language(wanted: str = "", environ: Mapping[str, str] | None = None) -> str:
    """Return the language to speak: the wanted one, else PKTLAB_LANG's, else that of the locale, else English.

    Raises LabError for a wanted one, or one in PKTLAB_LANG, that there is no catalogue for.
    """
    environ = os.environ if environ is None else environ
    if wanted:
        return _asked(wanted, "--lang")
    if environ.get("PKTLAB_LANG"):
        return _asked(environ["PKTLAB_LANG"], "PKTLAB_LANG")
    for variable in _VARIABLES[1:]:
        for value in filter(None, environ.get(variable, "").split(":")):
            if _plain(value) in ("c", "posix"):
                return SOURCE
            if _plain(value) in LANGUAGES:
                return _plain(value)
        if environ.get(variable) and variable != "LANGUAGE":
            break
    return SOURCE


def _asked(value: str, where: str) -> str:
    if (name := _plain(value)) in LANGUAGES:
        return name
    raise LabError(f"{where} is {value!r}, which pktlab does not speak", remedy=f"it speaks {' and '.join(LANGUAGES)}")


def _plain(value: str) -> str:
    """``zh_CN.UTF-8`` is zh."""
    for mark in ".@_-":
        value = value.partition(mark)[0]
    return value.strip().lower()


@cache
def translations(file: Path | None) -> gettext.NullTranslations:
    """Return the translations in a .po file, with gettext() and ngettext(); the texts themselves if there is no file.

    Raises LabError for a file that cannot be read.
    """
    if file is None or not file.is_file():
        return gettext.NullTranslations()
    import io

    from babel.messages.mofile import write_mo

    from pktlab.catalogue.files import read

    compiled = io.BytesIO()
    write_mo(compiled, read(file))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)

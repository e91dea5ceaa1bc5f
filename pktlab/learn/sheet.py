"""Answers from a file, and the grading as data.

A file of answers is TOML: for each act a list of strings, as they would be typed, in the order of the questions::

    test_address_on_the_port = ["no", "veth0 veth1", "veth1 veth0 br0", "-", "-"]
    "test_a_case[bound-br0]" = ["yes", "skip"]

What is not there is skipped. `pktlab learn LAB --answers /dev/null --json -` tells every question, and its answer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pktlab.errors import PktlabError
from pktlab.learn.grading import Grade, score

VERSION = 1
SKIP = "skip"


def read(path: Path) -> dict[str, list[str]]:
    """Read a file of answers. Raises PktlabError for one that is none."""
    try:
        data = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise PktlabError(f"cannot read {path}: {error.strerror}", remedy="name a file of answers (TOML)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        remedy = 'a line reads: test_act = ["yes", "veth0 br0"]'
        raise PktlabError(f"{path} is not TOML: {error}", remedy=remedy) from None
    for act, answers in data.items():
        if not isinstance(answers, list) or not all(isinstance(each, str) for each in answers):
            raise PktlabError(f"{path}: {act} is no list of strings", remedy=f'write: {act} = ["yes", "veth0 br0"]')
    return data


def unknown(answers: Mapping[str, object], acts: Sequence[str]) -> str:
    """Return the first act in a file of answers that the lab does not have; empty where there is none."""
    return next((act for act in answers if act.partition("[")[0] not in acts), "")


def as_json(lab: str, language: str, acts: Sequence[tuple[str, str, str, Sequence[Grade]]]) -> dict[str, Any]:
    """Return a grading as JSON data; `acts` are name, status, reason and grades."""
    right, asked = score([grade for _name, _status, _reason, grades in acts for grade in grades])
    return {
        "version": VERSION,
        "lab": lab,
        "language": language,
        "right": right,
        "asked": asked,
        "acts": [
            {"name": name, "status": status, "reason": reason, "predictions": [grade.as_json() for grade in grades]}
            for name, status, reason, grades in acts
        ],
    }

"""YAML 1.2 as far as a file of commands takes it, with comments, which the libraries that write YAML leave out.

A plain scalar where it is safe, a block for what has several lines, double quotes for all else (YAML 1.2, chapter 7).
"""

from __future__ import annotations

import re
import textwrap

_WIDTH = 100
# Of the names that begin with a letter YAML 1.1 takes these for something else, in any case.
_TAKEN = frozenset({"y", "yes", "n", "no", "true", "false", "on", "off", "null"})
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
# No sign of YAML's at the start, no colon at a word's end, no comment.
_COMMAND = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*( ([A-Za-z0-9_./=,+@-]|:(?=[^ ]))+)+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}


def name(text: str) -> str:
    """Return a key, or a value that is a name."""
    return text if _NAME.fullmatch(text) and text.lower() not in _TAKEN else quoted(text)


def quoted(text: str) -> str:
    """Return a scalar in double quotes; what cannot be printed is escaped."""
    return '"' + "".join(_ESCAPES.get(sign) or _printed(sign) for sign in text) + '"'


def _printed(sign: str) -> str:
    return sign if sign.isprintable() else f"\\U{ord(sign):08x}"


def item(command: str, *, anchor: str = "") -> list[str]:
    """Return the lines of a list's item that is a command; `*anchor` stands for it from there on."""
    sign = f"- &{anchor}" if anchor else "-"
    lines = command.split("\n")
    printable = all(line.replace("\t", " ").isprintable() for line in lines)
    if len(lines) > 1 and printable and lines[0][:1].strip() and lines[-1].strip():
        return [f"{sign} |-", *(f"  {line}" if line else "" for line in lines)]
    if len(command) > _WIDTH and printable and command == " ".join(command.split()):
        # Its lines are folded into one again.
        folded = textwrap.wrap(command, _WIDTH, break_long_words=False, break_on_hyphens=False)
        return [f"{sign} >-", *(f"  {line}" for line in folded)]
    return [f"{sign} {command if _COMMAND.fullmatch(command) else quoted(command)}"]


def comment(text: str) -> list[str]:
    """Return lines of comment."""
    shown = ("".join(sign if sign.isprintable() else "?" for sign in line) for line in text.split("\n"))
    return [f"# {line}".rstrip() for line in shown]

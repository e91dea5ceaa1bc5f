"""What a learner types, read as an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pktlab.errors import PktlabError
from pktlab.interface import shortest
from pktlab.learn.question import Question, Truth

_YES = frozenset({"y", "yes", "true", "是", "是的", "有", "会", "能", "对", "通"})
_NO = frozenset({"n", "no", "false", "否", "不", "不是", "没有", "无", "不会", "不能", "不对", "不通"})
NOWHERE = ("-", "none", "nowhere", "无", "没有")
# What stands between names, as typed or copied, with the punctuation of a Chinese keyboard as well.
_BETWEEN = re.compile(r"[\s,;>\u3001\uff0c\uff1b\u2192]+|->")


# What can be typed in place of an answer; a name that is to choose from comes first.
_COMMANDS = {
    "hint": ("?", "h", "hint", "提示"),
    "help": ("help", "帮助"),
    "skip": ("", "s", "skip", "跳过"),
    "back": ("b", "back", "返回"),
    "quit": ("q", "quit", "exit", "退出"),
}


def command(line: str, options: Sequence[str] = ()) -> str:
    """Return which command a line is (hint, help, skip, back or quit), or nothing if it is none."""
    word = line.strip()
    if word and word in {*options, *short(options).values()}:
        return ""
    return next((name for name, words in _COMMANDS.items() if word.lower() in words), "")


class UnreadableError(PktlabError):
    """A line that is no answer to the question; `word` is the part that is not understood, if there is one."""

    def __init__(self, kind: str, word: str = "") -> None:
        super().__init__(f"{word!r} is no answer", remedy=f"the answer is a {kind}")
        self.kind = kind
        self.word = word


def short(options: Sequence[str]) -> dict[str, str]:
    """Return what each option is called: an interface without its namespace where that leaves no doubt."""
    return shortest(options)


def read(asked: Question, line: str) -> Truth:
    """Read an answer. Raises UnreadableError for a line that is none."""
    text = line.strip()
    if asked.kind == "yes":
        if text.lower() in _YES | _NO:
            return text.lower() in _YES
        raise UnreadableError(asked.kind, text)
    if asked.kind == "number":
        if text.isdecimal() and len(text) < 7:
            return int(text)
        raise UnreadableError(asked.kind, text)
    if text.lower() in NOWHERE:
        return []
    names = [_option(asked, word) for word in _BETWEEN.split(text) if word]
    if not names:
        raise UnreadableError(asked.kind)
    if asked.kind == "one" and len(set(names)) > 1:
        raise UnreadableError(asked.kind, text)
    return list(dict.fromkeys(names)) if asked.kind == "path" else sorted(set(names))


def _option(asked: Question, word: str) -> str:
    """An option by its number, its name, or the end of its name that no other has."""
    called = {name: option for option, name in short(asked.options).items()}
    if word in asked.options:
        return word
    if word in called:
        return called[word]
    if word.isdecimal() and 1 <= int(word) <= len(asked.options):
        return asked.options[int(word) - 1]
    raise UnreadableError(asked.kind, word)


def written(asked: Question, answer: Truth) -> str:
    """Return an answer as it can be typed: `read` takes it back."""
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    if isinstance(answer, int):
        return str(answer)
    called = short(asked.options)
    names = [called.get(name, name) for name in answer]
    return " ".join(names[:1] if asked.kind == "one" else names) or "-"

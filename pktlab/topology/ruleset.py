"""Where the rules stand in a ruleset of nft, so that one can be taken out of the text and the rest loaded.

Only as much of the language as that takes (nft(8)): blocks in braces, statements that end at a line's end or a
semicolon, strings, comments, and lines continued with a backslash.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(r'"[^"]*"?|#[^\n]*|\\\n|[{}\n;]|[^"#\\{}\n;]+|.')
_COMMAND = re.compile(r"(add|insert)\s+(rule|element)\b")
# What a chain holds besides rules; it accepts by default.
_NO_RULE = re.compile(r"(type|comment|policy\s+accept)\b")
_BLOCK = re.compile(r"(?:(?:add|create)\s+)?(table|chain)\b\s*(.*)", re.S)


class Rule(NamedTuple):
    """A rule, or a policy that is not the default: its place in the text, its words, and the chain that it is in."""

    start: int
    end: int
    words: str
    chain: str


def rules(text: str) -> list[Rule]:
    """Return the rules of a ruleset in the order of the text, and with them the elements that are added to sets."""
    found: list[Rule] = []
    # What the open braces belong to: a table, a chain with its name, or anything else, inside which nothing ends.
    blocks: list[tuple[str, str]] = []
    start = 0
    for token in _TOKEN.finditer(text + "\n"):
        sign, kind = token[0][0], blocks[-1][0] if blocks else "file"
        if sign == "{":
            head = _BLOCK.match(text[start : token.start()].strip())
            opens = head is not None and {"file": "table", "table": "chain"}.get(kind) == head[1]
            blocks.append((head[1], head[2]) if head and opens else ("else", ""))
            start = token.end() if opens else start
        elif sign == "}" and kind == "else":
            blocks.pop()
        elif sign in "#}\n;" and kind != "else":
            words = text[start : token.start()]
            rule = words.strip()
            if rule and ((kind == "chain" and not _NO_RULE.match(rule)) or (kind == "file" and _COMMAND.match(rule))):
                begin = start + len(words) - len(words.lstrip())
                plain = " ".join(rule.replace("\\\n", " ").split())
                found.append(Rule(begin, begin + len(rule), plain, blocks[-1][1] if blocks else ""))
            start = token.end()
            if sign == "}" and blocks:
                blocks.pop()
    return found


def less(text: str, rule: Rule) -> str:
    """Return the ruleset without one of its rules."""
    return text[: rule.start] + text[rule.end :]

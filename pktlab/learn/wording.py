"""Questions, answers and explanations in words of the learner's language.

`_` looks a text up and fills in its fields; the texts in its calls are the keys of ``locale/*/pktlab.po``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pktlab import catalogue
from pktlab.catalogue import files, texts
from pktlab.claims import Claim
from pktlab.labfile import LabFile
from pktlab.learn.answer import UnreadableError, short
from pktlab.learn.grading import Grade
from pktlab.learn.question import Kind, Question, Truth

# Of a longer command or pattern the beginning must do; the act itself has it whole.
_LONGEST = 160
# A number is hinted at by the next of these, which many numbers share.
_BOUNDS = (2, 5, 10, 20)


class Wording:
    """The words of one language: the program's own, and those of a lab and of the claims in its catalogues."""

    def __init__(self, language: str, lab: LabFile | None = None) -> None:
        self.language = language
        self._program = catalogue.translations(files.of_program(language))
        self._lab = catalogue.translations(files.of_lab(lab, language) if lab else None)

    def _(self, key: str, **fields: object) -> str:
        """Return a text of the program, its fields filled in."""
        return self._program.gettext(key).format(**fields)

    def ngettext(self, one: str, many: str, number: int, **fields: object) -> str:
        """Return a text that hangs on a number, its fields filled in."""
        return self._program.ngettext(one, many, number).format(number=number, **fields)

    def of_lab(self, text: str) -> list[str]:
        """Return the paragraphs of a text of the lab."""
        return [self._lab.gettext(paragraph) for paragraph in texts.paragraphs(text)]

    def of_claim(self, claim: Claim, text: str) -> str:
        """Return a text of a claim."""
        return catalogue.translations(files.of_topic(claim.topic, self.language)).gettext(text)

    def of_course(self, text: str) -> str:
        """Return a title of the course."""
        return catalogue.translations(files.of_course(self.language)).gettext(text)

    def question(self, asked: Question) -> str:
        """Return what is asked, as a sentence."""
        of, place = textwrap.shorten(asked.subject, _LONGEST, placeholder=" …"), asked.place
        match asked.topic:
            case "path":
                text = self._("Which interfaces see the packet [{of}], and in which order?", of=of)
            case "where":
                text = self._("Which interfaces see a packet [{of}]?", of=of)
            case "ping":
                text = self._("Is there an answer to: ping {of}?", of=f"{of} {place}".strip())
            case "rewrites":
                text = self._("Which fields of the packet [{of}] are rewritten on its way?", of=of)
            case "count" if place:
                text = self._("How many packets [{of}] does {place} see?", of=of, place=place)
            case "count":
                text = self._("How many packets [{of}] are seen?", of=of)
            case "frames" if place:
                text = self._("How many frames [{of}] does {place} see?", of=of, place=place)
            case "frames":
                text = self._("How many frames [{of}] are seen, counted at every interface?", of=of)
            case "neighbours":
                text = self._("Does the neighbour table of {of} hold a MAC address then?", of=of)
            case "owner":
                text = self._(
                    "Whose MAC address does the neighbour table of {of} hold for {place} then?", of=of, place=place
                )
            case "fdb":
                text = self._("Behind which ports does the table (FDB) of {of} know a host then?", of=of)
            case "conntrack":
                text = self._("How many connections does {of} track then?", of=of)
            case "up":
                text = self._("Is {of} up then?", of=of)
            case "links":
                text = self._("How many interfaces does {of} have then?", of=of)
            case "routes":
                text = self._("How many routes does {of} have then?", of=of)
            case "cni":
                text = self._("Does the CNI plugin succeed: {of}?", of=of)
            case _:
                text = self._("Does this succeed in {place}: {of}?", place=place, of=of)
        if asked.spot.values:
            values = ", ".join(f"{name} = {value}" for name, value in asked.spot.values)
            text = self._("With {values}: {text}", values=values, text=text)
        elif asked.turn:
            text = self._("{text} (Asked again, time {number}.)", text=text, number=asked.turn + 1)
        return text

    def how(self, asked: Question) -> str:
        """Return how the answer is to be typed."""
        return self.kind(asked.kind)

    def kind(self, kind: Kind | str) -> str:
        """Return what an answer of a kind looks like."""
        match kind:
            case "path":
                return self._("names or numbers in order, with spaces between; - for nowhere")
            case "set":
                return self._("names or numbers in any order, with spaces between; - for none")
            case "one":
                return self._("one name or number; - for none")
            case "yes":
                return self._("yes or no")
            case _:
                return self._("a number")

    def answer(self, asked: Question, answer: Truth | None) -> str:
        """Return an answer as it is told."""
        if answer is None:
            return self._("not answered")
        if isinstance(answer, bool):
            return self._("yes") if answer else self._("no")
        if isinstance(answer, int):
            return str(answer)
        called = short(asked.options)
        names = [called.get(name, name) for name in answer]
        if not names:
            return self._("nowhere") if asked.topic in ("path", "where") else self._("none")
        if asked.kind == "one":
            return self._(" or ").join(names)
        return (" > " if asked.kind == "path" else ", ").join(names)

    def detail(self, grade: Grade) -> str:
        """Return what the network answered beyond yes, no or a number; empty where that was all."""
        if grade.observation is None:
            return ""
        answer, text = grade.observation.answer, grade.observation.text.partition("\n")[0]
        match grade.question.topic:
            case "ping" if answer["ok"]:
                return self._("answer from {source}, ttl {ttl}", source=answer["source"], ttl=answer["ttl"])
            case "ping":
                return self._("no answer: {error}", error=answer["error"]) if answer["error"] else ""
            case "run" if not (answer["stdout"] or answer["stderr"]).strip():
                return self._("exit status {number}", number=answer["returncode"])
            case "path" | "where" | "count" | "frames":
                return ""
            case _:
                return text if answer else ""

    def unreadable(self, error: UnreadableError) -> str:
        """Return why a line is no answer."""
        how = self.kind(error.kind)
        if error.word:
            return self._("“{word}” is no answer here: {how}", word=error.word, how=how)
        return self._("The answer: {how}", how=how)

    def first_wrong(self, grade: Grade) -> str:
        """Return which hop of a path is the first that is wrong; empty where none is."""
        if not grade.wrong:
            return ""
        called = short(grade.question.options)
        foretold, seen = ([called.get(name, name) for name in pair if name] for pair in zip(*grade.hops(), strict=True))
        hop = grade.wrong
        if not seen:
            return self._("First wrong hop: 1. You said {foretold}, but no interface saw it.", foretold=foretold[0])
        if hop > len(seen):
            return self._(
                "First wrong hop: {hop}. You said {foretold}, but behind {last} nobody saw it any more.",
                hop=hop,
                foretold=foretold[hop - 1],
                last=seen[-1],
            )
        if hop > len(foretold):
            if not foretold:
                return self._("First wrong hop: 1. You said nowhere, but {seen} saw it.", seen=seen[0])
            return self._(
                "First wrong hop: {hop}. You said it ends at {last}, but {seen} saw it as well.",
                hop=hop,
                last=foretold[-1],
                seen=seen[hop - 1],
            )
        return self._(
            "First wrong hop: {hop}. You said {foretold}, but it was {seen}.",
            hop=hop,
            foretold=foretold[hop - 1],
            seen=seen[hop - 1],
        )

    def hints(self, asked: Question, true: Truth | None, seen: Sequence[str], sentence: str) -> list[str]:
        """Return hints, each of which gives more away, and none of them all.

        `seen` are the interfaces that will see any packet of the act, `sentence` what the act says of itself.
        """
        if isinstance(true, int) and not isinstance(true, bool):
            bound = next((number for number in _BOUNDS if true <= number), true)
            return [self._("It is at most {number}.", number=bound), self._seen(seen)]
        if not isinstance(true, list) or asked.kind == "one":
            return [self._seen(seen), *([self._("The act is about this: {text}", text=sentence)] if sentence else [])]
        if len(true) < 2:
            return [self._("Fewer than two names belong here."), self._seen(seen)]
        text = self.ngettext("{number} name belongs here.", "{number} names belong here.", len(true))
        found = []
        for number in range(1, len(true)):
            names = self.answer(asked, true[:number])
            begin = self._("It begins with: {names}", names=names)
            found.append(begin if asked.kind == "path" else self._("Among them: {names}", names=names))
        return [found[0], text, *found[1:]] if asked.kind == "path" else [text, *found]

    def _seen(self, names: Sequence[str]) -> str:
        if not names:
            return self._("No interface sees any packet in this act.")
        return self._("Packets of any kind are seen in this act by: {names}", names=", ".join(names))

    def commands(self) -> str:
        """Return what can be typed in place of an answer."""
        return self._("? gives a hint, s skips, b goes back, q quits.")

    def missed(self, grade: Grade) -> list[str]:
        """Return which names of a set were left out, and which do not belong to it."""
        given, true = grade.given, grade.true
        if grade.question.kind != "set" or not isinstance(given, list) or not isinstance(true, list):
            return []
        lacking = [name for name in true if name not in given]
        beyond = [name for name in given if name not in true]
        found = []
        if lacking:
            found.append(self._("Left out: {names}", names=self.answer(grade.question, lacking)))
        if beyond:
            found.append(self._("Not among them: {names}", names=self.answer(grade.question, beyond)))
        return found

    def verdict(self, verdict: str, on: str = "") -> str:
        """Return what an act says of a claim."""
        match verdict:
            case "confirmed":
                return self._("confirmed")
            case "refuted":
                return self._("refuted")
            case _:
                return self._("depends on {on}", on=self._lab.gettext(on)) if on else self._("depends")

"""What is told of an act after it ran: its packets, what became of each prediction, the reason, the claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pktlab import claims, transcript
from pktlab.cli.learn_stage import Performance
from pktlab.cli.learn_terminal import Terminal
from pktlab.labfile import ActSource
from pktlab.learn.answer import short
from pktlab.learn.grading import Grade, grade, score
from pktlab.learn.question import Question, Truth
from pktlab.learn.wording import Wording

# So many lines of packets anybody reads; what is asked about is told with its question.
_LINES = 40


@dataclass(frozen=True, slots=True)
class Explainer:
    """Tells what the network did, in the learner's words."""

    terminal: Terminal
    wording: Wording

    def explain(
        self,
        performance: Performance,
        asked: Sequence[Question],
        given: Sequence[tuple[Truth | None, int]],
        source: ActSource,
    ) -> list[Grade]:
        """Tell what the packets did, what became of each prediction, and why; return the grades."""
        _, say = self.wording._, self.terminal.say
        record = performance.record
        packets = [event for event in record.story if event[0] == "packet"]
        if packets:
            told = transcript.story(replace(record, story=packets), self.terminal.width)
            self.terminal.lines([[], *told[:_LINES]])
            if len(told) > _LINES:
                say(_("(and more: pktlab run tells them all)"), "title", indent=4)
        grades = [
            grade(each, answer, record, performance.sightings, spots=performance.spots, hints=hints)
            for each, (answer, hints) in zip(asked, given, strict=True)
        ]
        for number, each in enumerate(grades, 1):
            say()
            self._grade(each, f"{number}. ")
        say()
        for paragraph in self.wording.of_lab(source.text):
            say(paragraph, head=_("Why: "))
        self._claims(source)
        if grades:
            right, all_ = score(grades)
            say()
            say(_("{right} of {all} foretold.", right=right, all=all_), "name")
        return grades

    def _grade(self, each: Grade, head: str) -> None:
        _, say, asked = self.wording._, self.terminal.say, each.question
        say(self.wording.question(asked), "question", head=head)
        if each.true is None:
            say(_("This time the network did not come to it, so it does not count."), indent=3)
            return
        true = self.wording.answer(asked, each.true)
        if each.right:
            say(_("Right: {true}", true=true), "passed", indent=3)
            return
        if each.given is None:
            say(_("Skipped. It is: {true}", true=true), "skipped", indent=3)
        else:
            said = self.wording.answer(asked, each.given)
            say(_("Wrong. You said: {said}. It is: {true}", said=said, true=true), "failed", indent=3)
        if each.wrong:
            called = short(asked.options)
            rows = [(_("hop"), _("you"), _("seen"), "")]
            for hop, (said, seen) in enumerate(each.hops(), 1):
                mark = "<--" if hop == each.wrong else ""
                rows.append((str(hop), called.get(said, "-"), called.get(seen, "-"), mark))
            self.terminal.table(rows, indent=5)
            say(self.wording.first_wrong(each), indent=3)
        for text in self.wording.missed(each):
            say(text, indent=3)
        if asked.topic in ("path", "where") and each.given is not None:
            self._seen(each)
        elif detail := self.wording.detail(each):
            say(detail, "detail", indent=3, head="= ")

    def _seen(self, each: Grade) -> None:
        """What each interface saw of the packet, those that saw nothing as well."""
        _ = self.wording._
        called = short(each.question.options)
        ways = {"in": _("in"), "out": _("out")}
        seen = dict.fromkeys(sighting.interface for sighting in each.sightings)
        rows = []
        for name in seen:
            # A question that is asked again and again is no news.
            for sighting in [each for each in each.sightings if each.interface == name][:2]:
                when = f"+{sighting.time * 1e6:.0f} us"
                rows.append((called.get(name, name), ways[sighting.direction], when, sighting.words))
        rows += [(called[name], "-", "", _("nothing")) for name in each.question.options if name not in seen]
        self.terminal.say(_("What each interface saw of it:"), indent=3)
        self.terminal.table(rows, indent=5)

    def _claims(self, source: ActSource) -> None:
        """What the act says to the claims of the documents."""
        _, say = self.wording._, self.terminal.say
        if not source.claims:
            return
        known = {claim.id: claim for claim in claims.load()}
        say()
        say(_("What documents state, and what the packets say to it (the documents are not part of the repository):"))
        for cited in source.claims:
            claim = known.get(cited["id"])
            if claim is None:
                continue
            verdict = self.wording.verdict(cited["verdict"], cited.get("on", ""))
            say(self.wording.of_claim(claim, claim.statement), head="- ", indent=2)
            say(verdict, cited["verdict"], indent=4)
            if claim.really and cited["verdict"] != "confirmed":
                say(self.wording.of_claim(claim, claim.really), head=_("Really: "), indent=4)
            say("; ".join(claim.documents), "detail", head=_("Source: "), indent=4)

"""The dialogue of a guided lab: what is tried, predictions, the network's answer, the reason."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pktlab import transcript
from pktlab.act import ActRecord
from pktlab.cli.learn_explain import Explainer
from pktlab.cli.learn_stage import Held, Stage
from pktlab.cli.learn_terminal import Terminal
from pktlab.errors import PktlabError
from pktlab.labfile import ActSource, LabFile
from pktlab.learn import scene
from pktlab.learn.answer import UnreadableError, command, read, short
from pktlab.learn.choosing import questions
from pktlab.learn.grading import Grade, grade, score
from pktlab.learn.progress import Progress
from pktlab.learn.question import Question, Truth
from pktlab.learn.wording import Wording
from pktlab.transcript import Span


class Quit(Exception):
    """The learner has had enough."""


class Back(Exception):
    """The learner goes back to the act before."""


@dataclass(slots=True)
class Done:
    """An act of which the lesson is over."""

    name: str
    status: str
    reason: str
    grades: list[Grade] = field(default_factory=list)


@dataclass(slots=True)
class Lesson:
    """A guided lab. `answers` stand for what would be typed: by act, in the order of the questions; None asks.

    With `few` an act asks five questions at most, those that say most.
    """

    lab: LabFile
    terminal: Terminal
    wording: Wording
    progress: Progress | None
    answers: Mapping[str, Sequence[str]] | None = None
    few: bool = False
    done: dict[str, Done] = field(default_factory=dict)

    def play(self, stage: Stage) -> None:
        """Play every act, from the first that is not done as yet."""
        before = self.progress.acts(self.lab.name) if self.progress else {}
        number = next((n for n, name in enumerate(stage.names) if name not in before), 0) if self.answers is None else 0
        try:
            self._introduce(stage)
            if self.answers is None:
                self._begin()
            if number:
                text = self.wording._(
                    "You have done {done} of {all} acts; “back” leads to them.", done=number, all=len(stage.names)
                )
                self.terminal.say(text)
            step = 1
            while number < len(stage.items):
                try:
                    if self._act(stage, number):
                        step = 1
                    # Who goes back does not want to be sent forward by an act that cannot be played.
                    number += step if number + step >= 0 else 1
                except Back:
                    step = -1
                    number = max(0, number - 1)
            self._conclude()
        except (Quit, EOFError):
            self.terminal.say()
            self.terminal.say(self.wording._("Until next time: what is done is done."))

    def _introduce(self, stage: Stage) -> None:
        from pktlab.cli.show import topology_lines

        _, say = self.wording._, self.terminal.say
        say(self.lab.name, "name")
        for text in self.wording.of_lab(self.lab.title):
            say(text, "title")
        say()
        self.terminal.lines([Span(line)] for line in textwrap.indent(self.lab.drawing, "    ").splitlines())
        for paragraph in self.wording.of_lab(self.lab.story):
            say()
            say(paragraph)
        if stage.topology is not None:
            self.terminal.heading(_("Topology"))
            self.terminal.commands(topology_lines(stage.topology))
        say()
        say(
            _(
                "Each act tries something. You say first what will happen; then the network does it. At any prompt: "
                "? for a hint, s to skip, b to go back, q to quit (or in full: hint, skip, back, quit)."
            )
        )

    def _begin(self) -> None:
        self.terminal.say()
        self.terminal.say(self.wording._("Enter begins."))
        while (typed := command(self.terminal.ask())) != "skip":
            if typed == "quit":
                raise Quit
            self.terminal.say(self.wording._("Enter begins, q quits; hints are given at the questions."))

    def _act(self, stage: Stage, number: int) -> bool:
        """Play an act; return false if it cannot be played."""
        _ = self.wording._
        name = stage.names[number]
        source = next(act for act in self.lab.acts if act.name == name.partition("[")[0])
        steps = scene.steps(self.lab.path, name)
        rehearsal = stage.rehearse(number)
        self._open(stage, number, steps)
        if rehearsal.record.status != "passed":
            self._left_out(rehearsal.record)
            return False
        again = name != next(each for each in stage.names if each.partition("[")[0] == source.name)
        asked = questions(rehearsal.record, rehearsal.spots, dull=scene.dull(steps), few=self.few, again=again)
        self._scene(steps, asked)
        given = self._predict(rehearsal.record, asked, source)
        performance: list[list[Grade]] = []
        explainer = Explainer(self.terminal, self.wording)

        def attend(held: Held) -> None:
            performance.append(explainer.explain(held.performance, asked, given, source))
            self._keep(name, performance[0])
            self._after(stage, held)

        self.terminal.say()
        self.terminal.say(_("Now the network runs."), "title")
        ended = stage.perform(number, attend)
        record = ended.record
        if not performance and record.status == "passed":  # an act without a network, which cannot be held
            performance.append(explainer.explain(ended, asked, given, source))
        if not performance:
            self._left_out(record)
            return False
        self.done[name] = Done(name, record.status, record.reason, performance[0])
        return True

    def _open(self, stage: Stage, number: int, steps: list[scene.Step]) -> None:
        _, name = self.wording._, stage.names[number]
        act = name.partition("[")[0]
        title = _("Act {number} of {all}: {name}", number=number + 1, all=len(stage.names), name=_plain(act))
        self.terminal.heading(title)
        values = {key: value for key, value in stage.parameters(number).items() if scene.told(steps, key)}
        if values:
            told = ", ".join(f"{key} = {value!r}" for key, value in values.items())
            self.terminal.say(_("This time with {values}.", values=told))

    def _left_out(self, record: ActRecord) -> None:
        """An act that cannot be learned from: say why, and go on."""
        _ = self.wording._
        if record.status == "skipped":
            text = _("This act cannot run on this machine: {reason}", reason=record.reason)
        elif record.status == "inconclusive":
            text = _("Frames were lost, so this act proves nothing just now: {reason}", reason=record.reason)
        else:
            text = _("This act did not come out as the lab says: {reason}", reason=record.reason)
        self.terminal.say(text, record.status)
        self.done[record.name] = Done(record.name, record.status or "failed", record.reason)

    def _scene(self, steps: list[scene.Step], asked: Sequence[Question]) -> None:
        """Show what the act does, with the numbers of the questions where it asks them."""
        self.terminal.say(self.wording._("What is tried; the numbers are those of the questions:"))
        self.terminal.say()
        for step in steps:
            here = [str(n) for n, each in enumerate(asked, 1) if step.first <= each.spot.line <= step.last]
            indent = len(step.text) - len(step.text.lstrip())
            head = f"{','.join(here):>5}  "
            room = max(20, self.terminal.width - len(head) - indent)
            # break_on_hyphens would tear options and addresses apart
            for row in textwrap.wrap(step.text.lstrip(), room, subsequent_indent="    ", break_on_hyphens=False):
                self.terminal.lines([[Span(head, "mark"), Span(" " * indent + row, "path")]])
                head = " " * len(head)
        self.terminal.say()

    def _predict(
        self, record: ActRecord, asked: Sequence[Question], source: ActSource
    ) -> list[tuple[Truth | None, int]]:
        """Return an answer to each question, None where it is skipped, and how many hints were given."""
        if self.answers is not None:
            return [(self._from_sheet(each, record.name, number), 0) for number, each in enumerate(asked)]
        if not asked:
            self.terminal.say(self.wording._("Nothing of this act can be foretold: watch."))
        found: list[tuple[Truth | None, int]] = [(None, 0)] * len(asked)
        sentence = next(iter(self.wording.of_lab(source.text)), "")
        hints = [self.wording.hints(each, _true(each, record), _seeing(record), sentence) for each in asked]
        number = 0
        while number < len(asked):
            try:
                head = self.wording._("Question {number} of {all}.", number=number + 1, all=len(asked))
                found[number] = self._ask(asked[number], hints[number], head)
                number += 1
            except Back:
                if number == 0:
                    raise
                number -= 1
        return found

    def _from_sheet(self, asked: Question, act: str, number: int) -> Truth | None:
        lines = (self.answers or {}).get(act, ())
        if number >= len(lines) or command(lines[number], asked.options) == "skip":
            return None
        try:
            return read(asked, lines[number])
        except UnreadableError as error:
            raise PktlabError(
                f"{act}, answer {number + 1}: {lines[number]!r} is no answer to: {self.wording.question(asked)}",
                remedy=self.wording.unreadable(error),
            ) from None

    def _ask(self, asked: Question, hints: Sequence[str], head: str) -> tuple[Truth | None, int]:
        say = self.terminal.say
        say(f"{head} {self.wording.question(asked)}", "question")
        if asked.options:
            called = short(asked.options)
            say(", ".join(f"{number} {called[name]}" for number, name in enumerate(asked.options, 1)), indent=2)
        say(f"({self.wording.kind(asked.kind)})", "mark", indent=2)
        given = 0
        while True:
            line = self.terminal.ask()
            match command(line, asked.options):
                case "quit":
                    raise Quit
                case "back":
                    raise Back
                case "skip":
                    return None, given
                case "hint":
                    say(hints[given] if given < len(hints) else self.wording._("There are no more hints."), indent=2)
                    given = min(given + 1, len(hints))
                case "help":
                    say(self.wording.unreadable(UnreadableError(asked.kind)), indent=2)
                    say(self.wording.commands(), indent=2)
                case _:
                    try:
                        return read(asked, line), given
                    except UnreadableError as error:
                        say(self.wording.unreadable(error), indent=2)
                        say(self.wording.commands(), indent=2)

    def _keep(self, act: str, grades: Sequence[Grade]) -> None:
        if self.progress is None:
            return
        try:
            self.progress.record(self.lab.name, act, *score(grades))
        except PktlabError as error:
            self.terminal.say(self.wording._("Your progress is not kept: {reason}", reason=str(error)), "skipped")
            self.progress = None

    def _after(self, stage: Stage, held: Held) -> None:
        """While the network is up: try it yourself, as often as wished."""
        if self.answers is not None:
            return
        _, say = self.wording._, self.terminal.say
        spaces = list(stage.topology.namespaces) if stage.topology is not None else []

        def choices() -> None:
            if spaces:
                say(_("The network is still up. Try it yourself: sh NAMESPACE ({names}).", names=", ".join(spaces)))
            say(_("Enter goes on; b goes back to the act before, q quits."))

        say()
        choices()
        while True:
            line = self.terminal.ask().strip()
            words = line.split()
            if words and words[0] in ("sh", "shell", "试", "try") and spaces:
                where = words[1] if len(words) > 1 else spaces[0]
                if where not in spaces:
                    say(_("There is no namespace {name}: {names}", name=where, names=", ".join(spaces)))
                    continue
                say(_("A shell in {name}: try ip, ping, tcpdump. “exit” leads back here.", name=where))
                if not held.shell(where):
                    say(_("There is no shell here."))
                say(_("Enter goes on; b goes back to the act before, q quits."))
                continue
            match command(line):
                case "quit":
                    raise Quit
                case "back":
                    raise Back
                case "skip":
                    return
                case _:
                    choices()

    def _conclude(self) -> None:
        _ = self.wording._
        right, all_ = score([each for done in self.done.values() for each in done.grades])
        self.terminal.heading(_("The end"))
        self.terminal.say(_("{right} of {all} foretold.", right=right, all=all_), "name")


def _plain(act: str) -> str:
    return act.removeprefix("test_")


def _true(asked: Question, record: ActRecord) -> Truth | None:
    return grade(asked, None, record).true


def _seeing(record: ActRecord) -> list[str]:
    """The interfaces that see any packet of the act, in the order of the lab: how one goes is not told by it."""
    saw = {name for packet in record.packets for name in packet.path}
    return [short for name, short in transcript.names(record).items() if name in saw]

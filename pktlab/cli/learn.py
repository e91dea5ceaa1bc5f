"""`pktlab learn`: labs to be learned from, one prediction at a time; without a lab, the course."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pktlab import catalogue, labfile
from pktlab.cli.arguments import complete_lab, json_file
from pktlab.cli.screen import write_json
from pktlab.cli.status import INTERRUPTED, PASSED, worst
from pktlab.errors import PktlabError
from pktlab.learn import progress, sheet
from pktlab.learn.progress import Progress
from pktlab.learn.wording import Wording

if TYPE_CHECKING:
    from pktlab.cli.learn_terminal import Terminal


def learn(
    lab: Annotated[
        str, typer.Argument(metavar="LAB|FILE", help="A lab by name, or by path.", autocompletion=complete_lab)
    ] = "",
    keyword: Annotated[str, typer.Option("-k", metavar="EXPR", help="Only acts whose names match.")] = "",
    lang: Annotated[
        str, typer.Option("--lang", metavar="LANG", help="en or zh; else PKTLAB_LANG or the locale decides.")
    ] = "",
    answers: Annotated[
        str, typer.Option("--answers", metavar="FILE", help="Answers from a file (TOML) instead of the keyboard.")
    ] = "",
    json: Annotated[
        str, typer.Option("--json", metavar="FILE", help="Write the grading as JSON; - is standard output.")
    ] = "",
    few: Annotated[bool, typer.Option("--few", help="Ask five questions an act at most.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was done, of LAB or of the course.")] = False,
) -> int:
    """Learn from a lab: say what the packets will do, then see what they do. Without LAB: the course.

    A file of answers has a list for each act, as they would be typed, in the order of the questions:
    test_address_on_the_port = ["no", "veth0 veth1", "veth1 veth0 br0", "-", "-"]. What it lacks is skipped.
    """
    language = catalogue.language(lang)
    if reset:
        return _reset(lab)
    if not lab:
        if answers:
            raise PktlabError("answers to no lab", remedy="name the lab: pktlab learn LAB --answers FILE")
        return _course(language, json)
    return _learn(labfile.find([lab])[0], language, keyword, answers, json, few=few)


def _reset(lab: str) -> int:
    if lab:
        Progress().reset(labfile.find([lab])[0].name)
    else:
        progress.reset()
    return PASSED


def _learn(lab: labfile.LabFile, language: str, keyword: str, answers: str, json: str, *, few: bool) -> int:
    from pktlab.cli import learn_stage
    from pktlab.cli.learn_lesson import Lesson
    from pktlab.cli.learn_terminal import Terminal

    given = sheet.read(Path(answers)) if answers else None
    if given and (wrong := sheet.unknown(given, [act.name for act in lab.acts])):
        raise PktlabError(f"{answers}: {lab.name} has no act {wrong}", remedy=f"`pktlab show {lab.name}` names them")
    report = json_file(json) if json not in ("", "-") else None
    lesson = Lesson(
        lab,
        Terminal(quiet=json == "-" and given is not None),
        Wording(language, lab),
        Progress() if given is None else None,
        given,
        few,
    )
    finished = learn_stage.play(lab, lesson.play, keyword=keyword)
    if json:
        acts = [(done.name, done.status, done.reason, done.grades) for done in lesson.done.values()]
        _write(sheet.as_json(lab.name, language, acts), report)
    if not finished:
        lesson.terminal.say()
        return INTERRUPTED
    return worst(done.status for done in lesson.done.values())


def _write(data: dict[str, Any], file: Path | None) -> None:
    if file is None:
        write_json(data)
        return
    with file.open("w", encoding="utf-8") as stream:
        write_json(data, stream)


def _course(language: str, json: str) -> int:
    from pktlab import course
    from pktlab.cli.learn_terminal import Terminal

    chapters = course.load()
    kept = Progress()
    labs = {lab.name: lab for lab in labfile.discover()}
    if json:
        lessons = [(chapter, lesson) for chapter in chapters for lesson in chapter.lessons]
        data = [
            {
                "chapter": chapter.title,
                "lab": lesson.lab,
                "title": labs[lesson.lab].title,
                "after": list(lesson.after),
                "acts_done": len(kept.acts(lesson.lab)),
                "right": sum(right for right, _asked in kept.acts(lesson.lab).values()),
                "asked": sum(asked for _right, asked in kept.acts(lesson.lab).values()),
            }
            for chapter, lesson in lessons
        ]
        _write({"version": 1, "course": data}, json_file(json) if json != "-" else None)
        return PASSED
    terminal = Terminal()
    for number, chapter in enumerate(chapters, 1):
        terminal.heading(f"{number}. {Wording(language).of_course(chapter.title)}")
        for lesson in chapter.lessons:
            _lesson(terminal, labs[lesson.lab], lesson.after, kept, language)
    terminal.say()
    terminal.say(Wording(language)._("pktlab learn LAB begins a lab, or goes on with it."))
    return PASSED


def _lesson(terminal: Terminal, lab: labfile.LabFile, after: tuple[str, ...], kept: Progress, language: str) -> None:
    wording, acts = Wording(language, lab), kept.acts(lab.name)
    _ = wording._
    terminal.say(lab.name, "name", indent=2)
    for text in wording.of_lab(lab.title):
        terminal.say(text, indent=6)
    if after:
        terminal.say(_("after: {labs}", labs=", ".join(after)), "detail", indent=6)
    if acts:
        right, asked = (sum(pair[place] for pair in acts.values()) for place in (0, 1))
        done = len({act.partition("[")[0] for act in acts})
        told = _(
            "{acts} of {whole} acts done, {right} of {all} foretold",
            acts=done,
            whole=len(lab.acts),
            right=right,
            all=asked,
        )
        terminal.say(told, "passed", indent=6)

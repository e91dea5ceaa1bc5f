# ruff: noqa: RUF001 (Chinese has punctuation of its own)
"""Guided labs: questions from what acts ask, answers read, graded and explained; the dialogue at a real terminal."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from commandline import COMMAND, environment, pktlab_command
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from terminal import Session, at_terminal

from pktlab import course, labfile
from pktlab.act import ActRecord, Captured, Observation
from pktlab.cli.learn_terminal import wrap
from pktlab.errors import LabError, PktlabError
from pktlab.learn import progress, scene, sheet
from pktlab.learn.answer import UnreadableError, command, read, short, written
from pktlab.learn.choosing import MOST, questions
from pktlab.learn.grading import grade, score
from pktlab.learn.progress import Progress
from pktlab.learn.question import _MOST, Question, Spot
from pktlab.learn.wording import Wording

LAB = "bridge_swallows_arp_reply"
INTERFACES = ["host/lo", "host/veth0", "host/veth1", "host/br0"]
REPLY = "path of ARP op is-at psrc 192.168.3.102"


def record(*observations: tuple[str, Any], interfaces: list[str] = INTERFACES) -> ActRecord:
    asked = [Observation(question, answer) for question, answer in observations]
    return ActRecord("lab", "test_act", capture=Captured(interfaces=interfaces), observations=asked)


def only(question: str, answer: Any) -> Question:
    (made,) = questions(record((question, answer)))
    return made


# Questions


@pytest.mark.parametrize(
    ("question", "answer", "topic", "truth"),
    [
        (REPLY, ["host/veth1", "host/veth0"], "path", "veth1 veth0"),
        (REPLY, [], "path", "-"),
        ("paths of ARP", [["host/veth1", "host/veth0"]] * 2, "path", "veth1 veth0"),
        ("paths of ARP", [["host/veth1"], ["host/veth0"]], "where", "veth0 veth1"),
        ("paths of ARP", [], "path", "-"),
        ("where ARP was seen", ["host/br0", "host/lo"], "where", "br0 lo"),
        ("ping 10.0.0.1 dev host/veth0", {"ok": False}, "ping", "no"),
        ("how many ARP on host/br0", 2, "count", "2"),
        ("frames of UDP", [1, 4, 7], "frames", "3"),
        ("rewrites of UDP", [{"between": ["a/b", "c/d"], "fields": {"ip.ttl": [64, 63]}}], "rewrites", "ip.ttl"),
        ("rewrites of UDP", [], "rewrites", "-"),
        ("neighbours of host/veth0", [{"mac": ""}, {"mac": ""}], "neighbours", "no"),
        ("neighbours of host/veth0", [], "neighbours", "no"),
        ("fdb of box/br0", [{"dev": "p1", "state": "permanent"}, {"dev": "p2", "state": "learned"}], "fdb", "p2"),
        ("conntrack of host", [{}], "conntrack", "1"),
        ("links of host/br0", [{"state": "DOWN"}], "up", "no"),
        ("links of host", [{}, {}], "links", "2"),
        ("routes of host", [{}], "routes", "1"),
        ("cni add net pod/eth0", {"code": 7, "msg": "no"}, "cni", "no"),
        ("run ip link add x in host", {"returncode": 0}, "run", "yes"),
    ],
)
def test_what_is_asked(question: str, answer: Any, topic: str, truth: str) -> None:
    made = only(question, answer)
    graded = grade(made, None, record((question, answer)))
    assert made.topic == topic
    assert graded.true is not None
    assert written(made, graded.true) == truth
    assert grade(made, read(made, truth), record((question, answer))).right


@pytest.mark.parametrize(
    ("question", "answer"), [("sysctl a.b of n1", "1"), ("how many UDP", 5000), ("seen.path(x)", "PatternError: ways")]
)
def test_what_nobody_can_foretell_is_not_asked(question: str, answer: Any) -> None:
    assert questions(record((question, answer))) == []


def test_few_questions_of_many() -> None:
    many: list[tuple[str, Any]] = [(f"ping 10.0.0.{n} from a", {"ok": True}) for n in range(20)]
    many += [("routes of a", [{}]), (REPLY, [])]
    assert [each.asked for each in questions(record(*many))] == [question for question, _answer in many]
    asked = questions(record(*many), few=True)
    assert len(asked) <= MOST
    assert [each.topic for each in asked] == ["ping"] * 3 + ["routes", "path"]
    assert len(questions(record(*many), few=True, again=True)) == 2


def test_what_was_asked_again_is_another_question() -> None:
    before = record((REPLY, ["host/veth1"]), (REPLY, []))
    first, second = questions(before)
    assert (first.turn, second.turn) == (0, 1)
    assert (grade(first, [], before).true, grade(second, [], before).true) == (["host/veth1"], [])


def test_where_an_act_only_waits_nothing_is_asked() -> None:
    spots = [Spot(3), Spot(4)]
    asked = questions(record(("neighbours of host", []), (REPLY, [])), spots, dull={3})
    assert [each.topic for each in asked] == ["path"]


def test_another_run_may_not_come_to_it() -> None:
    graded = grade(only(REPLY, []), [], record())
    assert (graded.true, graded.right, score([graded])) == (None, False, (0, 0))


def test_whose_mac_a_neighbour_table_holds() -> None:
    """Two interfaces may have it, as a bridge and its port do: each is right."""
    mac = "02:00:00:01:00:01"
    told = record(("neighbours of host/veth1", [{"address": "10.0.0.1", "mac": mac}]))
    spots = [Spot(5, (), ((mac, ("host/br0", "host/veth0")),))]
    (asked,) = questions(told, spots)
    assert (asked.topic, asked.place, asked.options) == ("owner", "10.0.0.1", tuple(INTERFACES[1:]))
    outcomes = {
        line: grade(asked, read(asked, line), told, spots=spots).right for line in ("br0", "veth0", "veth1", "-")
    }
    assert outcomes == {"br0": True, "veth0": True, "veth1": False, "-": False}
    assert Wording("en").answer(asked, grade(asked, None, told, spots=spots).true) == "br0 or veth0"
    with pytest.raises(UnreadableError):
        read(asked, "br0 veth0")
    unresolved = record(("neighbours of host/veth1", [{"address": "10.0.0.1", "mac": ""}]))
    (asked,) = questions(unresolved, [Spot(5)])
    assert grade(asked, read(asked, "-"), unresolved, spots=[Spot(5)]).right


def test_what_a_loop_asks_again_is_asked_once() -> None:
    again = record((REPLY, []), (REPLY, []), (REPLY, []))
    assert len(questions(again, [Spot(3), Spot(3), Spot(4)])) == 2
    assert len(questions(again, [Spot(3, (("n", "1"),)), Spot(3, (("n", "2"),)), Spot(3, (("n", "2"),))])) == 2


def test_words_that_are_drawn_by_lot_do_not_matter() -> None:
    (asked,) = questions(record(("ping 10.244.30.2 from a", {"ok": True})), [Spot(7)])
    again = record(("routes of a", []), ("ping 10.244.9.2 from a", {"ok": False}))
    assert grade(asked, True, again, spots=[Spot(6), Spot(7)]).true is False
    assert grade(asked, True, again, spots=[Spot(7), Spot(8)]).true is None


def test_every_act_that_asks_has_a_prediction(whole_run: tuple[dict[str, Any], Path]) -> None:
    """And of every prediction the true answer, typed in, is right."""
    without, acts = [], 0
    for lab in whole_run[0]["labs"]:
        for act in lab["acts"]:
            asked = [Observation(**observation) for observation in act["observations"]]
            ran = ActRecord(lab["name"], act["name"], capture=Captured(**act["capture"]), observations=asked)
            made = questions(ran)
            acts += 1
            # Nobody foretells a number of hundreds: an act whose only answers are such has no question to put.
            if not made and any(type(each.answer) is not int or each.answer <= _MOST for each in asked):
                without.append(f"{lab['name']}: {act['name']}")
            for each in made:
                true = grade(each, None, ran).true
                assert true is not None
                assert grade(each, read(each, written(each, true)), ran).right, each
    assert acts > 300
    assert without == []


# Answers


@pytest.mark.parametrize(
    "line", ["veth1 veth0 br0", "3 2 4", "veth1 > veth0 > br0", "host/veth1,veth0, 4", "veth1，veth0、br0"]
)
def test_a_path_may_be_typed_in_many_ways(line: str) -> None:
    assert read(only(REPLY, []), line) == ["host/veth1", "host/veth0", "host/br0"]


@pytest.mark.parametrize("line", ["veth9", "5", "0", "veth1 ?", ">"])
def test_what_is_no_answer_to_a_path(line: str) -> None:
    with pytest.raises(UnreadableError):
        read(only(REPLY, []), line)


@pytest.mark.parametrize(("line", "answer"), [("y", True), ("No", False), ("是", True), ("不会", False)])
def test_yes_and_no(line: str, answer: bool) -> None:
    assert read(only("ping 10.0.0.1 from a", {"ok": True}), line) is answer


def test_names_that_two_namespaces_have_are_told_apart() -> None:
    assert short(["a/eth0", "b/eth0", "b/br0"]) == {"a/eth0": "a/eth0", "b/eth0": "b/eth0", "b/br0": "br0"}


def test_an_interface_may_be_called_as_a_command() -> None:
    assert command("b") == "back"
    assert command("b", ["host/b"]) == ""
    assert command("back", ["host/b"]) == "back"
    assert (command("提示"), command(""), command("quit"), command("?")) == ("hint", "skip", "quit", "hint")
    assert (command("help"), command("帮助"), command("help", ["host/help"])) == ("help", "help", "")


@given(st.lists(st.sampled_from(INTERFACES), unique=True), st.text(max_size=40))
def test_what_is_written_can_be_read(path: list[str], noise: str) -> None:
    asked = only(REPLY, [])
    assert read(asked, written(asked, path)) == path
    with contextlib.suppress(UnreadableError):
        assert set(read(asked, noise)) <= set(INTERFACES)  # type: ignore[arg-type]


# Grading


@pytest.mark.parametrize(
    ("given_line", "seen", "hop", "told"),
    [
        ("veth1 veth0 br0", ["host/veth1", "host/veth0", "host/br0"], 0, ""),
        ("veth1 veth0", ["host/veth1", "host/veth0", "host/br0"], 3, "it ends at veth0, but br0"),
        ("veth1 br0 veth0", ["host/veth1", "host/veth0", "host/br0"], 2, "You said br0, but it was veth0"),
        ("veth1 veth0 br0", ["host/veth1"], 2, "You said veth0, but behind veth1 nobody"),
        ("veth1", [], 1, "You said veth1, but no interface"),
        ("-", ["host/veth1"], 1, "You said nowhere, but veth1"),
    ],
)
def test_the_first_wrong_hop(given_line: str, seen: list[str], hop: int, told: str) -> None:
    asked = only(REPLY, seen)
    graded = grade(asked, read(asked, given_line), record((REPLY, seen)))
    assert (graded.wrong, graded.right) == (hop, hop == 0)
    assert told in Wording("en").first_wrong(graded)
    assert bool(Wording("zh").first_wrong(graded)) == (hop > 0)


def test_a_set_says_what_was_left_out() -> None:
    asked = only("where ARP was seen", ["host/br0", "host/lo"])
    graded = grade(asked, read(asked, "lo veth0"), record(("where ARP was seen", ["host/br0", "host/lo"])))
    assert Wording("en").missed(graded) == ["Left out: br0", "Not among them: veth0"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_hints_never_give_all_away(language: str) -> None:
    true = ["host/veth1", "host/veth0", "host/br0"]
    asked, told = only(REPLY, true), Wording(language)
    hints = told.hints(asked, list(true), ["veth0", "veth1", "br0"], "br0 swallows it.")
    assert len(hints) == 3
    assert "veth1" in hints[0]
    assert "veth0" not in hints[0]
    assert "br0" not in "".join(hints)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (REPLY, [[], ["host/veth0"]]),
        ("where ARP was seen", [[], ["host/br0"]]),
        ("ping 10.0.0.1", [{"ok": True}, {"ok": False}]),
        ("how many ARP", [0, 1, 2]),
        ("how many ARP", [11, 17, 20]),
    ],
)
def test_a_first_hint_is_the_same_for_several_answers(language: str, question: str, answers: list[Any]) -> None:
    """What only one answer would make it say would be that answer."""
    told = Wording(language)
    observed = [(only(question, answer), record((question, answer))) for answer in answers]
    hints = [told.hints(asked, grade(asked, None, made).true, ["veth0"], "") for asked, made in observed]
    assert len({each[0] for each in hints}) == 1
    assert all(each[0] for each in hints)


# What is shown of an act before it runs


def test_a_scene_tells_what_is_tried_and_not_how_it_ends(tmp_path: Path) -> None:
    lab = tmp_path / "lab.py"
    lab.write_text(
        "def test_act(net, on):\n"
        '    """It ends so."""\n'
        "    for name, answered in ((a, True), (b, False)):\n"
        "        # It fails.\n"
        "        net.sysctl(name, on)\n"
        "        assert bool(net.ping('10.0.0.1')) == answered\n"
        "    assert not net.ping('10.0.0.2') and seen.count(x) == 3\n"
        "    assert {p1} <= seen.where(x)\n"
        "    with pytest.raises(OSError):\n"
        "        net.down(p1)\n"
    )
    assert [step.text for step in scene.steps(lab, "test_act[1]")] == [
        "for name, answered in ((a, ...), (b, ...)):",
        "    net.sysctl(name, on)",
        "    bool(net.ping('10.0.0.1'))",
        "net.ping('10.0.0.2')",
        "seen.count(x)",
        "seen.where(x)",
        "net.down(p1)",
    ]
    assert scene.loops(lab, "test_act") == [scene.Loop(3, 6, ("name",))]
    assert scene.told(scene.steps(lab, "test_act"), "on")


def test_no_scene_of_a_lab_has_an_assert_in_it() -> None:
    for lab in labfile.discover():
        for act in lab.acts:
            steps = scene.steps(lab.path, act.name)
            assert steps, f"{lab.name}: {act.name}"
            assert not any(step.text.lstrip().startswith("assert ") for step in steps)
            assert act.title not in "\n".join(step.text for step in steps)
        ast.parse(lab.path.read_bytes())


# Files


def test_the_course_has_every_lab_once_and_in_order() -> None:
    lessons = [lesson for chapter in course.load() for lesson in chapter.lessons]
    names = [lesson.lab for lesson in lessons]
    assert sorted(names) == sorted(lab.name for lab in labfile.discover()), "labs/course.toml names each lab once"
    for number, lesson in enumerate(lessons):
        assert set(lesson.after) <= set(names[:number]), f"{lesson.lab} comes before what it builds on"
    data = tomllib.loads((labfile.labs_folder() / "course.toml").read_text())
    assert set(data["after"]) <= set(names)


def test_a_course_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "course.toml").write_text("[[chapter]]\ntitle = 'x'\n")
    with pytest.raises(LabError, match=r"course\.toml"):
        course.load(tmp_path / "course.toml")


def test_progress_is_kept_where_xdg_says(tmp_path: Path) -> None:
    assert progress.place({"XDG_STATE_HOME": str(tmp_path)}) == tmp_path / "pktlab" / "learn.json"
    assert progress.place({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local/state/pktlab/learn.json"
    file = tmp_path / "deep" / "learn.json"
    Progress(file).record("lab", "act", 2, 3)
    Progress(file).record("lab", "other", 1, 1)
    assert Progress(file).acts("lab") == {"act": (2, 3), "other": (1, 1)}
    Progress(file).reset("lab")
    assert Progress(file).acts("lab") == {}
    progress.reset(file)
    assert not file.exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 2, "labs": {}}', '{"version": 1, "labs": {"a": {"b": 1}}}']
)
def test_a_file_that_is_no_progress_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "learn.json").write_text(text)
    with pytest.raises(PktlabError, match=r"not pktlab's") as caught:
        Progress(tmp_path / "learn.json")
    assert "--reset" in caught.value.remedy


@pytest.mark.parametrize("text", ["x", "a = 1", "a = [1]", 'a = ["\\xff"]'])
def test_a_file_of_answers_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "answers.toml").write_text(text)
    with pytest.raises(PktlabError, match=r"answers\.toml"):
        sheet.read(tmp_path / "answers.toml")


# Layout


CHINESE = "veth0 是 br0 的端口，所以凡是到达 veth0 的帧都交给了 br0（见 ip-link(8)）。它仍然能发：请求发得出去。"


@pytest.mark.parametrize("width", [24, 40, 80])
def test_chinese_is_wrapped_by_columns(width: int) -> None:
    lines = wrap(CHINESE, width)
    assert all(cell_len(line) <= width for line in lines)
    assert not [line for line in lines if line[0] in "，。（）：" and line[0] != "（"]
    assert "".join(lines).replace(" ", "") == CHINESE.replace(" ", "")


@given(st.text(), st.integers(20, 100))
def test_nothing_is_lost_by_wrapping(text: str, width: int) -> None:
    assert "".join("".join(wrap(text, width)).split()) == "".join(text.split())


# The command


def english(tmp_path: Path, **more: str) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"), TERM="dumb", LC_ALL="C.UTF-8", PKTLAB_LANG="", **more)


STEPS = [
    ("Enter begins.", "?\n"),
    ("Enter begins, q quits", "\n"),
    ("(yes or no)", "?\n"),
    ("Packets of any kind are seen in this act by: lo, veth0", "help\n"),
    ("? gives a hint, s skips", "no\n"),
    ("Question 2 of 5", "back\n"),
    ("Question 1 of 5", "no\n"),
    ("Question 2 of 5", "veth0 nobody\n"),
    ("“nobody” is no answer", "veth0 veth1\n"),
    ("Question 3 of 5", "veth1 veth0\n"),
    ("Question 4 of 5", "-\n"),
    ("Question 5 of 5", "skip\n"),
    ("sh NAMESPACE (host)", "sh host\n"),
    ("host# ", "ip -br link show br0; exit\n"),
    ("Enter goes on", "\n"),
]
ANSWERS = 'test_address_on_the_port = ["no", "veth0 veth1", "veth1 veth0", "-", "skip"]\n'


def learn_at_terminal(
    tmp_path: Path, steps: list[tuple[str, str]], *more: str, env: dict[str, str], few: bool = True
) -> Session:
    session = at_terminal([*COMMAND, "learn", LAB, *(["--few"] if few else []), *more], steps, env)
    if "this machine" in session.text and session.status == 3:
        pytest.skip("this machine runs no labs")
    return session


def test_a_lab_at_a_terminal(tmp_path: Path) -> None:
    """Predictions, a hint, back, a wrong hop, a shell in the network; and --answers grades the same."""
    env, typed = english(tmp_path), tmp_path / "typed.json"
    words = ("-k", "address_on_the_port")
    session = learn_at_terminal(tmp_path, STEPS, *words, "--json", str(typed), env=env)
    assert session.status == 0, session.text
    assert "First wrong hop: 3. You said it ends at veth0, but br0 saw it as well." in session.text
    assert re.search(r"3 +- +br0 +<--", session.text)
    assert re.search(r"br0 +in +\+\d+ us +ARP, Reply 192\.168\.3\.102 is-at", session.text)
    assert "02:00:00:01:00:01 <BROADCAST" in session.text  # br0, as the shell in the namespace saw it
    assert "Source: 001_e2ceb9ee64e8f74d.txt" in session.text
    assert "3 of 5 foretold." in session.text
    assert "\x1b[" not in re.sub(r"\x1b\[\?2004[hl]", "", session.text)
    kept = json.loads((tmp_path / "state/pktlab/learn.json").read_text())
    assert kept["labs"] == {LAB: {"test_address_on_the_port": [3, 5]}}

    (tmp_path / "answers.toml").write_text(ANSWERS)
    said = pktlab_command(
        "learn", LAB, "--few", *words, "--answers", "answers.toml", "--json", "-", cwd=tmp_path, env=env
    )
    assert said.status == 0, said.err
    replayed, graded = json.loads(said.out), json.loads(typed.read_text())
    assert [each.pop("hints") for each in graded["acts"][0]["predictions"]] == [0, 0, 0, 0, 0]
    assert [each.pop("hints") for each in replayed["acts"][0]["predictions"]] == [0, 0, 0, 0, 0]
    assert graded == replayed
    assert [each["right"] for each in graded["acts"][0]["predictions"]] == [True, True, False, True, False]
    assert graded["acts"][0]["predictions"][2]["first_wrong_hop"] == 3

    told = pktlab_command("learn", cwd=tmp_path, env=env).out
    assert "1 of 5 acts done, 3 of 5 foretold" in told
    assert pktlab_command("learn", LAB, "--reset", cwd=tmp_path, env=env).status == 0
    assert "acts done" not in pktlab_command("learn", cwd=tmp_path, env=env).out


def test_a_lab_in_chinese_from_beginning_to_end(tmp_path: Path) -> None:
    env = english(tmp_path) | {"LANG": "zh_CN.UTF-8", "LC_ALL": "", "LANGUAGE": ""}
    asked = [
        ("按回车开始。", "\n"),
        ("问题 1 / 5", "否\n"),
        ("问题 2 / 5", "2 3\n"),
        ("问题 3 / 5", "veth1、veth0\n"),
        ("问题 4 / 5", "-\n"),
        ("问题 5 / 5", "提示\n"),
        ("看到过任何报文的接口", "帮助\n"),
        ("? 要提示", "跳过\n"),
        ("回车继续", "\n"),
        ("问题 1 / 3", "是\n"),
        ("问题 2 / 3", "返回\n"),
        ("问题 1 / 3", "是\n"),
        ("问题 2 / 3", "veth1 veth0\n"),
        ("问题 3 / 3", "veth1\n"),
        ("回车继续", "\n"),
    ]
    session = learn_at_terminal(tmp_path, asked, "-k", "address_on_the_port or test_no_bridge", env=env)
    assert session.status == 0, session.text
    assert "网桥吞掉了 ARP 应答。" in session.text
    assert "第 3 跳开始错：你说它到 veth0 为止，其实 br0 也看到了它。" in session.text
    assert "共 3 题，猜中 3 题。" in session.text
    # What is typed, and what a lab draws or tcpdump says, is not wrapped here.
    assert [line for line in session.text.splitlines() if cell_len(line) > 80] == []


@pytest.mark.parametrize(
    ("language", "begin", "question", "after", "end"),
    [
        ("en", "Enter begins.", "Question {} of {}.", "Enter goes on;", "{} of {} foretold."),
        ("zh", "按回车开始。", "问题 {} / {}。", "回车继续，", "共 {} 题，猜中 {} 题。"),
    ],
    ids=["en", "zh"],
)
def test_a_lab_from_start_to_finish(
    tmp_path: Path, language: str, begin: str, question: str, after: str, end: str
) -> None:
    """Who types what the network then does has foretold all of it; within 80 columns, without colour."""
    env = english(tmp_path) | {"PKTLAB_LANG": language, "NO_COLOR": "1"}
    said = pktlab_command("learn", LAB, "--answers", "/dev/null", "--json", "-", cwd=tmp_path, env=env)
    if said.status == 3:
        pytest.skip(said.err)
    steps = [(begin, "\n")]
    truths = [[each["true"] for each in act["predictions"]] for act in json.loads(said.out)["acts"]]
    assert len(truths) == 8
    for act in truths:
        steps += [(question.format(number, len(act)), f"{true}\n") for number, true in enumerate(act, 1)]
        steps += [(after, "\n")]
    session = learn_at_terminal(tmp_path, steps, env=env, few=False)
    count = sum(map(len, truths))
    assert session.status == 0, session.text
    assert session.text.rstrip().endswith(end.format(count, count)), session.text[-400:]
    assert [line for line in session.text.splitlines() if cell_len(line) > 80] == []


def test_quit_and_go_on(tmp_path: Path) -> None:
    env = english(tmp_path)
    words = ("-k", "test_no_bridge or without_accept_local")
    steps = [("Enter begins", "\n"), *[(f"Question {n} of 3", "s\n") for n in (1, 2, 3)], ("Enter goes on", "q\n")]
    assert learn_at_terminal(tmp_path, steps, *words, env=env).status == 0
    again = [
        ("Enter begins", "\n"),
        ("You have done 1 of 2 acts", ""),
        ("Act 2 of 2", ""),
        ("Question 1", ""),
        ("> ", "\x04"),
    ]
    session = learn_at_terminal(tmp_path, again, *words, env=env)
    assert (session.status, "Until next time" in session.text) == (0, True)
    stopped = learn_at_terminal(tmp_path, [("Enter begins.", ""), ("> ", "\x03\n")], *words, env=env)
    assert stopped.status == 130


FAILING = '''"""A lab of a test.

    a -- b
"""

import pytest
from pktlab import Network, Topology

topology = Topology()
a = topology.namespace("a")
b = topology.namespace("b")
one, two = a.veth("one", "two", netns=b)
one.address("10.0.0.1/24")
two.address("10.0.0.2/24")


def test_skips(net: Network) -> None:
    """It skips."""
    pytest.skip("no such program")


def test_fails(net: Network) -> None:
    """It fails."""
    assert not net.ping("10.0.0.2", dev=one)


@pytest.mark.parametrize(("ttl", "answered"), [(64, True), (1, True)])
def test_holds(net: Network, ttl: int, answered: bool) -> None:
    """It holds."""
    assert bool(net.ping("10.0.0.2", dev=one, ttl=ttl)) == answered


def test_needs_no_network() -> None:
    """It needs none."""
'''


def test_an_act_that_fails_or_is_skipped_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a_lab.py").write_text(FAILING)
    (tmp_path / "answers.toml").write_text('"test_holds[64-True]" = ["yes"]\n"test_holds[1-True]" = ["no"]\n')
    words = ("learn", "./a_lab.py", "--answers", "answers.toml", "--json", "grades.json")
    said = pktlab_command(*words, cwd=tmp_path, env=english(tmp_path))
    if said.status == 3:
        pytest.skip(said.err)
    assert said.status == 1, said.err
    assert "This act cannot run on this machine: no such program" in said.out
    assert "This act did not come out as the lab says" in said.out
    assert "This time with ttl = 1." in said.out  # and nothing of `answered`
    grades = json.loads((tmp_path / "grades.json").read_text())
    assert [act["status"] for act in grades["acts"]] == ["skipped", "failed", "passed", "passed", "passed"]
    assert (grades["right"], grades["asked"]) == (1, 2)
    assert not (tmp_path / "state").exists()


LOSING = '''"""A lab of a test."""

from pathlib import Path

from pktlab import Network, Topology
from pktlab.errors import Inconclusive

topology = Topology()
a = topology.namespace("a")
ran = Path(__file__).with_name("ran")


def test_loses_frames_at_first(net: Network) -> None:
    """It holds in the end."""
    assert len(net.links(a)) == 1
    with ran.open("a") as file:
        file.write("x")
    if len(ran.read_text()) in (1, 3):
        raise Inconclusive("a frame was lost")
'''


def test_an_act_that_loses_frames_is_run_again(tmp_path: Path) -> None:
    """At the rehearsal, and at the performance."""
    (tmp_path / "a_lab.py").write_text(LOSING)
    words = ("learn", "./a_lab.py", "--answers", "/dev/null", "--json", "-")
    said = pktlab_command(*words, cwd=tmp_path, env=english(tmp_path))
    if said.status == 3:
        pytest.skip(said.err)
    assert said.status == 0, said.err
    assert (tmp_path / "ran").read_text() == "xxxx"
    assert [each["true"] for each in json.loads(said.out)["acts"][0]["predictions"]] == ["1"]


def test_answers_that_cannot_be_read(tmp_path: Path) -> None:
    env = english(tmp_path)
    (tmp_path / "a.toml").write_text('test_none = ["no"]\n')
    said = pktlab_command("learn", LAB, "--answers", "a.toml", cwd=tmp_path, env=env)
    assert (said.status, "has no act test_none" in said.err) == (2, True)
    (tmp_path / "a.toml").write_text('test_no_bridge = ["perhaps"]\n')
    said = pktlab_command("learn", LAB, "-k", "test_no_bridge", "--answers", "a.toml", cwd=tmp_path, env=env)
    if said.status != 3:
        assert (said.status, "'perhaps' is no answer" in said.err) == (2, True)


def test_an_ordinary_user_learns_as_well(tmp_path: Path) -> None:
    setpriv = shutil.which("setpriv")
    user = [str(setpriv), "--reuid=65534", "--regid=65534", "--clear-groups", *COMMAND]
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("root alone can become another user")
    if subprocess.run(
        [*user[:4], sys.executable, "-P", "-c", "import pktlab"], capture_output=True, check=False
    ).returncode:
        pytest.skip("an ordinary user cannot read this checkout")
    tmp_path.chmod(0o777)
    done = subprocess.run(
        [*user, "learn", LAB, "-k", "test_no_bridge", "--answers", "/dev/null", "--json", "-"],
        cwd="/",
        env=english(tmp_path, TMPDIR="/tmp", HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 3:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert [each["true"] for each in json.loads(done.stdout)["acts"][0]["predictions"]] == [
        "yes",
        "veth1 veth0",
        "veth1",
    ]


def test_what_the_command_needs_not_import() -> None:
    """The course is shown without Scapy, pyroute2 and pytest."""
    code = (
        "import sys; sys.argv[1:] = ['learn']\nimport pktlab.cli\n"
        "try: pktlab.cli.main()\nexcept SystemExit: pass\n"
        "print([name for name in ('scapy', 'pyroute2', 'pytest') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"

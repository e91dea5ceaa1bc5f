"""The catalogues: keys from the labs themselves, what is missing, stale or has lost a name, and the language."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pktlab import catalogue, labfile
from pktlab.catalogue import files, texts
from pktlab.catalogue.__main__ import main
from pktlab.catalogue.files import Domain
from pktlab.catalogue.texts import Text
from pktlab.errors import LabError

LAB = "bridge_swallows_arp_reply"


def domain(folder: Path, *keys: str, name: str = "lab") -> Domain:
    return Domain(name, folder, tuple(Text(key, "") for key in keys))


def filled(folder: Path, *pairs: tuple[str, str], name: str = "lab") -> Domain:
    made = domain(folder, *(key for key, _string in pairs), name=name)
    file = files.write(made, "zh")
    text = file.read_text("utf-8")
    for key, string in pairs:
        text = text.replace(f'msgid "{key}"\nmsgstr ""', f'msgid "{key}"\nmsgstr "{string}"')
    file.write_text(text, "utf-8")
    return made


def test_a_skeleton_has_every_text_in_order(tmp_path: Path) -> None:
    made = domain(tmp_path, "one", 'two "quoted"', "three")
    assert [m.id for m in files.read(files.write(made, "zh")) if m.id] == ["one", 'two "quoted"', "three"]
    assert len(list(files.faults(made, "zh"))) == 3


def test_what_is_translated_stays_and_what_is_stale_goes(tmp_path: Path) -> None:
    filled(tmp_path, ("one", "一"), ("two", "二"))
    now = domain(tmp_path, "two", "three")
    assert list(files.faults(now, "zh")) == ["missing: three", "stale: one"]
    files.write(now, "zh")
    assert list(files.faults(now, "zh")) == ["missing: three"]
    assert catalogue.translations(now.file("zh")).gettext("two") == "二"


@pytest.mark.parametrize(
    ("key", "string", "lost"),
    [
        ("See ip-link(8).", "参见手册。", "ip-link(8)"),
        ("Set rp_filter.", "设置过滤。", "rp_filter"),
        ("Ask `ip route`, please.", "请问路由。", "`ip route`"),
        ("It has 10.0.0.1.", "地址是 10.0.0.2。", "10.0.0.1"),
    ],
)
def test_a_name_must_not_get_lost(tmp_path: Path, key: str, string: str, lost: str) -> None:
    assert list(files.faults(filled(tmp_path, (key, string)), "zh")) == [f"{lost} is not in both: {key}"]


def test_a_field_of_the_program_must_not_get_lost(tmp_path: Path) -> None:
    made = filled(tmp_path, ("{a} and {b}", "{a}和{c}"), name=files.PROGRAM)
    assert list(files.faults(made, "zh")) == ["{b} is not in both: {a} and {b}"]


def test_a_broken_catalogue_is_named(tmp_path: Path) -> None:
    made = domain(tmp_path, "one")
    files.write(made, "zh").write_text('msgid "one"\nmsgstr ""\nrubbish')
    with pytest.raises(LabError, match=r"lab\.po"):
        list(files.faults(made, "zh"))


def test_every_text_has_its_key() -> None:
    lab = labfile.find([LAB])[0]
    keys = [text.key for text in texts.of_lab(lab)]
    assert keys[0] == lab.title
    assert all("\n" not in key for key in keys)
    assert {act.text for act in lab.acts} <= set(keys)
    assert not set(keys) & set(lab.drawing.splitlines())


def test_no_lab_is_without_english() -> None:
    """The keys are the English: each lab has a story, and each act says what comes of it."""
    silent = [f"{lab.name}: {act.name}" for lab in labfile.discover() for act in lab.acts if not act.text]
    assert silent + [lab.name for lab in labfile.discover() if not lab.story or lab.title == lab.name] == []


def test_the_example_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([LAB]) == 0
    assert capsys.readouterr().out == ""
    lab = labfile.find([LAB])[0]
    chinese = catalogue.translations(files.of_lab(lab, "zh"))
    assert chinese.gettext(lab.title) == "网桥吞掉了 ARP 应答。"
    assert catalogue.translations(files.of_lab(lab, "en")).gettext(lab.title) == lab.title


@pytest.mark.parametrize("language", [each for each in catalogue.LANGUAGES if each != catalogue.SOURCE])
def test_no_text_is_missing_or_stale(language: str) -> None:
    wrong = [f"{each.name}: {fault}" for each in files.domains() for fault in files.faults(each, language)]
    assert wrong == [], "python -m pktlab.catalogue --update NAME, then fill in what is missing"


def test_every_word_for_learners_is_looked_up() -> None:
    """A sentence that is said without being looked up would be English in every language."""
    package = Path(catalogue.__file__).parent.parent
    said = []
    for file in [*package.glob("cli/learn*.py"), *package.glob("learn/wording.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("say", "heading"):
                words = [each.value for each in node.args if isinstance(each, ast.Constant) and str(each.value).strip()]
                roles = {"name", "title", "mark", "question", "detail", "passed", "failed", "skipped"}
                said += [f"{file.name}:{node.lineno}: {word!r}" for word in words if word not in roles]
    assert said == []


def test_no_catalogue_has_a_strange_name() -> None:
    known = {each.file(language) for each in files.domains() for language in catalogue.LANGUAGES}
    there = {file for each in files.domains() for file in each.folder.rglob("*.po")}
    assert there - known == set()


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANGUAGE": "de:zh", "LANG": "de_DE.UTF-8"}, "zh"),
        ({"LC_ALL": "de_DE", "LANG": "zh_CN"}, "en"),
        ({"PKTLAB_LANG": "zh", "LC_ALL": "en_GB"}, "zh"),
        ({"PKTLAB_LANG": "en", "LANG": "zh_CN"}, "en"),
    ],
)
def test_the_locale_chooses(environ: dict[str, str], language: str) -> None:
    assert catalogue.language("", environ) == language
    assert catalogue.language("zh_TW", environ) == "zh"


def test_what_was_asked_for_must_be_there() -> None:
    for wanted, environ in (("xx", {}), ("", {"PKTLAB_LANG": "xx"})):
        with pytest.raises(LabError, match="'xx'"):
            catalogue.language(wanted, environ)


@given(st.text())
def test_paragraphs_are_lines(text: str) -> None:
    for paragraph in texts.paragraphs(text):
        assert paragraph.startswith("    ") or "\n" not in paragraph

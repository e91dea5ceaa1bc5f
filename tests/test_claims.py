"""The decorators, the file of claims, and what becomes of a claim."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pktlab import claims, labfile, verdict
from pktlab.act import ActRecord
from pktlab.claims import Citation, Claim, confirms, depends, refutes
from pktlab.errors import LabError
from pktlab.evidence import Evidence
from pktlab.report import LabResult

ENTRY = '[[claim]]\nid = "a"\ntopic = "arp"\ndocuments = ["x.txt § 1"]\nstatement = "Yes."\n'


def test_decorators_attach_what_they_say() -> None:
    @confirms("a", "b")
    @refutes("c")
    @depends("d", on="rp_filter")
    def act() -> None:
        """An act."""

    assert act.__doc__ == "An act."
    assert getattr(act, claims.ATTRIBUTE) == [
        {"id": "a", "verdict": "confirmed"},
        {"id": "b", "verdict": "confirmed"},
        {"id": "c", "verdict": "refuted"},
        {"id": "d", "verdict": "depends", "on": "rp_filter"},
    ]


def test_the_source_says_the_same_as_the_decorators(tmp_path: Path) -> None:
    path = tmp_path / "lab.py"
    path.write_text(
        "from pktlab.claims import confirms, depends, refutes\ntopology = 1\n"
        '@confirms("a", "b")\n@refutes("c")\n@depends("d", on="x")\ndef test_a(net): ...\n'
    )
    made: dict[str, Any] = {}
    exec(path.read_text(), made)
    assert labfile.read(path).acts[0].claims == getattr(made["test_a"], claims.ATTRIBUTE)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: confirms(), "@confirms names no claim"),
        (lambda: confirms(print), "@confirms without parentheses"),  # type: ignore[arg-type]
        (lambda: refutes(3), "@refutes with 3"),  # type: ignore[arg-type]
        (lambda: refutes("a", " "), "@refutes with ' '"),
        (lambda: depends("a"), "@depends does not say on what"),
        (lambda: depends("a", on=" "), "@depends does not say on what"),
        (lambda: depends(print), "@depends does not say on what"),  # type: ignore[arg-type]
    ],
)
def test_wrong_use_names_the_line(use: Callable[[], object], message: str) -> None:
    with pytest.raises(LabError) as error:
        use()
    assert message in error.value.message
    assert f"{__file__}:{use.__code__.co_firstlineno}: " in error.value.message
    assert "@" in error.value.remedy


def test_shipped_claims_are_sound() -> None:
    loaded = claims.load()
    assert len(loaded) > 200
    assert len({claim.statement for claim in loaded}) == len(loaded)


def test_shipped_labs_cite_known_claims_and_agree() -> None:
    claims.check(claims.load(), claims.citations(labfile.discover()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY + ENTRY, "claim 2: id 'a' is there already"),
        (ENTRY.replace('topic = "arp"\n', ""), "claim 1 has no topic"),
        (ENTRY.replace('"Yes."', '""'), "claim 1 has no statement"),
        (ENTRY.replace('"Yes."', "3"), "claim 1 has no statement"),
        (ENTRY.replace('["x.txt § 1"]', "[]"), "claim 1 has no documents"),
        (ENTRY.replace('["x.txt § 1"]', "[1]"), "claim 1 has no documents"),
        (ENTRY.replace('"a"', '["a"]'), "claim 1 has no id"),
        (ENTRY + "more = 1\n", "unknown key 'more'"),
        (ENTRY + "really = 1\n", "claim 1: really is not one line of text"),
        (ENTRY + 'really = " "\n', "claim 1: really is not one line of text"),
        (ENTRY + 'undecidable = "a\\nb"\n', "claim 1: undecidable is not one line of text"),
        (ENTRY + "[[claims]]\n", "something else than"),
        ("claim = 3\n", "something else than"),
        ("claim = [3]\n", "claim 1 is not a table"),
        ("[[claim\n", "is not TOML"),
    ],
)
def test_claims_file_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(LabError) as error:
        claims.load(path)
    assert message in error.value.message
    assert str(path) in error.value.message


def test_claims_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot read"):
        claims.load(tmp_path / "claims.toml")


SCALAR = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5)
ODD = st.dictionaries(
    st.sampled_from(["id", "topic", "documents", "statement", "odd"]), SCALAR | st.lists(SCALAR, max_size=2)
)


@given(st.lists(ODD, max_size=3) | SCALAR)
def test_odd_entries_are_claims_or_a_lab_error(tmp_path_factory: pytest.TempPathFactory, entries: Any) -> None:
    path = tmp_path_factory.mktemp("odd") / "claims.toml"
    path.write_text("claim = " + _toml(entries))
    try:
        loaded = claims.load(path)
    except LabError:
        return
    assert [claim.id for claim in loaded] == [entry["id"] for entry in entries]
    assert all(claim.documents and claim.statement.strip() for claim in loaded)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # JSON's strings are TOML's, but TOML has no null.
    return '""' if value is None else json.dumps(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_claims_or_a_lab_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "claims.toml"
    path.write_bytes(data)
    with contextlib.suppress(LabError):
        assert claims.load(path) == []


ARP = Claim("a", "arp", "Yes.", ("x.txt",))
WRONG = Claim("a", "arp", "Yes.", ("x.txt",), really="No.")


def cite(verdict: str, act: str = "test_a", on: str = "") -> Citation:
    return Citation("a", verdict, "lab", act, on)


def result(*acts: tuple[str, str, str]) -> LabResult:
    records = [ActRecord("lab", name, status=status, reason=reason) for name, status, reason in acts]
    return LabResult("lab", "", records)


def test_check_refuses_what_nobody_claims() -> None:
    with pytest.raises(LabError, match=r"lab: test_a cites 'a', which claims\.toml does not have"):
        claims.check([], [cite("confirmed")])


def test_check_refuses_a_contradiction_but_not_a_dependence() -> None:
    claims.check([ARP], [cite("confirmed"), cite("depends", on="x"), cite("confirmed", "test_b")])
    with pytest.raises(LabError, match="confirmed by lab: test_a, but refuted by lab: test_b"):
        claims.check([ARP], [cite("confirmed"), cite("refuted", "test_b")])


def test_check_wants_to_know_what_really_happens() -> None:
    with pytest.raises(LabError, match="'a' is refuted by lab: test_a, but nobody says what really happens"):
        claims.check([ARP], [cite("refuted")])
    claims.check([WRONG], [cite("refuted")])
    claims.check([ARP], [cite("refuted"), cite("depends", "test_b", "x")])


def test_check_refuses_an_act_for_what_no_packet_can_decide() -> None:
    with pytest.raises(LabError, match=r"test_a decides .a., which claims\.toml calls undecidable"):
        claims.check([Claim("a", "arp", "Nice.", ("x.txt",), undecidable="a matter of taste")], [cite("confirmed")])


def test_a_passed_act_decides() -> None:
    (proved,) = verdict.proved([ARP], [cite("refuted")], [result(("test_a", "passed", ""))])
    assert proved == verdict.Verdict(ARP, "refuted", lab="lab", act="test_a", evidence=(Evidence("", ""),))


@pytest.mark.parametrize("status", ["failed", "inconclusive"])
def test_an_act_that_did_not_pass_leaves_the_claim_open(status: str) -> None:
    (proved,) = verdict.proved([ARP], [cite("confirmed")], [result(("test_a", status, "why"))])
    assert proved == verdict.Verdict(ARP, "open", lab="lab", act="test_a", reason=f"{status}: why")


def test_a_lab_that_did_not_run_leaves_the_claim_open() -> None:
    (proved,) = verdict.proved([ARP], [cite("confirmed")], [LabResult("lab", fault="no import")])
    assert (proved.verdict, proved.reason) == ("open", "no import")
    (proved,) = verdict.proved([ARP], [cite("confirmed")], [])
    assert (proved.verdict, proved.reason) == ("open", "the act did not run")


def test_every_case_of_a_parametrized_act_must_pass() -> None:
    cases = [("test_a[1]", "passed", ""), ("test_a[2]", "failed", "why"), ("test_ab", "passed", "")]
    assert verdict.proved([ARP], [cite("confirmed")], [result(*cases)])[0].verdict == "open"
    assert verdict.proved([ARP], [cite("confirmed")], [result(cases[0], cases[2])])[0].verdict == "confirmed"


def test_a_second_act_can_decide_and_a_dependence_says_more() -> None:
    acts = result(("test_a", "failed", ""), ("test_b", "passed", ""), ("test_c", "passed", ""))
    cited = [cite("confirmed"), cite("confirmed", "test_b")]
    assert verdict.proved([ARP], cited, [acts])[0].act == "test_b"
    assert verdict.proved([ARP], [*cited, cite("depends", "test_c", "x")], [acts])[0].on == "x"


def test_uncited_claims_are_open_and_declared_ones_are_as_written() -> None:
    other = Claim("b", "arp", "No.", ("x.txt",))
    found = verdict.declared([ARP, other], [cite("depends", on="rp_filter")])
    assert verdict.as_json(found) == {
        "version": 1,
        "claims": [
            {
                "id": "a",
                "topic": "arp",
                "statement": "Yes.",
                "documents": ["x.txt"],
                "verdict": "depends",
                "on": "rp_filter",
                "really": "",
                "lab": "lab",
                "act": "test_a",
                "evidence": [],
                "reason": "",
            },
            {
                "id": "b",
                "topic": "arp",
                "statement": "No.",
                "documents": ["x.txt"],
                "verdict": "open",
                "on": "",
                "really": "",
                "lab": "",
                "act": "",
                "evidence": [],
                "reason": "",
            },
        ],
    }

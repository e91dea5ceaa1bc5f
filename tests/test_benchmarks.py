"""Each benchmark still does pktlab's side of its work, at sizes that tell nothing about speed."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from benchmarks import measure, scale, table
from benchmarks.__main__ import BENCHMARKS, chosen
from benchmarks.measure import Case, Contender, Metric, Missing
from pktlab.errors import SandboxError
from pktlab.kernel import sandbox

TIME, RATE = Metric("time", "s"), Metric("rate", "frames/s", more=True)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_pktlabs_side(name: str) -> None:
    try:
        sandbox.available()
    except SandboxError as error:
        pytest.skip(str(error))
    for case in chosen([name], scale.TINY):
        measured = measure.measure(case, rounds=1, budget=10, only_ours=True)
        for outcome in measured.outcomes:
            assert (outcome.name, outcome.failed, outcome.skipped) == (outcome.name, "", "")
            assert outcome.median(case.metrics[0].name) is not None, outcome.name


def missing() -> dict[str, float]:
    raise Missing("it is not installed: apt-get install it")


def broken() -> dict[str, float]:
    raise ValueError("no\nreason")


def case() -> Case:
    rounds = iter([3.0, 1.0, 2.0])
    return Case(
        "some",
        "some work",
        (TIME, RATE),
        (
            Contender("pktlab", lambda: {"time": next(rounds), "rate": 100.0}),
            Contender("slow", lambda: {"time": 8.0, "rate": 50.0}, "as it is"),
            Contender("quick", lambda: {"time": 0.5}),
            Contender("absent", missing),
            Contender("broken", broken),
        ),
    )


def test_medians_and_ratios() -> None:
    measured = measure.measure(case(), rounds=3, budget=60)
    ours, slow, quick, absent, failed = measured.outcomes
    assert (ours.median("time"), len(ours.rounds)) == (2.0, 3)
    assert (measured.ratio(slow, "time"), measured.ratio(slow, "rate")) == (0.25, 2.0)
    assert (measured.ratio(quick, "time"), measured.ratio(quick, "rate")) == (4.0, None)
    assert measured.ratio(ours, "time") is None
    assert (absent.skipped, failed.failed) == ("it is not installed: apt-get install it", "ValueError: no")
    assert [o.name for o in measure.lowest_first(measured)] == ["pktlab", "quick", "slow", "absent", "broken"]


def test_who_is_slow_sits_out() -> None:
    assert [len(o.rounds) for o in measure.measure(case(), rounds=3, budget=0.0).outcomes[:2]] == [1, 1]


def test_page_and_json() -> None:
    measured = measure.measure(case(), rounds=1, budget=60)
    page = table.page([measured], {"kernel": "6"}, "make bench")
    assert "| slow | 8 | 0.38 | 50 | 2.00 | 1 | as it is |" in page
    assert "| absent | | | | | | skipped: it is not installed: apt-get install it |" in page
    assert "## Some work\n\n`make bench`\n" in page
    data = json.loads(json.dumps(table.data([measured], {"kernel": "6"}, "make bench")))
    assert data["cases"][0]["contenders"][1]["figures"]["time"] == {"median": 8.0, "rounds": [8.0], "ratio": 0.375}


def test_a_section_made_anew_leaves_the_others() -> None:
    some = measure.measure(case(), rounds=1, budget=60)
    other = measure.measure(replace(case(), title="other work"), rounds=1, budget=60)
    machine = {"kernel": "6", "load before": "1"}
    both = table.page([some, other], machine, "make bench")
    again = table.page([some], machine | {"load before": "2"}, "python -m benchmarks some", both)
    assert both.count("`make bench`") - again.count("`make bench`") == 1
    assert "## Some work\n\n`python -m benchmarks some`\n" in again
    assert again.partition("## Other work")[2] == both.partition("## Other work")[2] != ""
    assert "Other work" not in table.page([some], machine | {"kernel": "7"}, "make bench", both)


def test_nothing_of_the_harness_slows_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import program

    assert not any(name.startswith("PYTHON") for name in program.ENVIRONMENT)
    assert os.environ["PATH"] in program.ENVIRONMENT["PATH"]

"""Which acts break without which setting: the table, and the command that makes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commandline import Said, pktlab_command
from hypothesis import given
from hypothesis import strategies as st

from pktlab import Topology
from pktlab.ablation import BREAKS, HOLDS, Cell, Removal, Table, cell, removals

OUTCOMES = st.sampled_from([HOLDS, BREAKS, "skipped", "inconclusive"])


def small() -> Topology:
    topology = Topology()
    host = topology.namespace("host")
    with topology.scenery("the far end"):
        a0, _a1 = host.veth("a0", "a1")
    a0.address("10.0.0.1/24")
    return topology


def filled(cells: dict[tuple[int, str], Cell], acts: list[str], whole: dict[str, Cell] | None = None) -> Table:
    topology = small()
    found = removals(topology)
    table = Table("lab", acts, found, [each.takes(topology) for each in found])
    table.whole = {act: Cell(HOLDS) for act in acts} | (whole or {})
    every = {(number, act): Cell(BREAKS, "line 1: no") for number in range(len(found)) for act in acts}
    table.cells = every | cells
    return table


def test_a_device_takes_with_it_what_stands_on_it() -> None:
    table = filled({}, ["test_a"])
    words = [removal.words for removal in table.removals]
    assert words == [
        "ip netns add host",
        "ip -n host link set lo up",
        "ip -n host link add a0 address 02:00:00:01:00:01 type veth peer name a1 address 02:00:00:01:00:02",
        "ip -n host link set a0 up",
        "ip -n host link set a1 up",
        "ip -n host addr add 10.0.0.1/24 dev a0",
    ]
    assert [len(taken) for taken in table.takes] == [5, 0, 3, 0, 0, 0]


def test_idle_is_what_every_act_does_without() -> None:
    without_address = {(5, act): Cell(HOLDS) for act in ("test_a", "test_b")}
    assert [removal.words for removal in filled(without_address, ["test_a", "test_b"]).idle()] == [
        "ip -n host addr add 10.0.0.1/24 dev a0"
    ]
    one_needs_it = without_address | {(5, "test_b"): Cell(BREAKS, "no")}
    assert filled(one_needs_it, ["test_a", "test_b"]).idle() == []
    for unknown in ("skipped", "inconclusive"):
        assert filled(without_address | {(5, "test_b"): Cell(unknown)}, ["test_a", "test_b"]).idle() == []
        # An act that cannot run at all may be the one that needs it.
        cannot = {"test_b": Cell(unknown, "nft is not installed")}
        assert filled(without_address, ["test_a", "test_b"], cannot).idle() == []


def test_scenery_is_never_idle_but_worth_a_remark_where_it_is_needed() -> None:
    held = {(number, "test_a"): Cell(HOLDS) for number in (1, 2, 3, 4)}
    table = filled(held, ["test_a"])
    assert table.idle() == []
    assert table.mislabelled() == []
    needed = filled(held | {(3, "test_a"): Cell(BREAKS), (1, "test_a"): Cell(BREAKS)}, ["test_a"])
    # What pktlab declares by itself is no mistake of the lab.
    assert [(removal.words, acts) for removal, acts in needed.mislabelled()] == [
        ("ip -n host link set a0 up", ["test_a"])
    ]


def test_vacuous_is_an_act_of_which_no_expectation_breaks() -> None:
    nothing = {(number, "test_a"): Cell(HOLDS) for number in range(6)}
    assert filled(nothing, ["test_a", "test_b"]).vacuous() == ["test_a"]
    # That what it names is not there breaks every act.
    missing = nothing | {(0, "test_a"): cell("failed", "LabError: there is no namespace 'host'", "lab.py:1: no")}
    assert filled(missing, ["test_a"]).vacuous() == ["test_a"]
    assert filled(missing | {(5, "test_a"): cell("failed", "assert 1 == 2", "")}, ["test_a"]).vacuous() == []
    assert filled(nothing | {(5, "test_a"): Cell("skipped")}, ["test_a"]).vacuous() == []


def test_undetermined_is_what_may_be_idle_or_vacuous() -> None:
    """A run that gave no answer is no proof that something is needed; nor is one needed where another run has it."""
    held = {(number, "test_a"): Cell(HOLDS) for number in range(6)}
    for unknown in ("skipped", "inconclusive"):
        table = filled(held | {(5, "test_a"): Cell(unknown)}, ["test_a"])
        assert ([removal.words for removal in table.undetermined()[0]], table.undetermined()[1]) == (
            ["ip -n host addr add 10.0.0.1/24 dev a0"],
            ["test_a"],
        )
        table = filled(held | {(5, "test_a"): Cell(unknown)}, ["test_a", "test_b"])
        assert table.undetermined() == ([], ["test_a"])
        assert filled({(5, "test_a"): Cell(unknown)}, ["test_a", "test_b"]).undetermined() == ([], [])
    assert filled(held, ["test_a"]).undetermined() == ([], [])


@given(st.lists(OUTCOMES, min_size=12, max_size=12), st.lists(OUTCOMES, min_size=2, max_size=2))
def test_only_what_was_seen_is_said(cells: list[str], whole: list[str]) -> None:
    acts = ["test_a", "test_b"]
    places = [(number, act) for number in range(6) for act in acts]
    table = filled(
        {place: Cell(outcome) for place, outcome in zip(places, cells, strict=True)},
        acts,
        {act: Cell(outcome) for act, outcome in zip(acts, whole, strict=True)},
    )
    for removal in table.idle():
        assert [table.cells[table.removals.index(removal), act].outcome for act in acts] == [HOLDS, HOLDS]
        assert whole == [HOLDS, HOLDS]
    for act in table.vacuous():
        assert {table.cells[number, act].outcome for number in range(6)} <= {HOLDS}
    for row in table.as_json()["settings"]:
        assert {each["act"] for each in row["acts"]} == set(table.sound)


RULES = """table ip filter {
    chain input {
        type filter hook input priority 0; policy accept;
        ip saddr 10.0.0.9 drop
        ip saddr 10.0.0.1 drop
    }
}"""


def test_each_rule_of_a_ruleset_is_taken_away_by_itself() -> None:
    topology = small()
    host = topology.namespaces["host"]
    host.nft(RULES)
    host.nft("table ip nat { chain out { type nat hook postrouting priority 100; masquerade; } }")
    found = [removal for removal in removals(topology) if "nft" in removal.words]
    assert [removal.words.replace(removal.setting.origin.file, "") for removal in found] == [
        f"ip netns exec host nft -f - (the ruleset of line {found[0].setting.origin.line})",
        "nft rule in host: input: ip saddr 10.0.0.9 drop",
        "nft rule in host: input: ip saddr 10.0.0.1 drop",
        # What has a single rule is that rule.
        f"ip netns exec host nft -f - (the ruleset of line {found[3].setting.origin.line})",
    ]
    less = found[1].apply(topology)
    assert [getattr(each, "ruleset", "") for each in less.settings][-2] == RULES.replace("ip saddr 10.0.0.9 drop", "")
    assert len(less.settings) == len(topology.settings)
    assert isinstance(found[1], Removal)


LAB = '''"""Two hosts, and what one of them drops."""
import pytest

from pktlab import Network, Topology

topology = Topology()
host, far = topology.namespace("host"), topology.namespace("far")
veth0, veth1 = host.veth("veth0", "veth1", netns=far)
veth0.address("10.0.0.1/24")
veth1.address("10.0.0.2/24")
host.route("10.9.0.0/16", via="10.0.0.2")
veth0.address("10.0.1.1/24")
with topology.scenery("a third host, which the drawing shows"):
    topology.namespace("third")
far.nft("""table ip filter {
    chain input {
        type filter hook input priority 0; policy accept;
        ip saddr 10.0.0.9 drop
        icmp type echo-request ip ttl 7 drop
    }
}""")


@pytest.mark.parametrize("ttl", [7, 8])
def test_drops(net: Network, ttl: int) -> None:
    assert bool(net.ping("10.0.0.2", dev=veth0, ttl=ttl)) == (ttl == 8)


def test_route(net: Network) -> None:
    assert [route.via for route in net.routes(host) if route.dst == "10.9.0.0/16"] == ["10.0.0.2"]


def test_skipped(net: Network) -> None:
    if net.routes(far):
        return
    pytest.skip("nothing to see")


def test_nothing(net: Network) -> None:
    net.ping("10.0.0.2", dev=veth0)
'''


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "two_hosts.py"
    path.write_text(LAB)
    return path


def ablate(*words: str) -> Said:
    return pktlab_command("ablate", *words, cwd=Path("/"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("ablate") / "two_hosts.py"
    path.write_text(LAB)
    said = ablate(str(path), "--json")
    assert said.status == 0, said
    (found,) = json.loads(said.out)["labs"]
    whole: dict[str, Any] = found
    return whole


def row(table: dict[str, Any], words: str) -> dict[str, str]:
    (found,) = [row for row in table["settings"] if words in row["setting"]]
    return {each["act"].removeprefix("test_"): each["outcome"] for each in found["acts"]}


def test_the_table_of_a_lab(table: dict[str, Any]) -> None:
    assert row(table, "ttl 7") == {
        "drops[7]": "breaks",
        "drops[8]": "holds",
        "route": "holds",
        "skipped": "holds",
        "nothing": "holds",
    }
    assert row(table, "addr add 10.0.0.2/24")["skipped"] == "skipped"
    # The kernel refuses a route through nowhere, and all acts with it.
    assert set(row(table, "addr add 10.0.0.1/24").values()) == {"breaks"}
    (refused,) = [each for each in table["settings"] if "addr add 10.0.0.1/24" in each["setting"]]
    assert "Nexthop has invalid gateway" in refused["acts"][0]["expectation"]
    assert row(table, "netns add third") == dict.fromkeys(row(table, "ttl 7"), "holds")
    (veth,) = [each for each in table["settings"] if "link add" in each["setting"]]
    assert len(veth["takes"]) == 5


def test_idle_settings_and_vacuous_acts_of_a_lab(table: dict[str, Any]) -> None:
    assert [each["setting"] for each in table["settings"] if each["idle"]] == [
        "ip -n host addr add 10.0.1.1/24 dev veth0",
        "nft rule in far: input: ip saddr 10.0.0.9 drop",
    ]
    assert [act["name"] for act in table["acts"] if act["vacuous"]] == ["test_nothing"]


def test_strict_fails_on_either(lab: Path) -> None:
    said = ablate(str(lab), "--strict")
    assert said.status == 1
    assert "  idle     line 12: ip -n host addr add 10.0.1.1/24 dev veth0\n" in said.out
    assert "  vacuous  test_nothing: no expectation of it breaks" in said.out
    assert "    scenery: a third host, which the drawing shows\n    takes 1 more with it: " in said.out
    assert "    breaks  test_drops[7]  line 26: assert True == (7 == 8)\n" in said.out
    lab.write_text(
        LAB.replace('veth0.address("10.0.1.1/24")\n', "")
        .replace("        ip saddr 10.0.0.9 drop\n", "")
        .partition("\n\ndef test_skipped")[0]
    )
    said = ablate(str(lab), "--strict")
    assert (said.status, said.err) == (0, "")
    assert "unknown" not in said.out
    assert "every setting is needed, and every act needs some" in said.out


def test_strict_is_inconclusive_where_a_run_gave_no_answer(lab: Path) -> None:
    lab.write_text(
        LAB.partition("far.nft(")[0]
        + "def test_skipped(net: Network) -> None:\n"
        + "    if len(net.routes(far)) != 1 or len(net.routes(host)) != 3:\n        pytest.skip('nothing to see')\n"
    )
    said = ablate(str(lab), "--strict")
    assert (said.status, said.err) == (4, ""), said
    assert "  unknown  test_skipped: nothing broke, but some run gave no answer\n" in said.out
    assert ablate(str(lab)).status == 0


def test_an_act_that_fails_with_nothing_taken_away_says_nothing(lab: Path) -> None:
    lab.write_text(LAB + "\n\ndef test_wrong(net: Network) -> None:\n    assert False\n")
    said = ablate(str(lab), "-k", "wrong or route")
    assert said.status == 1
    assert "  failed  test_wrong as it stands: line 44: assert False\n" in said.out
    # Others may need what these do without.
    assert "2 acts chosen by -k, of which 1 did not pass" in said.out
    assert "idle" not in said.out.replace("can be called idle", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "nothing to run"),
        (("no_such_lab",), "no lab is called 'no_such_lab'"),
        (("veth_is_a_cable", "-k", "nothing_of_that_name"), "no act or lab matches"),
        (("veth_is_a_cable", "-k", "("), "expected"),
    ],
)
def test_wrong_use(words: tuple[str, ...], message: str) -> None:
    said = ablate(*words)
    assert (said.status, said.out) == (2, "")
    assert message in said.err


def test_a_topology_that_a_fixture_makes_is_refused(lab: Path) -> None:
    lab.write_text('"""."""\nimport pytest\n\n\n@pytest.fixture\ndef topology(): ...\n\n\ndef test_a(net): ...\n')
    said = ablate(str(lab))
    assert said.status == 2
    assert "declares no topology at its top" in said.err

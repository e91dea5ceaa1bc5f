"""Which settings decide, which combinations came to the same, and the command that finds out."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commandline import Said, pktlab_command
from hypothesis import given
from hypothesis import strategies as st

from pktlab.act import ActRecord, Observation
from pktlab.sweep import Axis, Outcome, Point, Table, cover, outcome

SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def came(name: object) -> Outcome:
    return Outcome((("ping", json.dumps(str(name))),), told=(str(name),))


def table(names: list[str], values: list[list[str]], answers: Mapping[Any, object]) -> Table:
    axes = [Axis(name, tuple(each)) for name, each in zip(names, values, strict=True)]
    return Table("lab", "test_a", "", axes, {point: came(answer) for point, answer in answers.items()})


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[int], dict[Point, int]]:
    sizes = draw(SIZES)
    every = list(itertools.product(*map(range, sizes)))
    answers = draw(st.lists(st.integers(0, 2), min_size=len(every), max_size=len(every)))
    return sizes, dict(zip(every, answers, strict=True))


@given(tables())
def test_a_setting_decides_if_two_combinations_differ_only_in_it(drawn: tuple[list[int], dict[Point, int]]) -> None:
    sizes, answers = drawn
    found = table([f"s{n}" for n in range(len(sizes))], [list(map(str, range(size))) for size in sizes], answers)
    expected = [
        number
        for number in range(len(sizes))
        if any(
            answers[a] != answers[b] and [n for n in range(len(sizes)) if a[n] != b[n]] == [number]
            for a, b in itertools.product(answers, repeat=2)
        )
    ]
    assert found.deciding() == expected
    # All combinations are there, so the answers differ if and only if something decides.
    assert bool(expected) == (len(set(answers.values())) > 1)


@given(tables())
def test_patterns_fit_exactly_the_combinations_of_their_outcome(drawn: tuple[list[int], dict[Point, int]]) -> None:
    sizes, answers = drawn
    found = table([f"s{n}" for n in range(len(sizes))], [list(map(str, range(size))) for size in sizes], answers)
    for whole, patterns, count in found.groups():
        mine = {point for point, answer in answers.items() if came(answer) == whole}
        assert {point for pattern in patterns for point in itertools.product(*pattern)} == mine
        assert count == len(mine)
        for pattern in patterns:
            others = {point for each in patterns if each != pattern for point in itertools.product(*each)}
            assert not others.issuperset(itertools.product(*pattern)), "a pattern that says nothing new"


def test_patterns_are_wide() -> None:
    every: set[Point] = set(itertools.product(range(2), range(3)))
    assert cover(every, [2, 3]) == [(frozenset({0, 1}), frozenset({0, 1, 2}))]
    assert cover(every - {(0, 0)}, [2, 3]) == [
        (frozenset({0, 1}), frozenset({1, 2})),
        (frozenset({1}), frozenset({0, 1, 2})),
    ]


ALL, ONE, OTHER = (f"host:net.ipv4.conf.{name}.rp_filter" for name in ("all", "veth0", "veth1"))
VALUES = ["0", "1", "2"]


def test_the_larger_of_all_and_one_is_said_only_where_it_is_all_that_matters() -> None:
    points = list(itertools.product(range(3), range(3), range(3)))
    strict = table([ALL, ONE, OTHER], [VALUES] * 3, {p: max(p[0], p[1]) == 1 for p in points})
    assert strict.larger() == [(0, 1)]
    assert strict.sentence() == f"What decides: the larger of {ALL} and {ONE}. What does not: {OTHER}."
    once = dict(strict.points) | {(0, 1, 0): came("odd")}
    assert Table("lab", "a", "", strict.axes, once).larger() == []
    both = table([ALL, ONE, OTHER], [VALUES] * 3, {p: (max(p[0], p[1]), max(p[0], p[2])) for p in points})
    assert both.larger() == []
    assert both.sentence() == f"What decides: {ALL}; {ONE}; {OTHER}."


@given(st.lists(st.integers(0, 1), min_size=9, max_size=9))
def test_the_larger_is_never_claimed_wrongly(answers: list[int]) -> None:
    points = dict(zip(itertools.product(range(3), range(3)), answers, strict=True))
    found = table([ALL, ONE], [["0", "2", "1"], VALUES], points)
    larger = {
        (max(int("021"[a]), b), answer) for (a, b), answer in points.items()
    }  # a function of the larger has one answer for each
    one_each = len({value for value, _answer in larger}) == len(larger)
    assert found.larger() == ([(0, 1)] if one_each and len(set(answers)) > 1 else [])


@pytest.mark.parametrize(
    "other", ["host:net.ipv4.conf.veth0.arp_filter", "far:net.ipv4.conf.veth0.rp_filter", "br0:mtu"]
)
def test_only_sysctls_of_one_name_and_namespace_are_compared(other: str) -> None:
    points = {point: max(point) for point in itertools.product(range(3), range(3))}
    assert table([ALL, other], [VALUES] * 2, points).larger() == []


def test_sentences_of_little_tables() -> None:
    assert table(["a"], [["0"]], {(0,): 1}).sentence() == (
        "None of these decides: there is nothing to compare in the one combination."
    )
    same = table(["a"], [["0", "1"]], {(0,): 1, (1,): 1})
    assert same.sentence() == "None of these decides: the answers are the same in 2 combinations."
    lost = Table("lab", "a", "", same.axes, dict(same.points) | {(1,): Outcome((), "inconclusive", "3 frames lost")})
    assert lost.sentence() == "What decides is not known: frames were lost in 1 of 2 combinations."


def test_what_differs_from_run_to_run_is_no_part_of_an_outcome() -> None:
    def record(number: int, output: str) -> ActRecord:
        asked = [
            Observation("frames of ARP", [number], str(number)),
            Observation("run date in host", {"returncode": 0, "stdout": output, "stderr": ""}, output),
            Observation("path of ARP", ["host/veth0"], "host/veth0"),
        ]
        return ActRecord("lab", "test_a", status="passed", seconds=number, observations=asked)

    assert outcome(record(1, "Monday")) == outcome(record(2, "Tuesday"))
    other = record(1, "Monday")
    other.observations[2].answer = []
    assert outcome(other) != outcome(record(1, "Monday"))
    failed = record(1, "Monday")
    failed.status, failed.reason = "failed", "ValueError: no"
    assert outcome(failed) != outcome(record(1, "Monday"))


def test_what_differs_between_two_runs_of_one_combination_is_not_compared() -> None:
    def seen(mac: str, ping: str) -> Outcome:
        return Outcome((("mac", json.dumps(mac)), ("ping", json.dumps(ping))), told=(mac, ping))

    axes = [Axis("a", ("0", "1")), Axis("b", ("0", "1"))]
    points: dict[Point, Outcome] = {
        point: seen(f"random {point}", str(point[0])) for point in itertools.product(range(2), range(2))
    }
    found = Table("lab", "test_a", "", axes, points)
    assert found.deciding() == [0, 1]
    found.again = [((0, 0), seen("another", "0"))]
    assert found.unsteady() == ["mac"]
    assert found.deciding() == [0]
    assert [(each.answers, count) for each, _patterns, count in found.groups()] == [
        ((("ping", '"0"'),), 2),
        ((("ping", '"1"'),), 2),
    ]
    assert found.as_json()["not_compared"] == ["mac"]
    apart = "1 question could not be compared: its answers differ from run to run of one combination."
    assert found.sentence() == f"What decides, of what was compared: a. What does not: b. {apart}"
    found.again = [((0, 0), seen("another", "1"))]
    assert found.deciding() == []
    apart = "2 questions could not be compared: their answers differ from run to run of one combination."
    assert found.sentence() == f"Of what was compared none decides; {apart}"
    assert len(found.as_json()["combinations"][0]["answers"]) == 2


LAB = '''"""Two hosts on a bridge."""
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology

topology = Topology()
host, far = topology.namespace("host"), topology.namespace("far")
veth0, veth1 = host.veth("veth0", "veth1", netns=far)
veth0.address("10.0.0.1/24")
veth1.address("10.0.0.2/24")


def test_ping(net: Network) -> None:
    """It answers, unless it is told not to."""
    with net.capture() as seen:
        assert net.ping("10.0.0.2", dev=veth0).ttl == 64
    assert seen.path(ICMP(type="echo-request")) == [veth0, veth1]
    assert seen.count(ARP()) == 2 and net.neighbours(veth1)[0].mac == veth0.mac


def test_large(net: Network) -> None:
    """A packet of 1,400 bytes fits."""
    assert net.ping("10.0.0.2", dev=veth0, size=1372, df=True)
    (answer,) = [route for route in net.routes(host) if route.dst == "10.0.0.0/24"]
'''


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    path = tmp_path / "two_hosts.py"
    path.write_text(LAB)
    return path


def sweep(*words: str) -> Said:
    return pktlab_command("sweep", *words, cwd=Path("/"))


def swept(*words: str, status: int = 0) -> dict[str, Any]:
    said = sweep(*words, "--json")
    assert said.status == status, said
    found: dict[str, Any] = json.loads(said.out)["tables"][0]
    return found


def test_every_question_is_asked_in_every_combination(lab: Path) -> None:
    found = swept(str(lab), "-k", "ping", "--set", "far:net.ipv4.icmp_echo_ignore_all=0,1", "--set", "veth1:up=1,0")
    told = {
        tuple(each["values"].values()): {a["question"]: a["text"] for a in each["answers"]}
        for each in found["combinations"]
    }
    ping, path = "ping 10.0.0.2 dev host/veth0", "path of ICMP type echo-request"
    assert list(told) == [("0", "1"), ("0", "0"), ("1", "1"), ("1", "0")]
    assert told["0", "1"][ping] == "answer from 10.0.0.2, ttl 64"
    assert (told["1", "1"][ping], told["1", "1"][path]) == ("no answer", "veth0 > veth1")
    assert told["1", "0"][path] == told["0", "0"][path] == "seen nowhere"
    # What cannot be judged is told as well, and does not keep the next question from being asked.
    assert {each["how many ARP"] for each in told.values()} == {"2", "0"}
    assert "neighbours of far/veth1" in told["0", "0"]
    assert found["deciding"] == ["far:net.ipv4.icmp_echo_ignore_all", "far/veth1:up"]


def test_options_of_links_are_swept(lab: Path) -> None:
    found = swept(str(lab), "-k", "large", "--set", "veth0:mtu=1500,1399", "--set", "veth1:mac=02:00:00:00:00:09")
    assert found["deciding"] == ["host/veth0:mtu"]
    assert found["sentence"] == "What decides: host/veth0:mtu. What does not: far/veth1:mac."


def test_the_table_groups_what_is_equal(lab: Path) -> None:
    words = ["--set", "net.ipv4.conf.{veth0,veth1}.rp_filter=0,1,2", "--set", "far:net.ipv4.icmp_echo_ignore_all=0,1"]
    said = sweep(str(lab), "-k", "ping", *words)
    assert said.status == 0, said
    assert "18 combinations, 2 different outcomes" in said.out
    assert "  *  *  0\n    ? ping 10.0.0.2 dev veth0: answer from 10.0.0.2, ttl 64\n" in said.out
    assert "  *  *  1\n    ? ping 10.0.0.2 dev veth0: no answer\n" in said.out
    last = " ".join(said.out.split("\n\n")[-2].split())
    assert last == (
        "What decides: far:net.ipv4.icmp_echo_ignore_all. "
        "What does not: host:net.ipv4.conf.veth0.rp_filter, far:net.ipv4.conf.veth1.rp_filter."
    )


def test_answers_that_differ_by_themselves_decide_nothing(tmp_path: Path) -> None:
    (tmp_path / "by_lot.py").write_text(
        '"""The kernel draws the MAC of a bridge without a port by lot."""\nfrom pktlab import Topology\n'
        'topology = Topology()\nhost = topology.namespace("host")\nbr0 = host.bridge("br0")\n'
        "def test_a(net):\n    assert net.links(br0)[0].mac\n    assert net.routes(host) == []\n"
    )
    found = swept(str(tmp_path / "by_lot.py"), "--set", "net.ipv4.conf.all.tag=0,1,2", status=4)
    assert (found["deciding"], found["not_compared"]) == ([], ["links of host/br0"])
    assert found["sentence"] == (
        "Of what was compared none decides; 1 question could not be compared: "
        "its answers differ from run to run of one combination."
    )


def test_what_was_inconclusive_is_done_again(tmp_path: Path) -> None:
    (tmp_path / "lossy.py").write_text(
        '"""Loses frames, twice or for good."""\nimport os\nfrom pathlib import Path\n'
        "from pktlab import Topology\nfrom pktlab.errors import Inconclusive\ntopology = Topology()\n"
        'host = topology.namespace("host")\n'
        "def test_a(net):\n"
        '    told = Path(os.environ["TOLD"])\n    told.write_text(told.read_text() + ".")\n'
        '    if len(told.read_text()) <= int(os.environ["LOSES"]):\n        raise Inconclusive("frames were lost")\n'
    )
    for loses, status in (("2", 0), ("9", 4)):
        told = tmp_path / "told"
        told.write_text("")
        env = {"TOLD": str(told), "LOSES": loses}
        words = ("sweep", "lossy.py", "--set", "net.ipv4.conf.all.tag=0", "-j", "1", "--json")
        said = pktlab_command(*words, cwd=tmp_path, env=env)
        assert said.status == status, said
        assert len(told.read_text()) >= 3


def test_an_interface_is_called_as_run_calls_it(tmp_path: Path) -> None:
    """Bare only where no other of the act's has the name, though the answers speak of one of the two alone."""
    (tmp_path / "twins.py").write_text(
        '"""Two hosts with an eth0 each."""\nfrom pktlab import Topology\ntopology = Topology()\n'
        'h1, h2 = topology.namespace("h1"), topology.namespace("h2")\neth0, far = h1.veth("eth0", "eth0", netns=h2)\n'
        'eth0.address("10.0.0.1/24")\nfar.address("10.0.0.2/24")\n'
        'def test_a(net):\n    assert net.ping("10.0.0.2", dev=eth0)\n'
    )
    said = sweep(str(tmp_path / "twins.py"), "--set", "h1/eth0:mtu=1500,1400")
    assert said.status == 0, said
    assert "? ping 10.0.0.2 dev h1/eth0: answer" in said.out


def test_an_act_that_ends_early_is_told(lab: Path) -> None:
    said = sweep(str(lab), "-k", "large", "--set", "veth0:up=0,1")
    assert said.status == 1
    assert "failed: ValueError: not enough values to unpack" in said.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.ipv4.ip_forward=0,1"], "net.ipv4.ip_forward is in host and far"),
        (["nowhere:net.ipv4.ip_forward=0,1"], "there is no namespace 'nowhere'"),
        (["net.ipv4.conf.veth0.rp_filtr=1"], "did you mean 'net.ipv4.conf.{}.rp_filter'?"),
        (["net.ipv4.conf.veth0.rp_filter=x"], "'x' is not a value for net.ipv4.conf.veth0.rp_filter"),
        (["net.ipv4.conf.veth0.rp_filter"], "is not a setting with values"),
        (["net.ipv4.conf.veth0.rp_filter=0,,1"], "is not a setting with values"),
        (["veth0:colour=1"], "veth host/veth0 has no option 'colour'"),
        (["veth9:mtu=1"], "there is no interface veth9"),
        (["lo:up=1"], "lo is in host and far"),
        (["host/lo:mtu=1500"], "loopback host/lo has no option 'mtu'"),
        (["veth0:mtu=1"], "mtu 1 is out of range"),
        (["veth0:mtu=big"], "'big' is no value for mtu"),
        (["veth0:up=1", "host/veth0:up=0"], "host/veth0:up is set twice"),
        (["veth0=1"], "'veth0' names no setting"),
        (["veth0:mtu=" + ",".join(map(str, range(100, 20000)))], "combinations are too many"),
    ],
)
def test_wrong_use(lab: Path, words: list[str], message: str) -> None:
    said = sweep(str(lab), *(word for each in words for word in ("--set", each)))
    assert (said.status, said.out) == (2, "")
    assert message in said.err
    assert "bin/" not in said.err


def test_no_act_of_that_name(lab: Path) -> None:
    said = sweep(str(lab), "-k", "nothing", "--set", "veth0:up=1")
    assert (said.status, said.out) == (2, "")
    assert "no act matches -k 'nothing'" in said.err


def test_the_riddle_of_the_documents() -> None:
    """Whether veth1 answers a host's own question hangs on its accept_local and rp_filter, or on those of all."""
    words = [f"host:net.ipv4.conf.{{veth0,veth1,all}}.{name}" for name in ("accept_local=0,1", "rp_filter=0,1")]
    found = swept("bridge_swallows_arp_reply", "-k", "address_on_the_port", "--set", words[0], "--set", words[1])
    short = [[name.rpartition("net.ipv4.conf.")[2] for name in pair] for pair in found["larger_of"]]
    assert short == [["all.accept_local", "veth1.accept_local"], ["all.rp_filter", "veth1.rp_filter"]]
    assert len(found["combinations"]) == 64
    for each in found["combinations"]:
        value = {key.rpartition("net.ipv4.conf.")[2]: int(value) for key, value in each["values"].items()}
        local = max(value["all.accept_local"], value["veth1.accept_local"])
        strict = max(value["all.rp_filter"], value["veth1.rp_filter"]) == 1
        (reply,) = [a["text"] for a in each["answers"] if a["question"].startswith("path of ARP op is-at")]
        assert (reply != "seen nowhere") == bool(local and not strict), value

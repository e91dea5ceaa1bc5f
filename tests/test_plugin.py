"""The pytest plugin, as a project sees it that installs pktlab."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from inside import pair, sandboxed

from pktlab.network import Network

TOPOLOGY = """
import os
import signal

import pytest
from pktlab import Topology
from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP, Ether

topology = Topology()
a, b = topology.namespace("a"), topology.namespace("b")
one, two = a.veth("eth0", "eth0", netns=b)
one.address("10.0.0.1/24")
two.address("10.0.0.2/24")
"""

# Writes down the record of each act as the report brought it.
RECORDS = """
import json
from pktlab.act import PROPERTY

def pytest_runtest_logreport(report):
    for name, value in report.user_properties:
        if name == PROPERTY:
            with open("records.jsonl", "a") as file:
                print(json.dumps(value), file=file)
"""


def run(pytester: pytest.Pytester, *words: str, **files: str) -> pytest.RunResult:
    if files:
        pytester.makepyfile(**files)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *words, timeout=60)


def records(pytester: pytest.Pytester) -> dict[str, dict[str, object]]:
    lines = (pytester.path / "records.jsonl").read_text().splitlines()
    return {record["name"]: record for record in map(json.loads, lines)}


# Where tests run


def test_an_act_runs_in_a_sandbox_and_every_other_test_where_it_always_did(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("pid", "net", "mnt", "user"):
        monkeypatch.setenv(f"OUTER_{kind}", os.readlink(f"/proc/self/ns/{kind}"))
    monkeypatch.setenv("OUTER_UID", str(os.getuid()))
    outside = """
def where(*kinds):
    return [os.readlink(f"/proc/self/ns/{kind}") == os.environ[f"OUTER_{kind}"] for kind in kinds]

def test_before():
    assert where("pid", "net", "mnt", "user") == [True] * 4
    assert str(os.getuid()) == os.environ["OUTER_UID"]

def test_act(net, tmp_path, capsys, monkeypatch, request):
    assert where("pid", "net", "mnt") == [False] * 3
    assert (os.getpid(), os.getuid()) == (1, 0)
    monkeypatch.setenv("ONLY_HERE", "1")
    print("heard")
    assert capsys.readouterr().out == "heard\\n"
    (tmp_path / "file").write_text("x")
    assert net.ping("10.0.0.2", ns=a)
    assert request.config.option.verbose >= 2

class TestGroup:
    def test_method(self, net):
        assert os.getpid() == 1
        assert [link.name for link in net.links(a)] == ["lo", "eth0"]

    @pytest.mark.usefixtures("net")
    def test_marked(self):
        assert os.getpid() == 1

@pytest.mark.parametrize("number", [1, 2])
def test_each(net, number):
    assert os.getpid() == 1

def test_after(request):
    assert where("pid", "net", "mnt", "user") == [True] * 4
    assert "ONLY_HERE" not in os.environ
    assert request.config.option.verbose < 2
"""
    fixture = """
import os
import pytest
from pktlab import Topology

@pytest.fixture(params=["x", "y"])
def topology(request):
    made = Topology()
    made.namespace("host").bridge(request.param)
    return made

def test_by_fixture(net, topology, request):
    assert os.getpid() == 1
    names = [link.name for link in net.links(topology.namespaces["host"])]
    assert names == ["lo", request.node.callspec.params["topology"]]
"""
    done = run(pytester, test_outside=TOPOLOGY + outside, test_fixture=fixture)
    done.assert_outcomes(passed=9)


def test_fixtures_of_the_parent_survive_an_act(pytester: pytest.Pytester) -> None:
    """What the parent has set up is there in the act, and is torn down in the parent, once and last."""
    text = """
def note(what):
    with open("log", "a") as file:
        print(what, os.getpid() == 1, file=file)

@pytest.fixture(scope="module")
def shared():
    note("up")
    yield ["of the module"]
    note("down")

@pytest.fixture
def own(net):
    note("own up")
    yield net
    note("own down")

def test_plain(shared): note("plain")
def test_act(own, shared): note("act"); assert shared == ["of the module"]
def test_act_again(net, shared): shared.append("lost"); note("act")
def test_plain_again(shared): note("plain"); assert shared == ["of the module"]
"""
    run(pytester, test_it=TOPOLOGY + text).assert_outcomes(passed=4)
    assert (pytester.path / "log").read_text().splitlines() == [
        *("up False", "plain False"),
        *("own up True", "act True", "own down True"),
        *("act True", "plain False", "down False"),
    ]


def test_labs_are_collected_as_they_are(pytester: pytest.Pytester) -> None:
    lab = TOPOLOGY + "def test_act(net):\n    count = len(net.links(a))\n    assert count == 3\n"
    other = "import pktlab\nx = 1\ndef test_no_lab(): pass\n"
    mine = "topology = 'hills'\ndef test_hills(): pass\n"
    folder = pytester.mkdir("labs")
    for name, text in {"swallows": lab, "no_topology": other, "no_pktlab": mine, "test_usual": mine}.items():
        (folder / f"{name}.py").write_text(text)
    done = run(pytester, "labs", "-v")
    done.assert_outcomes(passed=1, failed=1)
    # Its assert is explained, as in a file whose name begins with test_.
    done.stdout.fnmatch_lines(["labs/swallows.py::test_act FAILED*", "*assert 2 == 3*"])
    run(pytester, "labs/swallows.py::test_act").assert_outcomes(failed=1)


# What is told


ACTS = """
def test_wrong_hop(net):
    \"\"\"The echo turns off.\"\"\"
    with net.capture() as seen:
        assert net.ping("10.0.0.2", ns=a)
    print("a line of the act")
    assert seen.path(ICMP(type="echo-request")) == [one, b.lo]

def test_nowhere(net):
    with net.capture() as seen:
        net.send(ARP(op="who-has", pdst="10.0.0.2"), dev=one)
    assert [one] == seen.path(ARP(op="is-at", psrc="10.9.9.9"))

def test_no_object(net):
    with net.capture() as seen:
        net.ping("10.0.0.2", ns=a)
    assert seen.path(ICMP(type="echo-request")) == ["eth0"]

def test_raises(net):
    {}["missing"]

def test_lacks(net):
    net.run(a, ["no-such-program"])

def test_lab_is_wrong(net):
    net.ping("10.0.0.2", ns=a, ttl=0)

def test_dies(net):
    os._exit(3)

def test_crashes(net):
    import ctypes
    ctypes.string_at(0)

def test_too_long(net):
    signal.pause()

def test_skips_itself(net):
    pytest.skip("not today")

@pytest.mark.xfail(strict=True, reason="known")
def test_known(net):
    assert False

def test_loses(net):
    import socket
    from pktlab.kernel import inject
    recorder = net._testbed.recorder
    recorder._queues[1]._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with recorder.fairly():
        inject.send(net._testbed.namespaces["a"], "eth0", [bytes.fromhex("02" * 12 + "88b6") + bytes(46)] * 50)

def test_loses_and_fails(net):
    test_loses(net)
    net.settle()
    assert 1 == 2

def test_passes(net):
    \"\"\"All is well.

    More of it.
    \"\"\"
    assert net.ping("10.0.0.2", ns=a)
"""


def test_outcomes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(RECORDS)
    pytester.makepyfile(test_acts=TOPOLOGY + ACTS)
    words = ("--pktlab-deadline", "3", "-rA", "--junitxml", "report.xml")
    done = run(pytester, *words)
    done.assert_outcomes(passed=1, failed=10, skipped=2, xfailed=1)
    text = done.stdout.str()

    # A wrong path: the first hop that differs, both frames, the table, the file and its numbers, nothing cut short.
    done.stdout.fnmatch_lines(
        [
            "E *path of ICMP type echo-request: a/eth0 > b/eth0",
            "E *hop 2 differs: expected b/lo, seen b/eth0",
            "E *hop 1  a/eth0  out  frame 5 *IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 64",
            "E *hop 2  b/eth0  in   frame 6 *IP 10.0.0.1 > 10.0.0.2: ICMP echo request, id 1, seq 1, length 64",
            "E *interface  in  out",
            "E *a/eth0      0    1",
            "E *b/lo        0    0",
            "E *b/eth0      1    0",
            "E *test_acts.wrong_hop.pcapng: frames 5, 6",
            "*Captured stdout call*",
            "a line of the act",
            "E *path of ARP op is-at psrc 10.9.9.9: seen nowhere",
            "E *seen nowhere; expected a/eth0 first",
            "E *test_acts.nowhere.pcapng",
            "E *'eth0' is not an interface: a path is a list of declared objects",
            "E *KeyError: 'missing'",
            "*ttl 0 is out of range*",
        ]
    )
    assert "truncated" not in text
    assert "no-such-program is not installed" in text
    assert "no-such-program is not installed here" in text
    assert "the act's process ended without a report, with status 3" in text
    assert "the act's process ended without a report, with status -11" in text
    assert "the act was ended: it took longer than its deadline of 3 s" in text

    # The files are there, though the processes that wrote them are gone; of what passed there is none.
    files = {Path(found) for found in re.findall(r"\S+\.pcapng", text)}
    assert {file.name for file in files} == {f"test_acts.{n}.pcapng" for n in ("wrong_hop", "nowhere")}
    assert all(file.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a" for file in files)
    (base,) = {file.parent.parent for file in files}
    kept = {file.name.split(".")[1] for file in base.rglob("*.pcapng")}
    assert kept == {"wrong_hop", "nowhere", "no_object", "raises", "lab_is_wrong", "loses", "loses_and_fails", "known"}

    found = records(pytester)
    status = {name.removeprefix("test_"): record["status"] for name, record in found.items()}
    assert status == {
        **dict.fromkeys(("wrong_hop", "nowhere", "no_object", "raises", "lab_is_wrong"), "failed"),
        **dict.fromkeys(("dies", "crashes", "too_long"), "failed"),
        **dict.fromkeys(("lacks", "skips_itself", "known"), "skipped"),
        **dict.fromkeys(("loses", "loses_and_fails"), "inconclusive"),
        "passes": "passed",
    }
    assert found["test_wrong_hop"]["title"] == "The echo turns off."
    assert str(found["test_wrong_hop"]["reason"]).startswith("assert path of ICMP type echo-request")
    assert str(found["test_lacks"]["reason"]).startswith("no-such-program is not installed")
    assert found["test_skips_itself"]["reason"] == "not today"
    assert re.fullmatch(r"the capture lost \d+ frames: \d+ in namespace b", str(found["test_loses"]["reason"]))
    assert "lost" in str(found["test_loses_and_fails"]["reason"])
    passed = found["test_passes"]
    assert (passed["lab"], passed["title"], passed["reason"]) == ("test_acts", "All is well.", "")
    assert isinstance(passed["capture"], dict)
    assert (passed["capture"]["frames"], passed["capture"]["dropped"], passed["capture"]["file"]) == (8, 0, "")
    assert [kind for kind, _index in passed["story"]] == ["packet"] * 4 + ["observation"]  # type: ignore[attr-defined]

    suite = ElementTree.parse(pytester.path / "report.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("14", "10", "3")


def test_every_failed_act_keeps_its_capture(pytester: pytest.Pytester) -> None:
    """Pytest removes all but the last three of its temporary folders: a run has one, however many processes."""
    text = "@pytest.mark.parametrize('n', range(5))\ndef test_act(net, n): assert n < 0\n"
    pytester.makepyfile(test_it=TOPOLOGY + text)
    subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=no"],
        cwd=pytester.path,
        env={**os.environ, "PYTEST_DEBUG_TEMPROOT": str(pytester.mkdir("temporary"))},
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    found = [file.name for file in (pytester.path / "temporary").rglob("*.pcapng")]
    assert sorted(found) == [f"test_it.act.{n}.pcapng" for n in range(5)]


def test_the_first_failure_ends_the_run(pytester: pytest.Pytester) -> None:
    text = "def test_one(net): assert net.links(a) == []\ndef test_two(net): pass\n"
    run(pytester, "-x", test_it=TOPOLOGY + text).assert_outcomes(failed=1)


def test_xdist(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(RECORDS)
    text = """
@pytest.mark.parametrize("number", range(6))
def test_act(net, number):
    assert os.getpid() == 1
    assert net.ping("10.0.0.2", ns=a)

def test_fails(net):
    with net.capture() as seen:
        pass
    assert seen.path(ICMP()) == [one]

def test_plain():
    assert os.getpid() != 1
"""
    done = run(pytester, "-n", "2", test_it=TOPOLOGY + text)
    done.assert_outcomes(passed=7, failed=1)
    done.stdout.fnmatch_lines(["E *seen nowhere; expected a/eth0 first", "E *test_it.fails.pcapng"])
    found = records(pytester)
    assert len(found) == 7
    assert found["test_act[3]"]["status"] == "passed"


# Options


def test_captures_are_written(pytester: pytest.Pytester) -> None:
    text = """
@pytest.mark.parametrize("ttl", [1, 64])
def test_ping(net, ttl):
    net.ping("10.0.0.2", ns=a, ttl=ttl)

@pytest.mark.parametrize("odd", ["a/b ../c"])
def test_odd(net, odd):
    pass
"""
    done = run(pytester, "--pktlab-captures", "here", test_it=TOPOLOGY + text)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines([f"pktlab: captures in {pytester.path}/here"])
    written = sorted(str(file.relative_to(pytester.path)) for file in (pytester.path / "here").rglob("*"))
    assert written == [
        "here/test_it",
        "here/test_it/odd.a.b.c.3ef0cab8.pcapng",
        "here/test_it/ping.1.pcapng",
        "here/test_it/ping.64.pcapng",
    ]


def test_no_two_captures_share_a_name(pytester: pytest.Pytester) -> None:
    text = """
class TestA:
    def test_x(self, net): pass

class TestB:
    def test_x(self, net): pass

def test_x(net): pass

@pytest.mark.parametrize("text", ["x_y", "x/y", "x y"])
def test_p(net, text): pass

def test_p_x_y(net): pass
"""
    run(pytester, "--pktlab-captures", "here", test_it=TOPOLOGY + text).assert_outcomes(passed=7)
    assert len(list((pytester.path / "here").rglob("*.pcapng"))) == 7


def test_captures_that_cannot_be_written(pytester: pytest.Pytester) -> None:
    """Not even root can make a folder below a file."""
    (pytester.path / "file").write_text("")
    text = "def test_act(net): pass\ndef test_fails(net): assert 'its own' == 'fault'\n"
    done = run(pytester, "--pktlab-captures", "file/captures", test_it=TOPOLOGY + text)
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(
        ["E *KernelError: write file/captures/test_it/act.pcapng: Not a directory", "E *another folder*"]
    )
    done.stdout.fnmatch_lines(["E *'its own' == 'fault'*"])


def test_without_a_declared_setting(pytester: pytest.Pytester) -> None:
    text = """
def test_answered(net):
    assert net.ping("10.0.0.2", ns=a)

def test_named(net):
    assert [link.addresses for link in net.links(two)] == [()]
"""
    setting = "ip -n b addr add 10.0.0.2/24 dev eth0"
    done = run(pytester, "--pktlab-without", setting, "--tb=line", test_it=TOPOLOGY + text)
    done.assert_outcomes(passed=1, failed=1)
    done = run(pytester, "--pktlab-without", setting, "--pktlab-without", "ip netns add b", "-k", "answered")
    done.assert_outcomes(failed=1)
    done = run(pytester, "--pktlab-without", "ip netns add c", "-k", "answered")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["E *nothing declares 'ip netns add c'"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def test_it(net): pass", "test_it.py declares no topology"),
        ("topology = 'hills'\ndef test_it(net): pass", "topology is 'hills'"),
        (TOPOLOGY + "def test_it(request): request.getfixturevalue('net')", "net was asked for while the test ran"),
        (
            TOPOLOGY + "a.route('10.9.0.0/16', via='192.0.2.1')\ndef test_it(net): pass",
            "ip -n a route add 10.9.0.0/16 via 192.0.2.1: Network is unreachable (kernel: Nexthop has invalid gateway)",
        ),
        (TOPOLOGY + "def test_it(net): one.address('10.1.0.1/24')", "test_it.py:14: declared while the network is up"),
        (TOPOLOGY + "def test_it(net): one.down()", "test_it.py:14: declared while the network is up"),
        (TOPOLOGY + "one.address('10.1.0.1')\ndef test_it(net): pass", "test_it.py:14: '10.1.0.1' is not an address"),
    ],
)
def test_a_wrong_lab_is_told_where(pytester: pytest.Pytester, text: str, told: str) -> None:
    done = run(pytester, test_it=text)
    assert done.ret != 0
    done.assert_outcomes(**{kind: 1 for kind in done.parseoutcomes() if kind in ("failed", "errors")})
    assert told in done.stdout.str()


# Ctrl-C


def test_ctrl_c_leaves_nothing(pytester: pytest.Pytester) -> None:
    text = """
def test_act(net):
    net.start(a, ["sh", "-c", "sleep 600 & echo up; wait"], ready="up")
    os.write(int(os.environ["WITNESS"]), b"x")
    signal.pause()

def test_never(net):
    raise AssertionError
"""
    pytester.makepyfile(test_it=TOPOLOGY + text)
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"],
        cwd=pytester.path,
        env={**os.environ, "WITNESS": str(writing)},
        pass_fds=[writing],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    os.close(writing)
    witness = select.poll()
    witness.register(reading, select.POLLIN)
    assert witness.poll(30_000)
    os.read(reading, 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output, _ = process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "KeyboardInterrupt" in output
    assert "AssertionError" not in output
    # Whatever held the pipe is gone: acts, daemons, and what those started.
    witness.modify(reading, 0)
    assert witness.poll(10_000)
    os.close(reading)


@sandboxed
def test_a_network_without_the_plugin() -> None:
    """The live layer needs no pytest: so is it used by the command line, and by whoever likes."""
    with Network(pair()) as net:
        assert net.bring_up > 0


def test_what_a_failed_path_adds(pytester: pytest.Pytester) -> None:
    text = """
def test_rewritten(net):
    with net.capture() as seen:
        net.ping("10.0.0.2", ns=a)
        net.send(Ether(src=one.mac, dst=two.mac) / bytes(46), dev=one)
    assert seen.path(ARP(op="is-at", hwsrc=two.mac)) == [one]

def test_too_late(net):
    with net.capture() as seen:
        pass
    net.ping("10.0.0.2", ns=a)
    with net.capture() as later:
        pass
    assert seen.path(ICMP(type=8)) == [one]

def test_no_block(net):
    net.capture().path(ICMP())
"""
    done = run(pytester, test_a=TOPOLOGY + text)
    done.assert_outcomes(failed=3)
    done.stdout.fnmatch_lines(["*outside of this capture block it was seen: frames 5, 6*"])
    done.stdout.fnmatch_lines(["*net.capture() itself has no 'path'*", "*write `with net.capture() as seen:`*"])


# Among a project's other tests


def test_fixtures_of_other_modules_and_classes_are_torn_down(pytester: pytest.Pytester) -> None:
    first = """
@pytest.fixture(scope="module", autouse=True)
def module():
    yield
    print("module is down")

class TestOne:
    def test_plain(self): pass
    def test_net(self, net): pass

class TestTwo:
    def test_plain(self): pass
    def test_net(self, net): pass
"""
    done = run(pytester, "-s", test_a=TOPOLOGY + first, test_b="def test_b(): pass")
    done.assert_outcomes(passed=5)
    assert done.stdout.str().count("module is down") == 1


def test_a_fault_in_such_a_teardown_is_told(pytester: pytest.Pytester) -> None:
    text = """
@pytest.fixture(scope="module", autouse=True)
def module():
    yield
    raise OSError("the database would not stop")

def test_plain(): pass
def test_net(net): pass
"""
    done = run(pytester, test_a=TOPOLOGY + text)
    done.assert_outcomes(passed=2, errors=1)
    done.stdout.fnmatch_lines(["*the database would not stop*"])


def test_a_parametrized_topology(pytester: pytest.Pytester) -> None:
    text = """
@pytest.fixture(params=[1, 3])
def topology(request):
    made = Topology()
    switch = made.namespace("switch")
    for i in range(request.param):
        switch.veth(f"v{i}", f"w{i}")
    return made

def test_count(net, topology):
    assert len(net.links(topology.namespaces["switch"])) in (3, 7)
"""
    run(
        pytester, test_a=TOPOLOGY.replace("topology =", "other =").replace("topology.", "other.") + text
    ).assert_outcomes(passed=2)


def test_a_failed_subtest_fails_the_act(pytester: pytest.Pytester) -> None:
    text = """
def test_sub(net, subtests):
    with subtests.test("one"):
        assert net.links(a) == []
    with subtests.test("two"):
        pass
"""
    done = run(pytester, test_a=TOPOLOGY + text)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    done.stdout.fnmatch_lines(["SUBFAILED?one?*", "FAILED*::test_sub*"])


# Frames lost anywhere in a test: the capture is held up, and its queue overflows.
LOSS = """
import unittest
from pktlab.kernel import inject

def flood(net):
    with net._testbed.recorder.fairly():
        frame = bytes.fromhex(two.mac.replace(":", "")) + bytes(1400)
        inject.send(net._testbed.namespaces["a"], "eth0", [frame], count=60000)

class TestCase(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def network(self, net):
        self.net = net

    def test_flood(self):
        flood(self.net)

@pytest.fixture
def late(net):
    yield
    flood(net)

def test_teardown(late): pass

def test_skip(net):
    flood(net)
    pytest.skip("no matter")

@pytest.mark.xfail
def test_xfail(net):
    flood(net)
    assert 0
"""


def test_frames_lost_anywhere_make_it_inconclusive(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(RECORDS)
    done = run(pytester, test_a=TOPOLOGY + LOSS)
    assert "passed" not in done.parseoutcomes()
    assert "skipped" not in done.parseoutcomes()
    every = ("test_flood", "test_teardown", "test_skip", "test_xfail")
    assert {name: record["status"] for name, record in records(pytester).items()} == dict.fromkeys(
        every, "inconclusive"
    )


DAEMON = """

def serve(net):
    net.start(a, ["sh", "-c", "echo listening on {}; exec sleep 60".format(a)], ready="listening")

def test_daemon(net):
    serve(net)
    assert os.path.exists("well")
"""


def test_logs_of_a_failed_act_are_kept_beside_its_capture(pytester: pytest.Pytester) -> None:
    """They go when the act passes again: nothing must speak of a run that is past."""
    pytester.makeconftest(RECORDS)
    run(pytester, "--pktlab-captures=kept", test_acts=TOPOLOGY + DAEMON)
    log = pytester.path / "kept/test_acts/daemon.log"
    assert re.fullmatch(r"# \S*sh -c .* in a: ended by SIGTERM\nlistening on a\n", log.read_text())
    assert records(pytester)["test_daemon"]["log"] == str(log.relative_to(pytester.path))
    (pytester.path / "well").touch()
    run(pytester, "--pktlab-captures=kept")
    assert records(pytester)["test_daemon"]["log"] == ""
    assert [file.name for file in log.parent.iterdir()] == ["daemon.pcapng"]

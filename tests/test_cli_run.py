"""`pktlab run`: what it says, what it leaves, and with which status it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commandline import COMMAND, HEAD, Said, environment, pktlab_command, write_lab
from test_report import SHAPE, conform

from pktlab.act import PROPERTY, ActRecord
from pktlab.kernel import libc, sandbox

NETWORK = (
    '"""A lab of a test."""\nfrom pktlab import Topology\ntopology = Topology()\nhost = topology.namespace("host")\n'
)
PASSES = 'def test_passes():\n    """It holds."""\n'
FAILS = "def test_fails():\n    assert [1, 2] == [1, 3]\n"
SKIPS = "def test_skips():\n    import pytest\n    pytest.skip('nft is not installed')\n"
RAISES = "def test_raises():\n    {}['no such key']\n"


def lossy() -> str:
    """An act that says of itself what the plugin says of one that lost frames."""
    record = ActRecord("a_lab", "test_lossy", "", "inconclusive", reason="3 frames lost on host").as_json()
    tell = f"record_property({PROPERTY!r}, {record!r})"
    return f"def test_lossy(record_property):\n    {tell}\n    raise RuntimeError('lost')\n"


@pytest.mark.parametrize(
    ("acts", "status"),
    [
        ([PASSES], 0),
        ([SKIPS], 0),
        ([PASSES, SKIPS], 0),
        ([PASSES, FAILS], 1),
        ([RAISES], 1),
        ([PASSES, lossy()], 4),
        ([lossy(), FAILS], 1),
    ],
)
def test_exit_status(acts: list[str], status: int, tmp_path: Path) -> None:
    write_lab(tmp_path, "\n\n".join(acts))
    assert pktlab_command("run", "a_lab.py", cwd=tmp_path).status == status


def test_what_is_said_of_each_act(tmp_path: Path) -> None:
    write_lab(tmp_path, "\n\n".join([PASSES, FAILS, SKIPS, RAISES, lossy()]))
    said = pktlab_command("run", "a_lab.py", cwd=tmp_path)
    assert said.err == ""
    assert re.sub(r"\d\.\d+ s", "T", said.out) == (
        """\
a_lab
A lab of a test.

  test_passes
  It holds.

  passed  T

  test_fails

  failed  T
    a_lab.py:10: assert [1, 2] == [1, 3]
      At index 1 diff: 2 != 3

  test_skips

  skipped  T
    nft is not installed

  test_raises

  failed  T
    a_lab.py:19: KeyError: 'no such key'

  test_lossy

  inconclusive  T
    3 frames lost on host

5 acts of 1 lab: 1 passed, 2 failed, 1 inconclusive, 1 skipped, T
"""
    )


def test_what_failed_is_named_again_after_many_acts(tmp_path: Path) -> None:
    """What was wrong in the first of hundreds of acts must not be looked for a thousand lines above."""
    write_lab(tmp_path, "\n\n".join([FAILS, lossy(), RAISES, *(f"def test_{n}(): ..." for n in range(5))]))
    out = pktlab_command("run", "a_lab.py", cwd=tmp_path).out.splitlines()
    failed, inconclusive, raised, blank, total = out[-5:]
    assert failed.startswith("failed  a_lab  test_fails  a_lab.py:")
    assert inconclusive == "inconclusive  a_lab  test_lossy  3 frames lost on host"
    assert raised.endswith("KeyError: 'no such key'")
    assert (blank, total.partition(",")[0]) == ("", "8 acts of 1 lab: 5 passed")


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    write_lab(tmp_path, RAISES)
    out = pktlab_command("run", "a_lab.py", "--verbose", cwd=tmp_path).out
    assert ">       {}['no such key']" in out
    assert "E       KeyError: 'no such key'" in out


def test_json_to_standard_output_is_all_there_is(tmp_path: Path) -> None:
    write_lab(tmp_path, "\n\n".join([PASSES, FAILS, SKIPS, lossy()]) + "\n\nprint('noise')\n")
    said = pktlab_command("run", "a_lab.py", "--json", "-", cwd=tmp_path)
    data = json.loads(said.out)
    conform(data, SHAPE)
    (lab,) = data["labs"]
    assert (lab["name"], lab["status"]) == ("a_lab", "failed")
    assert [(act["name"], act["status"]) for act in lab["acts"]] == [
        ("test_passes", "passed"),
        ("test_fails", "failed"),
        ("test_skips", "skipped"),
        ("test_lossy", "inconclusive"),
    ]
    assert lab["acts"][1]["reason"] == "a_lab.py:10: assert [1, 2] == [1, 3]"
    assert lab["acts"][2]["reason"] == "nft is not installed"


def test_json_to_a_file_goes_with_the_transcript(tmp_path: Path) -> None:
    write_lab(tmp_path, PASSES)
    said = pktlab_command("run", "a_lab.py", "--json", "out.json", cwd=tmp_path)
    assert "test_passes" in said.out
    assert json.loads((tmp_path / "out.json").read_text())["labs"][0]["status"] == "passed"


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_acts_are_told_in_the_order_of_declaration(jobs: str, tmp_path: Path) -> None:
    text = (
        "import pytest, threading\n"
        "def test_z():\n    threading.Event().wait(0.5)\n"  # with several jobs, later ones end before
        "@pytest.mark.parametrize('n', [2, 1])\ndef test_p(n): ...\n"
        "def test_a(): ...\n"
    )
    labs = [write_lab(tmp_path, text, name) for name in ("second", "first")]
    data = json.loads(pktlab_command("run", *labs, "-j", jobs, "--json", "-", cwd=tmp_path).out)
    assert [lab["name"] for lab in data["labs"]] == ["second", "first"]
    for lab in data["labs"]:
        assert [act["name"] for act in lab["acts"]] == ["test_z", "test_p[2]", "test_p[1]", "test_a"]


def test_keyword_chooses_acts_and_labs(tmp_path: Path) -> None:
    labs = [write_lab(tmp_path, PASSES + "\n\n" + SKIPS, name) for name in ("router", "bridge")]

    def chosen(keyword: str) -> list[tuple[str, str]]:
        said = pktlab_command("run", *labs, "-k", keyword, "--json", "-", cwd=tmp_path)
        return [(lab["name"], act["name"]) for lab in json.loads(said.out)["labs"] for act in lab["acts"]]

    assert chosen("skips") == [("router", "test_skips"), ("bridge", "test_skips")]
    assert chosen("bridge and not skips") == [("bridge", "test_passes")]


@pytest.mark.parametrize("keyword", ["nothing_of_the_kind", "pytest", "a_lab and not a_lab", "and ("])
def test_keyword_that_chooses_nothing_is_wrong_use(keyword: str, tmp_path: Path) -> None:
    # pytest's own folder for this test, whose name has "pytest" in it, is no name of an act or lab.
    write_lab(tmp_path, PASSES)
    said = pktlab_command("run", "a_lab.py", "-k", keyword, cwd=tmp_path)
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("pktlab: ")
    assert keyword in said.err


def test_nothing_named(tmp_path: Path) -> None:
    said = pktlab_command("run", cwd=tmp_path)
    assert said.status == 2
    assert said.err == ("pktlab: nothing to run\n  name a lab (`pktlab list` shows them), or say --all for every one\n")
    assert not (tmp_path / "captures").exists()


def refused(said: Said, *texts: str) -> None:
    """One clear message, no traceback, nothing run, status 2."""
    assert said.status == 2
    assert "Traceback" not in said.err
    assert "passed" not in said.out
    assert said.err.startswith("pktlab: ")
    assert all(text in said.err for text in texts)


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("def x(:\n", ["a_lab.py:5: invalid syntax", "def x(:"]),
        ("x = 1\n", ["a_lab.py has no acts"]),
        ("del topology\n", ["a_lab.py has no acts"]),
    ],
)
def test_file_that_is_no_lab(text: str, messages: list[str], tmp_path: Path) -> None:
    write_lab(tmp_path, text)
    refused(pktlab_command("run", "a_lab.py", cwd=tmp_path), *messages)


def test_file_without_a_topology(tmp_path: Path) -> None:
    write_lab(tmp_path, PASSES, head="")
    refused(pktlab_command("run", "a_lab.py", cwd=tmp_path), "a_lab.py has no topology", "topology = Topology()")


def test_missing_file_folder_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    refused(pktlab_command("run", "./no.py", cwd=tmp_path), "cannot read no.py: No such file or directory")
    refused(pktlab_command("run", tmp_path, cwd=tmp_path), "is a folder")
    refused(pktlab_command("run", "bytes.py", cwd=tmp_path), "is not UTF-8")
    refused(pktlab_command("run", "bridge_swallow_arp", cwd=tmp_path), "did you mean bridge_swallows_arp_reply")
    refused(pktlab_command("run", "bridge_swallows_arp_reply", "--all", cwd=tmp_path), "both")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nosuchmodule", "bad.py:5: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("from scapy.layers.l2 import NOSUCH", "bad.py:5: ImportError: cannot import name 'NOSUCH'"),
        ("import sys; sys.exit(3)", "bad.py:5: SystemExit: 3"),
        ("from pktlab import Topology; Topology().namespace('a b')", "bad.py:5: 'a b' is not a name"),
        ("from pktlab import confirms\n@confirms\ndef f(): ...", "bad.py:6: @confirms without parentheses"),
    ],
)
def test_lab_whose_import_fails(text: str, message: str, tmp_path: Path) -> None:
    write_lab(tmp_path, f"{text}\n{PASSES}", "bad")
    write_lab(tmp_path, PASSES, "good")
    said = pktlab_command("run", "bad.py", "good.py", "--json", "out.json", cwd=tmp_path)
    assert said.status == 2
    assert said.err.count("pktlab: ") == 1
    assert message in said.err
    assert "Traceback" not in said.err + said.out
    assert "1 passed" in said.out  # the other lab is not to blame
    bad, good = json.loads((tmp_path / "out.json").read_text())["labs"]
    assert (bad["status"], bad["acts"], good["status"]) == ("failed", [], "passed")


def test_labs_of_the_same_name_would_overwrite_each_other(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_lab(tmp_path / folder, PASSES)
    refused(pktlab_command("run", "x/a_lab.py", "y/a_lab.py", cwd=tmp_path), "x/a_lab.py and y/a_lab.py", "rename")


def test_modules_that_share_a_name_with_the_lab_or_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 3\n")
    write_lab(tmp_path, "import beside, json\ndef test_a(): assert beside.VALUE == 3 and json.dumps\n", "lab_one")
    write_lab(tmp_path, "def test_a(): ...\n", "json")
    assert pktlab_command("run", "./json.py", "lab_one.py", cwd=tmp_path).status == 0


def test_the_users_own_pytest_setup_does_not_disturb(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('a conftest of the user')\n")
    write_lab(tmp_path, PASSES)
    env = {"PYTEST_ADDOPTS": "--no-such-option", "PYTEST_PLUGINS": "nosuchplugin"}
    said = pktlab_command("run", "a_lab.py", cwd=tmp_path, env=env)
    assert (said.status, said.err) == (0, "")
    assert not (tmp_path / ".pytest_cache").exists()


@pytest.mark.parametrize(
    ("target", "message"),
    [("folder", "Is a directory"), ("nowhere/out.json", "No such file or directory")],
)
def test_json_file_that_cannot_be_written_is_told_before_anything_runs(
    target: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    write_lab(tmp_path, PASSES)
    refused(pktlab_command("run", "a_lab.py", "--json", target, cwd=tmp_path), f"cannot write {target}: {message}")


def test_captures_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "captures").write_text("")
    write_lab(tmp_path, PASSES)
    refused(pktlab_command("run", "a_lab.py", cwd=tmp_path), "cannot write captures to captures: ", "--captures DIR")


@pytest.mark.parametrize(("full", "message"), [(True, "No space left on device"), (False, "Read-only file system")])
def test_captures_folder_full_or_read_only(full: bool, message: str, tmp_path: Path) -> None:
    write_lab(tmp_path, PASSES)
    folder = tmp_path / "disk"
    folder.mkdir()

    def run() -> Any:
        libc.mount("tmpfs", str(folder), "tmpfs", 0 if full else 1, "size=32k")  # 1 is MS_RDONLY
        return pktlab_command("run", "a_lab.py", "--captures", folder, cwd=tmp_path)

    refused(sandbox.call(run), f"cannot write captures to {folder}: {message}", "--captures DIR")


@pytest.mark.parametrize("command", [["run", "a_lab.py"], ["claims"]])
def test_machine_that_cannot_run_labs(command: list[str], tmp_path: Path) -> None:
    write_lab(tmp_path, PASSES)

    def run() -> Any:
        uid, gid = os.geteuid(), os.getegid()
        libc.unshare(libc.CLONE_NEWUSER)
        # Without a mapping the command would lose what it may do, and be refused for that.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        Path("/proc/sys/user/max_net_namespaces").write_text("0")
        return pktlab_command(*command, cwd=tmp_path)

    said = sandbox.call(run)
    assert (said.status, said.out) == (3, "")
    assert "user.max_net_namespaces is 0" in said.err
    assert "sysctl -w" in said.err
    assert "Traceback" not in said.err


def test_a_run_leaves_a_capture_for_each_act(tmp_path: Path) -> None:
    text = (
        "import pytest\na, b = host.veth('a', 'b')\na.address('10.0.0.1/24')\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_ping(net, n):\n    with net.capture():\n        net.ping('10.0.0.9')\n"
    )
    write_lab(tmp_path, text, head=NETWORK)
    said = pktlab_command("run", "a_lab.py", "--captures", "kept", "--json", "-", cwd=tmp_path)
    acts = json.loads(said.out)["labs"][0]["acts"]
    assert said.status == 0
    assert len({act["capture"]["file"] for act in acts}) == 2
    for act in acts:
        assert act["capture"]["frames"] > 0
        assert (tmp_path / act["capture"]["file"]).read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
        assert act["capture"]["file"].startswith("kept/a_lab/")


def test_markers_are_kept_for_who_asks(tmp_path: Path) -> None:
    counts = []
    for option in ([], ["--markers"]):
        command = ["run", "bridge_swallows_arp_reply", "-k", "address_on_the_port", "--json", "-", *option]
        capture = json.loads(pktlab_command(*command, cwd=tmp_path).out)["labs"][0]["acts"][0]["capture"]
        assert set(capture["proof"]["armed"]) == set(capture["interfaces"]) == set(capture["proof"]["fenced"])
        counts.append((tmp_path / capture["file"]).read_bytes().count(b"\x88\xb5"))
    assert counts[0] == 0 < counts[1]


def test_a_run_tells_packets_and_questions(tmp_path: Path) -> None:
    said = pktlab_command("run", "bridge_swallows_arp_reply", "-k", "address_on_the_port", cwd=tmp_path)
    assert said.status == 0, said.out
    assert re.search(
        r"^    ARP, Request who-has 192\.168\.3\.102 tell 192\.168\.3\.101 +veth0 > veth1$", said.out, re.M
    )
    assert re.search(r"^    ARP, Reply 192\.168\.3\.102 is-at \S+ +veth1 > veth0 > br0$", said.out, re.M)
    assert re.search(r"^    \? ping 192\.168\.3\.102 dev veth0: ", said.out, re.M)
    assert max(map(len, said.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("act", "status", "text"),
    [
        ("net.run(host, ['nosuchprogram'])", 0, "nosuchprogram is not installed"),
        ("net.start(host, ['sh', '-c', 'echo no config >&2; exit 7'], ready=lambda: False)", 1, "no config"),
        ("import os; os._exit(3)", 1, "ended without a report"),
        ("[][3]", 1, "IndexError: list index out of range"),
        ("with net.capture() as seen: pass\n    seen.path('ARP')", 1, "'ARP' is not a pattern"),
    ],
)
def test_faults_within_an_act(act: str, status: int, text: str, tmp_path: Path) -> None:
    write_lab(tmp_path, f"def test_a(net):\n    {act}\n\n\ndef test_b(net): ...\n", head=NETWORK)
    said = pktlab_command("run", "a_lab.py", cwd=tmp_path)
    assert said.status == status
    assert text in said.out
    assert "Traceback" not in said.out + said.err
    assert "1 passed" in said.out


def test_workers_tell_faults_in_the_same_words(tmp_path: Path) -> None:
    write_lab(tmp_path, f"import nosuchmodule\n{PASSES}", "bad")
    acts = [
        "def test_a(net):\n    import os; os._exit(3)\n",
        "def test_b(net):\n    [][3]\n",
        "def test_c(net):\n    net.run(host, ['nosuchprogram'])\n",
    ]
    write_lab(tmp_path, "\n\n".join(acts), "good", head=NETWORK)
    alone, together = (pktlab_command("run", "bad.py", "good.py", "-j", jobs, cwd=tmp_path) for jobs in ("1", "2"))
    assert re.sub(r"\d\.\d+ s", "T", alone.out) == re.sub(r"\d\.\d+ s", "T", together.out)
    assert (alone.status, alone.err) == (together.status, together.err)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_the_results_so_far_and_leaves_nothing_behind(jobs: str, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    text = (
        "def test_first(net): ...\n\n\n"
        "def test_hangs(net):\n"
        f"    net.run(host, ['sh', '-c', 'echo ready > {ready}; exec sleep 1000'], timeout=900)\n\n\n"
        "def test_last(net): ...\n"
    )
    write_lab(tmp_path, text, head=NETWORK)
    process = subprocess.Popen(
        [*COMMAND, "run", "a_lab.py", "-j", jobs, "--json", "out.json"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with ready.open() as opened:  # until the act is in the middle of it
        assert opened.read() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "pktlab: interrupted\n"
    assert "Traceback" not in out
    labs = json.loads((tmp_path / "out.json").read_text())["labs"]
    acts = [(act["name"], act["status"]) for lab in labs for act in lab["acts"]]
    assert "test_hangs" not in dict(acts)
    if jobs == "1":  # else it may well have been in the middle of it, too
        assert acts == [("test_first", "passed")]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_pipe_closed_in_the_middle_ends_the_run_quietly(tmp_path: Path) -> None:
    write_lab(tmp_path, "\n\n".join(PASSES.replace("passes", f"passes_{n}") for n in range(5)))
    process = subprocess.Popen(
        [*COMMAND, "run", "a_lab.py"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")


def test_claims_are_proved_by_running(tmp_path: Path) -> None:
    said = pktlab_command("claims", "--json", "-j", "2", "--captures", "proof", cwd=tmp_path)
    claims = {claim["id"]: claim for claim in json.loads(said.out)["claims"]}
    assert said.status == 0, [claim for claim in claims.values() if claim["reason"]]
    assert claims["enslaved-ping-veth0-fails"]["verdict"] == "confirmed"
    assert claims["enslaved-ping-veth0-fails"]["lab"] == "bridge_swallows_arp_reply"
    assert list(tmp_path.iterdir()) == [tmp_path / "proof"]
    for evidence in claims["enslaved-ping-veth0-fails"]["evidence"]:
        assert (tmp_path / evidence["capture"]).is_file()


def test_stub_labs_start_where_the_expected_lines_say() -> None:
    assert HEAD.count("\n") == 4

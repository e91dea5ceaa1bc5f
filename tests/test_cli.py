"""`pktlab list`, `show`, `claims` and `doctor`, and what holds for the command as a whole."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commandline import COMMAND, environment, pktlab_command, write_lab

from pktlab import __version__, labfile
from pktlab.cli import main

LAB = labfile.discover()[0].name
# Modules without which none of these can be imported; `show` has stand-ins for what a lab imports by name.
SLOW = ("scapy.config", "pyroute2", "_pytest", "pydantic")


_LABS = [lab.name for lab in labfile.discover()]
_QUICK = [["--help"], ["run", "--help"], ["show", "--help"], ["--version"], ["list"], *(["show", lab] for lab in _LABS)]


@pytest.mark.parametrize("arguments", _QUICK, ids=" ".join)
def test_start_up_waits_for_no_slow_import(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND[0], "-X", "importtime", *COMMAND[1:], *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    imported = re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.M)
    assert "typer" in imported
    assert not set(SLOW) & set(imported)


@pytest.mark.parametrize("command", ["", "list", "show", "run", "claims", "doctor"])
def test_help_has_an_example_with_its_lines_kept(command: str, tmp_path: Path) -> None:
    said = pktlab_command(*command.split(), "--help", cwd=tmp_path)
    assert said.status == 0
    assert re.search(rf"\n  Examples?:\n    pktlab {command}", said.out)
    assert max(map(len, said.out.splitlines())) <= 80


def test_version(tmp_path: Path) -> None:
    assert pktlab_command("--version", cwd=tmp_path).out == f"pktlab {__version__}\n"


def test_without_a_command_help_is_shown_as_wrong_use(tmp_path: Path) -> None:
    said = pktlab_command(cwd=tmp_path)
    assert (said.status, said.out) == (2, "")
    assert "Commands:" in said.err


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["--nothing"], "no such option: --nothing", "`pktlab --help`"),
        (["run", "--nothing"], "no such option: --nothing", "`pktlab run --help`"),
        (["run", "-j", "0"], "invalid value for '-j'", "`pktlab run --help`"),
        (["runn"], "no such command 'runn'", "`pktlab --help`"),
        (["show"], "missing argument", "`pktlab show --help`"),
        (["show", "a", "b"], "got unexpected extra argument", "`pktlab show --help`"),
    ],
)
def test_wrong_use_is_told_in_one_voice(arguments: list[str], message: str, remedy: str, tmp_path: Path) -> None:
    said = pktlab_command(*arguments, cwd=tmp_path)
    assert (said.status, said.out) == (2, "")
    first, second = said.err.splitlines()
    assert first.startswith(f"pktlab: {message}")
    assert second == f"  see {remedy}"


def test_list(tmp_path: Path) -> None:
    labs = labfile.discover()
    lines = pktlab_command("list", cwd=tmp_path).out.splitlines()
    assert lines[0].split() == ["LAB", "ACTS", "NEEDS", "CLAIM"]
    assert [line.split()[:2] for line in lines[1:]] == [[lab.name, str(len(lab.acts))] for lab in labs]
    assert all(line.endswith(lab.title) for line, lab in zip(lines[1:], labs, strict=True))


def test_list_as_json(tmp_path: Path) -> None:
    data = json.loads(pktlab_command("list", "--json", cwd=tmp_path).out)
    assert data["version"] == 1
    assert [lab["name"] for lab in data["labs"]] == [lab.name for lab in labfile.discover()]
    assert all(set(lab) == {"name", "title", "acts", "needs", "file"} for lab in data["labs"])


def test_show(tmp_path: Path) -> None:
    said = pktlab_command("show", "bridge-swallows-arp-reply", cwd=tmp_path)
    lab = labfile.find(["bridge_swallows_arp_reply"])[0]
    assert (said.status, said.err) == (0, "")
    assert all(f"    {line}".rstrip() in said.out for line in lab.drawing.splitlines())
    assert lab.story in said.out
    assert "    ip -n host link set veth0 master br0\n" in said.out
    assert "    ip netns exec host sysctl -w net.ipv4.conf.veth1.accept_local=1\n" in said.out
    for act in lab.acts:
        assert f"    {act.name}\n      {act.title}\n" in said.out
        assert all(f"{claim['verdict']}" in said.out and claim["id"] in said.out for claim in act.claims)


def test_show_groups_settings_by_namespace(tmp_path: Path) -> None:
    write_lab(
        tmp_path,
        'a, b = topology.namespace("a"), topology.namespace("b")\n'
        'x, y = a.veth("x", "y", netns=b)\ny.address("10.0.0.2/24")\nx.address("10.0.0.1/24")\n'
        "def test_a(net): ...\n",
        head="from pktlab import Topology\ntopology = Topology()\n",
    )
    out = pktlab_command("show", "a_lab.py", cwd=tmp_path).out
    first, second = out.partition("Topology")[2].split("\n  b\n")
    assert "ip -n a addr add 10.0.0.1/24 dev x" in first
    assert "ip -n b addr add 10.0.0.2/24 dev y" in second
    assert not list(tmp_path.glob("__pycache__"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nosuchmodule\n", "a_lab.py:5: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("import sys\nsys.exit(3)\n", "a_lab.py:6: SystemExit: 3"),
        ("1 / 0\n", "a_lab.py:5: ZeroDivisionError"),
        ('from pktlab import Topology\nTopology().namespace("a b")\n', "a_lab.py:6: 'a b' is not a name"),
    ],
)
def test_show_of_a_lab_whose_import_fails(text: str, message: str, tmp_path: Path) -> None:
    write_lab(tmp_path, text + "def test_a(net): ...\n")
    said = pktlab_command("show", "a_lab.py", cwd=tmp_path)
    assert (said.status, said.out) == (2, "")
    assert message in said.err
    assert "Traceback" not in said.err


def test_show_of_an_unknown_lab_offers_the_nearest(tmp_path: Path) -> None:
    said = pktlab_command("show", "bridge_swallow_arp", cwd=tmp_path)
    assert said.status == 2
    assert said.err.startswith(
        "pktlab: no lab is called 'bridge_swallow_arp'\n  did you mean bridge_swallows_arp_reply"
    )


def test_claims_as_declared(tmp_path: Path) -> None:
    cited = {claim["id"]: claim for lab in labfile.discover() for act in lab.acts for claim in act.claims}
    data = json.loads(pktlab_command("claims", "--declared", "--json", cwd=tmp_path).out)
    keys = ["id", "topic", "statement", "documents", "verdict", "on", "really", "lab", "act", "evidence", "reason"]
    assert data["version"] == 1
    assert all(list(claim) == keys for claim in data["claims"])
    decided = {claim["id"] for claim in data["claims"] if claim["verdict"] not in ("open", "undecidable")}
    assert decided == set(cited)


def test_claims_for_people(tmp_path: Path) -> None:
    out = pktlab_command("claims", "--declared", cwd=tmp_path).out
    summary = re.fullmatch(
        r"(\d+) claims: (\d+) confirmed, (\d+) refuted, (\d+) depends, (\d+) undecidable, (\d+) open",
        out.splitlines()[-1],
    )
    assert summary
    total, *parts = map(int, summary.groups())
    assert total == sum(parts)
    assert re.search(r"^arp\n  \w+", out, re.M)
    assert re.search(
        r"^  confirmed   enslaved-ping-veth0-fails\n( {14}.*\n)+? {14}bridge_swallows_arp_reply: test_", out, re.M
    )
    assert re.search(r"^  undecidable wifi-one-mac\n", out, re.M)
    # Only what would be torn apart is longer than a line: the places in the documents, acts, files.
    assert [
        line for line in out.splitlines() if len(line) > 80 and not re.search(r"§|: test_|^ +captures/", line)
    ] == []


def test_doctor(tmp_path: Path) -> None:
    said = pktlab_command("doctor", "--json", cwd=tmp_path)
    data = json.loads(said.out)
    assert said.status == (0 if data["labs_can_run"] else 3)
    names = {capability["name"] for capability in data["capabilities"]}
    assert {"namespaces", "veth", "bridge", "vxlan", "nft", "scapy"} <= names
    out = pktlab_command("doctor", cwd=tmp_path).out
    for capability in data["capabilities"]:
        answer = "yes" if capability["available"] else "no "
        assert f"{answer}  {capability['name']} " in out
        assert capability["available"] or capability["remedy"] in out


def test_doctor_says_no_with_its_remedy(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from pktlab.errors import SandboxError
    from pktlab.kernel import probe, sandbox

    def refuse() -> None:
        raise SandboxError("no")

    found = [probe.Capability("namespaces", False, "AppArmor", "sysctl this"), probe.Capability("ip", True, "6.1")]
    monkeypatch.setattr(probe, "probe", lambda: found)
    monkeypatch.setattr(sandbox, "available", refuse)
    monkeypatch.setattr("sys.argv", ["pktlab", "doctor"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 3
    assert capsys.readouterr().out.splitlines() == [
        "no   namespaces  AppArmor",
        "                 sysctl this",
        "yes  ip          6.1",
        "",
        "Labs cannot run on this machine.",
    ]


def test_a_closed_pipe_is_no_fault(tmp_path: Path) -> None:
    for arguments in (["list"], ["claims", "--declared", "--json"], ["show", LAB]):
        process = subprocess.Popen(
            [*COMMAND, *arguments],
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


@pytest.mark.parametrize("arguments", [["list"], ["claims", "--declared", "--json"], ["run", "./a_lab.py"]])
def test_a_full_output_is_told(arguments: list[str], tmp_path: Path) -> None:
    write_lab(tmp_path, 'def test_a():\n    """A title."""\n')
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "pktlab: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("env", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colour_only_on_a_terminal(env: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    out = pktlab_command("claims", "--declared", cwd=tmp_path, env=env | {"TERM": "xterm"}).out
    assert bool(re.search(r"\x1b\[[\d;]*3[0-7]m", out)) == coloured


def test_a_terminal_without_utf8_is_no_fault(tmp_path: Path) -> None:
    said = pktlab_command("claims", "--declared", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert said.status == 0
    assert "claims: " in said.out


def complete(words: str, tmp_path: Path) -> Any:
    env = {"_PKTLAB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    return pktlab_command(cwd=tmp_path, env=env).out.split()


def test_lab_names_are_completed(tmp_path: Path) -> None:
    every = [lab.name for lab in labfile.discover()]
    assert complete("pktlab run ", tmp_path) == every
    assert complete("pktlab show bridge_sw", tmp_path) == ["bridge_swallows_arp_reply"]

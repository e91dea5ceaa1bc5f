"""pktlab inside Wireshark, by real tshark: its labs as interfaces, and the profile."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import COMMAND, environment
from test_live_capture import ORDINARY, untouched

from pktlab import labfile
from pktlab.cli import wireshark as command
from pktlab.errors import PktlabError, SandboxError
from pktlab.kernel import sandbox
from pktlab.wireshark import extcap, folders, profile, setup

DEADLINE = 120.0
FIELDS = ("frame.interface_name", "frame.packet_flags_direction", "frame.packet_id", "frame.comment")
TSHARK = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed: apt-get install tshark")
CAPTURE = labfile.labs_folder().parent / "captures/vxlan_wraps_the_frame/the_kernel_wraps.pcapng"


# ---- What an extcap says


def test_the_interfaces_are_the_labs_and_one_for_all() -> None:
    lines = extcap.interfaces()
    assert lines[0].startswith("extcap {version=")
    assert lines[1].startswith("interface {value=pktlab}{display=")
    labs = [line for line in lines[2:] if "{value=pktlab-up-" not in line]
    assert [line.partition("}")[0] for line in labs] == [
        f"interface {{value=pktlab-{lab.name}" for lab in labfile.discover()
    ]


def test_networks_that_are_up_are_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extcap, "_networks", lambda: ["mine"])
    assert extcap.interfaces()[2] == "interface {value=pktlab-up-mine}{display=pktlab: mine, which is up}"
    assert [line for line in extcap.config("pktlab-up-mine") if "--act" in line] == []


def test_the_default_lab_is_one_and_is_told() -> None:
    default = [line for line in extcap.config("pktlab") if "{default=true}" in line]
    assert len(default) == 1
    assert f"{{value={extcap.DEFAULT_LAB}}}" in default[0]


def test_braces_in_a_title_do_not_break_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = labfile.LabFile(Path("odd.py"), "odd", "An {odd} title", "", "", [], [])
    monkeypatch.setattr(labfile, "discover", lambda: [odd])
    assert extcap.interfaces()[-1] == "interface {value=pktlab-odd}{display=pktlab: An (odd) title}"


def run_script(path: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [path, *words], env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_script_answers_as_the_module_does(tmp_path: Path) -> None:
    path = setup.install(tmp_path)
    some = "pktlab-vxlan_wraps_the_frame"
    assert run_script(path, "--extcap-config", "--extcap-interface", some) == extcap.config(some)
    assert run_script(path, "--extcap-config", "--extcap-interface", "pktlab-up-x") == extcap.config("pktlab-up-x")
    assert run_script(path, "--extcap-config", "--extcap-interface", "pktlab") == extcap.config("pktlab")
    assert run_script(path, "--extcap-interfaces", "--extcap-version=4.0") == extcap.interfaces()
    assert run_script(path, "--extcap-dlts", "--extcap-interface", some) == [
        "dlt {number=1}{name=EN10MB}{display=Ethernet}"
    ]


def test_a_wrong_filter_is_said(tmp_path: Path) -> None:
    path = setup.install(tmp_path)
    words = [str(path), "--extcap-interface", "pktlab", "--extcap-capture-filter", "tcp port 80"]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pktlab: 'tcp port 80' is no pattern")


# ---- What is installed, and taken away


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_was_installed_is_taken_away_and_no_more(tmp_path: Path) -> None:
    extcaps, configuration = tmp_path / "lib/wireshark/extcap", tmp_path / "wireshark"
    told = {folders.PERSONAL: extcaps, folders.CONFIGURATION: configuration}
    path = setup.install(extcaps)
    assert setup.install(extcaps) == path, "again is no fault"
    setup.write_profile(configuration, set())
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert setup.uninstall(told)[1] == []
    assert tree(tmp_path) == []
    assert setup.uninstall(told) == ([], [], [])
    elsewhere = tmp_path / "elsewhere"
    assert setup.uninstall(told, elsewhere) == ([], [], [])
    setup.install(elsewhere)
    assert setup.uninstall(told, elsewhere) == ([elsewhere / "pktlab"], [], [])
    assert tree(tmp_path) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    extcaps, configuration = tmp_path / "extcap", tmp_path / "wireshark"
    told = {folders.PERSONAL: extcaps, folders.CONFIGURATION: configuration}
    extcaps.mkdir()
    (extcaps / "pktlab").write_text("#!/bin/sh\n")
    with pytest.raises(PktlabError, match="pktlab did not write it"):
        setup.install(extcaps)
    changed = setup.write_profile(configuration, set()) / "preferences"
    changed.write_text("# Saved by Wireshark\n")
    with pytest.raises(PktlabError, match="pktlab did not write it"):
        setup.write_profile(configuration, set())
    gone, left, _kept = setup.uninstall(told)
    assert ([path.name for path in gone], left) == (["colorfilters"], [changed])
    assert (extcaps / "pktlab").exists()
    setup.write_profile(configuration, set(), force=True)
    assert changed.read_text().startswith(profile.MARK)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({folders.PERSONAL: Path("/home/me/extcap"), folders.GLOBAL: Path("/tmp")}, (Path("/home/me/extcap"), True)),
        ({folders.GLOBAL: Path("/tmp")}, (Path("/tmp"), True)),
        ({folders.GLOBAL: Path("/nowhere")}, (Path.home() / ".local/lib/wireshark/extcap", False)),
    ],
    ids=["4.2", "4.0 that may write", "4.0 that may not"],
)
def test_the_folder_is_where_this_wireshark_looks(told: dict[str, Path], expected: tuple[Path, bool]) -> None:
    assert folders.extcap(told) == expected


def test_repeated_segments_are_no_retransmissions() -> None:
    newer = profile.files({"protocols.conversation_deinterlacing_key"})["preferences"]
    assert "protocols.conversation_deinterlacing_key: .MI\n" in newer
    assert "tcp.analyze_sequence_numbers" not in newer
    assert "tcp.analyze_sequence_numbers: FALSE\n" in profile.files()["preferences"]


# ---- tshark


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for anybody: pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        (Path(folder) / "extcap").mkdir()
        (Path(folder) / "extcap").chmod(0o777)
        yield Path(folder)


def shell(script: str, home: Path, *before: str) -> list[list[str]]:
    """Run a script with a home of its own; what it prints, by lines and tabs."""
    done = subprocess.run(
        [*before, "sh", "-ec", script],
        cwd="/",
        env=environment(
            HOME=str(home),
            WIRESHARK_EXTCAP_DIR=str(home / "extcap"),
            XDG_CONFIG_HOME=str(home / ".config"),
            TMPDIR=str(home),
            PKTLAB=" ".join(COMMAND),
        ),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    if "ermission denied" in done.stderr or "No module named" in done.stderr:
        pytest.skip(f"this user cannot read what is to be run: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def captured(words: str) -> str:
    fields = " ".join(f"-e {field}" for field in FIELDS)
    return f"timeout {DEADLINE / 2:g} tshark {words} -T fields -E aggregator='|' {fields} 2>/dev/null"


def check_sandbox() -> None:
    try:
        sandbox.available()
    except SandboxError as error:
        pytest.skip(str(error))


def check_packets(rows: list[list[str]], count: int) -> None:
    assert len(rows) == count
    names, directions, packets, comments = zip(*rows, strict=True)
    assert len(set(names)) >= 3
    assert all("/" in name for name in names)
    assert {int(each, 16) for each in directions} == {1, 2}
    assert packets[0] == "1"
    assert len(set(packets)) >= 3
    assert all(": hop " in text for text in comments)


INSTALL = "$PKTLAB wireshark install"


@TSHARK
def test_tshark_captures_on_pktlab_for_an_ordinary_user(home: Path) -> None:
    check_sandbox()
    before = untouched()
    ordinary = ORDINARY if os.geteuid() == 0 else []
    script = f"{INSTALL} >/dev/null\n{captured('-i pktlab -c 20')}\n$PKTLAB wireshark uninstall >/dev/null"
    check_packets(shell(script, home, *ordinary), 20)
    assert tree(home / "extcap") == []
    assert untouched() == before


@TSHARK
def test_tshark_captures_on_a_lab_with_options(home: Path) -> None:
    check_sandbox()
    ordinary = ORDINARY if os.geteuid() == 0 else []
    name = "pktlab-router_rewrites_macs"
    # A dash in the name of an interface is an underscore in those of its preferences.
    options = f"-o extcap.{name.replace('-', '_')}.interfaces:rt_a,a/eth0 -o extcap.{name.replace('-', '_')}.act:across"
    rows = shell(f"{INSTALL} >/dev/null\n{captured(f'{options} -i {name}')}", home, *ordinary)
    assert {row[0] for row in rows} == {"rt/rt_a", "a/eth0"}
    comments = [text for row in rows for text in row[3].split("|")]
    assert next(text for text in comments if text.startswith("test_")).startswith("test_ping_across_the_router")
    filtered = shell(captured(f"-i {name} -f 'ARP(op=\"is-at\")' -c 4"), home, *ordinary)
    assert all("ARP is-at" in row[3] for row in filtered)


@TSHARK
def test_tshark_says_what_is_wrong(home: Path) -> None:
    ordinary = ORDINARY if os.geteuid() == 0 else []
    install = "$PKTLAB wireshark install --folder $WIRESHARK_EXTCAP_DIR >/dev/null"
    rows = shell(
        f"{install}\ntimeout 60 tshark -o extcap.pktlab.lab:nothing -i pktlab 2>&1 || echo status $?", home, *ordinary
    )
    if not any("Capturing on" in line for (line,) in rows):
        pytest.skip("root's tshark takes no folder from the environment")
    assert "tshark: Error by extcap pipe: pktlab: no lab is called 'nothing'" in [line for (line,) in rows]
    assert ["status 124"] not in rows, "it says so by itself, and need not be ended"


@TSHARK
def test_a_folder_that_may_not_be_written_to_is_no_dead_end(home: Path) -> None:
    """Up to 4.0 there is one folder for all users, or that of a variable, which is then told."""
    if folders.PERSONAL in folders.told():
        pytest.skip("this Wireshark has a personal folder")
    ordinary = ORDINARY if os.geteuid() == 0 else []
    rows = shell(f"unset WIRESHARK_EXTCAP_DIR\n{INSTALL}", home, *ordinary)
    start, following = [line.strip() for (line,) in rows if "WIRESHARK_EXTCAP_DIR=" in line]
    assert following == f"next: {start.removesuffix('wireshark')}tshark -i pktlab -c 20"
    assert start == f"WIRESHARK_EXTCAP_DIR={home}/.local/lib/wireshark/extcap wireshark"
    listed = shell(f"{start.removesuffix('wireshark')} tshark -D", home, *ordinary)
    assert any(" pktlab (" in line for (line,) in listed)
    shell("unset WIRESHARK_EXTCAP_DIR\n$PKTLAB wireshark uninstall", home, *ordinary)
    assert not (home / ".local").exists()


def test_what_another_user_installed_is_left_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One's own goes nevertheless, and that is no failure; what is one's own and stays is one."""
    system, own = tmp_path / "system", tmp_path / "own"
    theirs = setup.install(system)
    told = {folders.GLOBAL: system}
    remove = setup._remove

    def refused(path: Path) -> None:
        if path == theirs:
            raise PktlabError(f"cannot remove {path}: Permission denied")
        remove(path)

    monkeypatch.setattr(setup, "_remove", refused)
    mine = setup.install(own)
    with pytest.raises(PktlabError, match="Permission denied"):
        setup.uninstall(told, own)
    assert not mine.exists()
    setup.install(own)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    owner = pwd.getpwuid(uid).pw_name
    assert setup.uninstall(told, own) == ([mine], [], [(theirs, owner)])
    monkeypatch.setattr(folders, "told", lambda: told)
    said: list[str] = []
    monkeypatch.setattr(command, "_say", said.append)
    assert command.uninstall(own) == 0
    assert said == [f"left {theirs}: it is {owner}'s, who can remove it by `pktlab wireshark uninstall`"]


def test_install_says_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(command, "_say", said.append)
    monkeypatch.delenv("WIRESHARK_EXTCAP_DIR", raising=False)
    monkeypatch.setattr(folders, "told", lambda: {folders.GLOBAL: tmp_path})
    for uid, words in ((0, ", for all users"), (1000, "")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        said.clear()
        command.install()
        assert said == [f"{tmp_path}/pktlab{words}", "next: tshark -i pktlab -c 20"]
    said.clear()
    command.install(tmp_path / "a b")
    assert said[-1] == f"next: WIRESHARK_EXTCAP_DIR='{tmp_path}/a b' tshark -i pktlab -c 20"


@TSHARK
def test_tshark_captures_on_a_network_that_is_up(home: Path) -> None:
    check_sandbox()
    ordinary = ORDINARY if os.geteuid() == 0 else []
    name = f"wireshark-{uuid.uuid4().hex[:12]}"
    datagram = f'{sys.executable} -c \'import socket; socket.socket(2, 2).sendto(b"hello", ("192.168.2.2", 7))\''
    # Until tshark has begun nothing is seen, and so datagrams are sent until it has enough.
    script = f"""
        {INSTALL} >/dev/null
        $PKTLAB up router_rewrites_macs --name {name} >/dev/null
        trap '$PKTLAB down {name} >/dev/null' EXIT
        mkfifo $HOME/packets
        {captured(f"-i pktlab-up-{name} -l -c 12")} >$HOME/packets &
        (while [ ! -e $HOME/over ]; do $PKTLAB exec {name} a -- {datagram}; done) >/dev/null 2>&1 &
        cat $HOME/packets
        touch $HOME/over
        wait
    """
    check_packets(shell(script, home, *ordinary), 12)


@TSHARK
def test_tshark_captures_on_pktlab_for_root(home: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare")
    check_sandbox()
    # Root's tshark takes no folder from the environment, and so the system's own is covered, for this process only.
    if folders.PERSONAL not in folders.told():
        where = folders.told()[folders.GLOBAL]
        cover = f"mount --bind $HOME/extcap {where}\n"
    else:
        cover = ""
    script = f"{cover}{INSTALL} >/dev/null\n{captured('-i pktlab -c 20')}\n$PKTLAB wireshark uninstall >/dev/null"
    check_packets(shell(script, home, "unshare", "--mount", "--propagation", "private"), 20)
    assert tree(home / "extcap") == []


@TSHARK
def test_tshark_knows_the_profile(home: Path) -> None:
    ordinary = ORDINARY if os.geteuid() == 0 else []
    rows = shell(f"$PKTLAB wireshark profile >/dev/null\ntshark -C pktlab -r {CAPTURE} 2>&1", home, *ordinary)
    lines = [line for (line,) in rows if " ** " not in line]
    assert lines[0].split()[2:5] == ["a/a0", "Outbound", "1"]
    assert lines[0].endswith("ARP who-has 10.244.0.1: hop 1 of 5")
    # Nothing in the profile is unknown to this version.
    assert [line for line in lines if "pref" in line or "rror" in line] == []
    words = f"tshark -C pktlab --color -r {CAPTURE} -T fields -e frame.coloring_rule.name -e frame.comment"
    rules = shell(f"{words} 2>/dev/null", home, *ordinary)
    stops = [row for row in rules if "stops here" in row[1]]
    assert len(stops) > 3
    assert [row for row in rules if row[0] == "Packet stops here"] == stops


@TSHARK
def test_a_packets_whole_way_is_a_filter(home: Path) -> None:
    rows = shell(f"tshark -r {CAPTURE} -Y 'frame.packet_id == 1' -T fields -e frame.interface_name 2>/dev/null", home)
    assert rows == [["a/a0"], ["node1/va"], ["node1/vb"], ["node1/cni1"], ["b/b0"]]


@TSHARK
def test_no_segment_looks_like_a_retransmission(home: Path) -> None:
    """A capture in which each segment is seen on several interfaces."""
    ordinary = ORDINARY if os.geteuid() == 0 else []
    capture = next(path for path in sorted((CAPTURE.parents[1] / "ingress_reads_the_host_name").glob("*.pcapng")))
    words = f"tshark %s -r {capture} -Y tcp.analysis.retransmission -T fields -e frame.number 2>/dev/null"
    assert shell(words % "", home, *ordinary), "without the profile there are some"
    assert shell("$PKTLAB wireshark profile >/dev/null\n" + words % "-C pktlab", home, *ordinary) == []

"""A network that stays up: `pktlab up`, ps, sh, exec, repl and down, and that nothing is left behind (law 2).

Each test runs in a sandbox of its own, in which root's and an ordinary user's networks, sockets, names and processes
can all be counted, and which takes along what a defect left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import pty
import random
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ParamSpec

import pytest
from commandline import COMMAND, ROOT, environment
from test_run_kill import ended
from test_sandbox_kill import NOBODY, needs_python, others

from pktlab.cli.standing import short
from pktlab.errors import MachineError, PktlabError
from pktlab.kernel import libc, process, sandbox
from pktlab.kernel.capture import Recorder
from pktlab.kernel.message import Failure, Receiver, Sender
from pktlab.kernel.netns import Netns
from pktlab.standing import names, registry
from pktlab.standing.guest import Guest
from pktlab.standing.registry import Standing

P = ParamSpec("P")
LAB = "bridge_swallows_arp_reply"
SECONDS = 60.0
KILLS = int(os.environ.get("PKTLAB_KILLS", "5"))
ROOT_USER = os.geteuid() == 0
# A new one in each sandbox.
HOME = "/run/home"


def isolated(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test as pid 1 of a sandbox; afterwards everything in it must be as before."""

    @functools.wraps(test)
    def outer(*args: P.args, **kwargs: P.kwargs) -> None:
        def work() -> None:
            os.mkdir(HOME)
            os.chmod(HOME, 0o777)
            before = state()
            reaping(lambda: test(*args, **kwargs))
            assert state() == before

        try:
            sandbox.call(work, deadline=120)
        except MachineError as error:
            pytest.skip(str(error))

    return outer


def reaping(test: Callable[[], None]) -> None:
    """Run a test in a child, and reap whatever is orphaned meanwhile, as a machine's init does."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
    pid = os.fork()
    if pid == 0:
        try:
            test()
        except BaseException as error:
            Sender(writing)(Failure.of(error))
        finally:
            os._exit(0)
    while os.wait()[0] != pid:
        pass
    with contextlib.suppress(BlockingIOError):
        for message in Receiver().feed(os.read(reading, 1 << 20)):
            raise message.exception()


def processes() -> list[int]:
    """What lives in the sandbox besides the test, by what it says of itself."""
    found = []
    for pid in others():
        with contextlib.suppress(OSError):  # it has ended
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            if pid != 1 and "State:\tZ" not in status:
                found.append(pid)
    return found


def command_lines() -> list[bytes]:
    found = []
    for pid in processes():
        with contextlib.suppress(OSError):
            found.append(Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def state() -> dict[str, object]:
    """What must not change: processes, and with them namespaces; mounts, names, sockets."""
    end = time.monotonic() + 10
    for pid in processes():
        if not ended(pid, max(0.0, end - time.monotonic())):
            break
    return {
        "processes": command_lines(),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "/run": sorted(os.listdir("/run")),
        "/run/netns": sorted(os.listdir("/run/netns")),
        "sockets": re.findall(r"@pktlab\S*", Path("/proc/net/unix").read_text()),
    }


@pytest.fixture(params=["root", "ordinary-user"])
def who(request: pytest.FixtureRequest) -> list[str]:
    """The words before a command by which it is run as root (of the sandbox), or as somebody without privileges."""
    if request.param == "root":
        return []
    needs_python(NOBODY)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def start(*words: str, who: Sequence[str] = (), **more: Any) -> subprocess.Popen[str]:
    """Start ``pktlab`` with these arguments."""
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    env = environment(HOME=HOME, PYTHONDONTWRITEBYTECODE="1")
    return subprocess.Popen([*who, *COMMAND, *words], cwd=ROOT, env=env, text=True, **(pipes | more))


def said(*words: str, who: Sequence[str] = (), input: str = "") -> tuple[int, str, str]:
    """Run ``pktlab`` to its end; return its exit status and what it said."""
    with start(*words, who=who) as running:
        try:
            out, err = running.communicate(input, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
    return running.returncode, out, err


def well(*words: str, who: Sequence[str] = (), input: str = "") -> str:
    """Run ``pktlab``, which must end well; return what it said."""
    status, out, err = said(*words, who=who, input=input)
    assert (status, err) == (0, ""), out
    return out


def networks(who: Sequence[str] = ()) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(well("ps", "--json", who=who))["networks"]
    return found


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert ended(pid, SECONDS)


def children(pid: int) -> list[int]:
    """The children of a process that live."""
    found = []
    for each in processes():
        with contextlib.suppress(OSError):  # it has ended
            if f"\nPPid:\t{pid}\n" in Path(f"/proc/{each}/status").read_text(encoding="utf-8"):
                found.append(each)
    return found


def guardians(owner: int) -> list[int]:
    """The guardian of the names is the child of an owner that has no child of its own, unlike the launcher."""
    return [each for each in children(owner) if not children(each)]


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for what nobody announces."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        select.poll().poll(10)


def test_from_up_to_down(who: list[str]) -> None:
    @isolated
    def test() -> None:
        out = well("up", LAB, who=who)
        assert f"{LAB} is up: host" in out
        assert f"pktlab exec {LAB} host -- " in out
        (one,) = networks(who)
        assert (one["name"], one["namespaces"]) == (LAB, ["host"])
        assert one["lab"].endswith(f"/{LAB}.py")
        assert one["owner"] in processes()
        assert datetime.fromisoformat(one["since"]).tzinfo is not None
        assert well("ps", who=who).splitlines()[1].split() == [
            *(LAB, str(one["owner"])),
            *one["since"][:19].split("T"),
            f"labs/{LAB}.py",
            "host",
        ]
        # One command, then another: the network is the same, and what the first did is there.
        well("exec", LAB, "host", "--", "ip", "address", "add", "10.9.9.9/24", "dev", "br0", who=who)
        shown = json.loads(well("exec", LAB, "host", "--", "ip", "-j", "address", "show", "dev", "br0", who=who))
        assert [each["local"] for each in shown[0]["addr_info"]] == ["10.9.9.9"]
        # Nobody captures, so nobody keeps what passes.
        sockets = well("exec", LAB, "host", "--", "cat", "/proc/net/packet", who=who)
        assert len(sockets.splitlines()) == 1
        assert well("down", LAB, who=who) == f"{LAB} is down\n"
        assert networks(who) == []

    test()


@isolated
def test_names_for_ip_netns() -> None:
    well("up", "router_rewrites_macs", "--name", "net")
    (one,) = networks()
    assert one["names"] == [f"net.{name}" for name in one["namespaces"]]
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    assert set(one["names"]) <= set(listed)
    first, second = one["namespaces"][:2]
    by_ip = subprocess.run(["ip", "-n", f"net.{first}", "-j", "link"], capture_output=True, check=True).stdout
    by_us = well("exec", "net", first, "--", "ip", "-j", "link")
    assert [each["ifname"] for each in json.loads(by_ip)] == [each["ifname"] for each in json.loads(by_us)]
    done = subprocess.run(
        ["ip", "netns", "exec", f"net.{first}", "ls", "/sys/class/net"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == sorted(each["ifname"] for each in json.loads(by_ip))
    # Whoever deletes the name deletes no more than that.
    subprocess.run(["ip", "netns", "del", f"net.{second}"], check=False, stderr=subprocess.DEVNULL)
    assert "lo" in well("exec", "net", second, "--", "ip", "link")
    well("down", "net")


@isolated
def test_a_name_that_is_taken_is_left_alone() -> None:
    taken = Path("/run/netns", f"{LAB}.host")
    taken.symlink_to("/somewhere/else")
    status, _out, err = said("up", LAB)
    assert (status, f"{taken} is there already" in err, "--name" in err) == (2, True, True)
    assert os.readlink(taken) == "/somewhere/else"
    assert networks() == []
    taken.unlink()


@pytest.mark.parametrize("victim", ["owner", "pid 1"])
def test_killed_it_leaves_nothing(who: list[str], victim: str) -> None:
    @isolated
    def test() -> None:
        well("up", LAB, who=who)
        (one,) = networks(who)
        busy = start("exec", LAB, "host", "--", "sh", "-c", "sleep 1000 & echo busy; wait", who=who)
        repl = start("repl", LAB, who=who)
        with busy, repl:
            assert busy.stdout
            assert busy.stdout.readline() == "busy\n"
            assert repl.stdin
            assert repl.stdout
            repl.stdin.write("seen = net.capture().__enter__()\nprint('captures')\n")
            repl.stdin.flush()
            assert repl.stdout.readline() == "captures\n"
            if victim == "owner":
                kill(one["owner"])
            else:
                (launcher,) = (each for each in children(one["owner"]) if children(each))
                (init,) = children(launcher)
                kill(init)
            # What was killed inside is told as a shell would tell it.
            assert busy.wait(SECONDS) == 128 + signal.SIGKILL
            assert repl.wait(SECONDS) == 128 + signal.SIGKILL
        until(lambda: not processes(), "a process is left")
        # By itself: `ps` would sweep.
        assert os.listdir("/run/netns") == []
        assert networks(who) == []

    test()


@isolated
def test_a_guardian_has_a_successor() -> None:
    well("up", LAB)
    (one,) = networks()
    (guardian,) = guardians(one["owner"])
    kill(guardian)
    until(lambda: guardians(one["owner"]), "no other guardian")
    kill(one["owner"])


@isolated
def test_names_that_lead_nowhere_are_swept() -> None:
    well("up", LAB)
    (one,) = networks()
    mine = Path("/run/netns", *one["names"])
    (guardian,) = guardians(one["owner"])
    os.kill(one["owner"], signal.SIGSTOP)  # so that it makes no other
    (init,) = (each for child in children(one["owner"]) for each in children(child))
    kill(guardian)
    kill(one["owner"])
    assert ended(init, SECONDS)
    foreign = Path("/run/netns/foreign")
    foreign.touch()
    elsewhere = Path("/run/netns/elsewhere")
    elsewhere.symlink_to("/proc/1/ns/net")
    assert mine.is_symlink()
    assert not mine.exists()
    assert well("ps").splitlines()[1:] == []
    assert not mine.is_symlink()
    assert (foreign.exists(), elsewhere.is_symlink()) == (True, True)
    foreign.unlink()
    elsewhere.unlink()


@isolated
def test_the_folder_for_names_goes_with_the_last_network() -> None:
    os.rmdir("/run/netns")
    well("up", LAB)
    well("up", LAB, "--name", "second")
    well("down", LAB)
    assert os.listdir("/run/netns") == ["second.host"]
    well("down", "second")
    assert not os.path.exists("/run/netns")
    os.mkdir("/run/netns")


def test_up_killed_at_any_instant(who: list[str]) -> None:
    chance = random.Random(seed := random.randrange(1 << 32))

    @isolated
    def test() -> None:
        for _ in range(KILLS):
            with start("up", LAB, who=who, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
                ended(up.pid, chance.uniform(0, 0.6))
                up.kill()
            # It had come so far that it is an owner's; or nothing of it is there.
            if networks(who):
                well("down", "--all", who=who)
            left = state()
            assert (left["processes"], left["/run/netns"], left["sockets"]) == ([], [], []), f"seed {seed}"

    test()


def test_nobody_was_told(tmp_path: Path) -> None:
    """An owner that is not up yet ends with the command that was to say so."""
    lab = write(tmp_path, 'for i in range(200):\n    topology.namespace(f"n{i}").veth("a", "b")')

    @isolated
    def test() -> None:
        with start("up", str(lab), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
            until(lambda: children(up.pid), "no owner")
            (owner,) = children(up.pid)
            until(lambda: children(owner), "no sandbox")
            os.kill(owner, signal.SIGSTOP)
            assert registry._listening(os.geteuid()) == [], "up too soon"
            up.kill()
        with contextlib.suppress(ProcessLookupError):  # it may have ended at once, stopped as it was
            os.kill(owner, signal.SIGCONT)
        assert ended(owner, SECONDS)

    test()


@isolated
def test_a_name_that_another_user_has_taken() -> None:
    """Abstract names have no permissions: that it is not one's own must be said, since `pktlab down` cannot end it."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            taken = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            taken.bind(registry._address(0, "mine"))
            taken.listen()
            os.write(tell, b"y")
            signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    try:
        if not os.read(ready, 1):
            return  # in an ordinary user's sandbox there is no second user
        status, _out, err = said("up", LAB, "--name", "mine")
        assert (status, err.splitlines()[0]) == (2, f"pktlab: user {NOBODY} has taken the name mine")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@isolated
def test_two_at_once() -> None:
    well("up", LAB)
    status, _out, err = said("up", LAB)
    assert status == 2
    assert f"a network called {LAB} is up already" in err
    assert "--name" in err
    well("up", LAB, "--name", "second")
    well("exec", "second", "host", "--", "ip", "link", "del", "br0")
    assert "br0" in well("exec", LAB, "host", "--", "ip", "link")
    assert [each["name"] for each in networks()] == [LAB, "second"]
    path = networks()[0]["lab"]
    status, _out, err = said("exec", path, "host", "--", "true")
    assert status == 2
    assert "2 networks are up" in err
    assert well("down", "--all").splitlines() == [
        f"{each} is down (it was up from labs/{LAB}.py)" for each in (LAB, "second")
    ]


@isolated
def test_a_name_that_is_up_from_another_file() -> None:
    """Networks are a user's, not a folder's: where a name means another file here, that is said."""
    folder = Path(HOME) / "elsewhere"
    folder.mkdir()
    other = folder / f"{LAB}.py"
    other.write_text((ROOT / "labs" / other.name).read_text())
    well("up", str(other))
    told = f"pktlab: {LAB} was brought up from {other}\n  and not from {ROOT}/labs/{LAB}.py\n"
    for words in (("exec", LAB, "host", "--", "true"), ("repl", LAB)):
        assert said(*words)[::2] == (0, told)
    assert said("exec", str(other), "host", "--", "true")[::2] == (0, "")
    status, _out, err = said("up", LAB)
    assert (status, f"is up already, brought up from {other}\n" in err) == (2, True)
    assert f"  ~/elsewhere/{LAB}.py  " in well("ps")
    assert well("down", "--all") == f"{LAB} is down (it was up from ~/elsewhere/{LAB}.py)\n"


def test_a_path_is_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for path, expected in (("work/a.py", "a.py"), ("home/b/a.py", "~/b/a.py"), ("a.py", str(tmp_path / "a.py"))):
        assert short(tmp_path / path) == expected


@isolated
def test_two_that_come_up_under_one_name() -> None:
    racing = [start("up", LAB) for _ in range(2)]
    for each in racing:
        each.communicate(timeout=SECONDS)
    assert sorted(each.returncode for each in racing) == [0, 2]
    well("down", LAB)


def test_wrong_use() -> None:
    wrong = {
        ("sh", "nothing", "host"): "no network called 'nothing' is up\n  up: net",
        ("exec", "net", "hots", "--", "true"): "there is no namespace 'hots' in net\n  there are: host",
        ("repl", "nothing"): "no network called 'nothing' is up",
        ("down", "nothing"): "no network called 'nothing' is up",
        ("down",): "--all",
        ("down", "--all", "net"): "--all",
        ("up", "nothing"): "no lab is called 'nothing'",
        ("up", LAB, "--name", "a/b"): "'a/b' is no name for a network",
    }

    @isolated
    def test() -> None:
        well("up", LAB, "--name", "net")
        for words, message in wrong.items():
            status, out, err = said(*words)
            assert (status, out) == (2, ""), words
            assert message in err, words
        well("down", "net")
        status, _out, err = said("sh", LAB, "host")
        assert (status, f"pktlab up {LAB}" in err) == (2, True)

    test()


def write(folder: Path, declared: str) -> Path:
    lab = folder / "a_lab.py"
    head = (
        '"""A lab."""\n\nfrom pktlab import Network, Topology\n\ntopology = Topology()\nh = topology.namespace("h")\n'
    )
    lab.write_text(f"{head}{declared}\n\n\ndef test_one(net: Network) -> None:\n    pass\n")
    return lab


def test_what_cannot_come_up(tmp_path: Path) -> None:
    tap = write(tmp_path, 'h.tap("tap0")')
    declared = 'h.sysctl("net.ipv4.tcp_congestion_control", "none_such")'
    refused = write(tmp_path, declared).rename(tmp_path / "refused.py")
    fixture = tmp_path / "fixture.py"
    fixture.write_text('"""A lab."""\n\n\ndef topology():\n    pass\n\n\ndef test_one(net):\n    pass\n')
    write(tmp_path, 'h.tap("tap0")')

    @isolated
    def test() -> None:
        status, _out, err = said("up", str(refused))
        assert (status, f"{refused}:7: sysctl" in err) == (1, True), err
        status, _out, err = said("up", str(fixture))
        assert (status, "a fixture makes it" in err) == (2, True), err
        libc.mount("none", "/", flags=libc.MS_SLAVE | libc.MS_REC)
        libc.mount("tmpfs", "/dev", "tmpfs")
        os.mknod("/dev/null")
        status, _out, err = said("up", str(tap))
        libc.umount2("/dev", libc.MNT_DETACH)
        assert (status, "/dev/net/tun" in err) == (3, True), err
        assert networks() == []

    test()


def test_exit_status_and_streams(who: list[str]) -> None:
    @isolated
    def test() -> None:
        well("up", LAB, "--name", "net", who=who)
        there = ("exec", "net", "host", "--")
        assert said(*there, "sh", "-c", "cat; echo wrong >&2; exit 7", who=who, input="in\n") == (7, "in\n", "wrong\n")
        assert said(*there, "sh", "-c", "kill -TERM $$", who=who)[0] == 128 + signal.SIGTERM
        status, _out, err = said(*there, "no-such-program", who=who)
        assert (status, err) == (3, "pktlab: no-such-program is not installed here\n")
        assert well(*there, "sh", "-c", "pwd; id -u; echo $PKTLAB_NETWORK", who=who).split() == [str(ROOT), "0", "net"]
        # As in a pipe of programs, one whose reader is gone ends without a word.
        assert well(*there, "sh", "-c", "yes | head -1", who=who) == "y\n"
        # SIGTERM is for the command; and a command does not survive who started it.
        for number, status in ((signal.SIGTERM, 9), (signal.SIGKILL, -signal.SIGKILL)):
            with start(*there, "sh", "-c", "trap 'exit 9' TERM; echo ready; sleep 1000 & wait", who=who) as running:
                assert running.stdout
                assert running.stdout.readline() == "ready\n"
                running.send_signal(number)
                assert running.wait(SECONDS) == status
            until(lambda: not any(b"echo ready" in words for words in command_lines()), "the command goes on")
        assert well("sh", "net", "host", who=who, input="ip -br link show br0\n").split()[0] == "br0"
        well("down", "net", who=who)

    test()


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, *words: str, who: Sequence[str], **more: str) -> None:
        argv = [*who, *COMMAND, *words]
        env = environment(HOME=HOME, TERM="dumb", PYTHONDONTWRITEBYTECODE="1", **more)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execvpe(argv[0], argv, env)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("=4H", 24, 200, 0, 0))
        self._read = ""

    def until(self, text: str) -> str:
        """Read until this appears; return what came before it."""
        end = time.monotonic() + SECONDS
        while text not in self._read:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self._read!r}"
            try:
                data = os.read(self._fd, 1 << 16).decode()
            except OSError:  # EIO: the other side is closed
                data = ""
            assert data, f"no {text!r} in {self._read!r}"
            self._read += data
        before, _, self._read = self._read.partition(text)
        return before

    def type(self, text: str) -> None:
        """Type this."""
        os.write(self._fd, text.encode())

    def line(self, text: str) -> None:
        """Type a line, and read its echo."""
        self.type(f"{text}\n")
        self.until(f"{text}\r\n")

    def status(self) -> int:
        """Wait for the end; return the exit status."""
        assert ended(self.pid, SECONDS)
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_a_shell_on_a_terminal(who: list[str], shell: str) -> None:
    @isolated
    def test() -> None:
        well("up", LAB, "--name", "net", who=who)
        terminal = Terminal("sh", "net", "host", who=who, SHELL=shell)
        terminal.until("net/host")
        terminal.line("ip -br link show br0 | cut -c-3")
        terminal.until("br0")
        # Job control: Ctrl-Z stops the job, fg goes on with it, Ctrl-C ends it and nothing else.
        terminal.line("""sh -c 'trap "echo on" CONT; echo st''arted; sleep 1000 & while :; do wait; done'""")
        terminal.until("started")
        terminal.type("\x1a")
        terminal.until("Stopped")
        terminal.line("fg")
        terminal.until("\non\r\n")
        terminal.type("\x03")
        terminal.until("net/host")
        terminal.line("echo al''ive")
        terminal.until("alive")
        terminal.line("exit 5")
        assert terminal.status() == 5
        # Where the network ends, so does the shell.
        terminal = Terminal("sh", "net", "host", who=who, SHELL=shell)
        terminal.until("net/host")
        well("down", "net", who=who)
        assert terminal.status() == 128 + signal.SIGKILL

    test()


STATEMENTS = """
net.ping("192.168.3.102", dev=veth0)
with net.capture() as seen:
    answer = net.ping("192.168.3.102", dev=veth0)

seen.path(request)
seen.path(reply) == [veth1, veth0, br0]
seen.count(ARP(op="who-has")), seen.count(ICMP(type="echo-request"))
net.run(host, ["wc", "-l", "/proc/net/packet"])
[each.state for each in net.neighbours(veth0)]
with net.capture() as again:
    net.send(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="192.168.3.101"), dev=veth1)

show(again)
host, veth0, topology.namespaces["host"] is host
"""
ANSWERS = [
    "<no answer>",
    "[host/veth0, host/veth1]",
    "True",
    "(1, 0)",
    "1 /proc/net/packet",
    "['FAILED']",
    "1",
    r" 0\.000000  ARP, Request who-has \S+ tell \S+, length \d+  host/veth1 > host/veth0 > host/br0",
    "(host, host/veth0, True)",
]


def test_python(who: list[str]) -> None:
    @isolated
    def test() -> None:
        well("up", LAB, "--name", "net", who=who)
        lines = well("repl", "net", who=who, input=STATEMENTS).splitlines()
        for line, answer in zip(lines, ANSWERS, strict=True):
            assert line == answer or re.fullmatch(answer, line), line
        # What one session has changed, the next one finds.
        well("repl", "net", who=who, input="net.down(veth1)\n")
        assert well("repl", "net", who=who, input="net.links(veth1)[0].up\n") == "False\n"
        status, out, err = said("repl", "net", who=who, input="net.ping('x', dev=veth0)\nprint('goes on')\n")
        assert (status, out) == (1, "goes on\n")
        assert err == "TopologyError: <console>:1: 'x' is not an IP address\n  write an address such as \"10.0.0.1\"\n"
        status, _out, err = said("repl", "net", who=who, input="1 / 0\n")
        assert (status, "ZeroDivisionError" in err) == (1, True)
        well("down", "net", who=who)

    test()


@isolated
def test_two_capture_at_once() -> None:
    """Each has its own, and the markers by which the other proves his are no frames of the network."""
    well("up", LAB, "--name", "net")
    with start("repl", "net") as first:
        assert first.stdin
        assert first.stdout
        first.stdin.write("seen = net.capture().__enter__()\nprint('captures')\n")
        first.stdin.flush()
        assert first.stdout.readline() == "captures\n"
        statements = 'with net.capture() as seen:\n    net.ping("192.168.3.102", dev=veth0)\n\nshow(seen)\n'
        out = well("repl", "net", input=statements).splitlines()
        assert [line.split()[1].strip(",") for line in out[1:]] == ["ARP", "ARP", "IP"]
        first.stdin.write("show(seen)\n")
        told, _err = first.communicate(timeout=SECONDS)
    assert [line.split("  ")[1:] for line in told.splitlines()] == [line.split("  ")[1:] for line in out[1:]]
    well("down", "net")


@isolated
def test_python_on_a_terminal() -> None:
    well("up", LAB, "--name", "net")
    terminal = Terminal("repl", "net", who=[])
    assert "interfaces  veth0, veth1, br0" in terminal.until(">>> ")
    terminal.type("net.neighb\t")
    terminal.until("net.neighbours(")
    terminal.type("veth0)\n")
    terminal.until("[]")
    terminal.until(">>> ")
    terminal.line("net.wait(lambda: False, timeout=600)")
    terminal.type("\x03")
    terminal.until("KeyboardInterrupt")
    terminal.until(">>> ")
    terminal.type("\x04")
    assert terminal.status() == 0
    well("down", "net")


def test_a_lab_that_was_changed(tmp_path: Path) -> None:
    lab = write(tmp_path, 'h.veth("a", "b")')

    @isolated
    def test() -> None:
        well("up", str(lab))
        assert well("repl", str(lab), input="h\n") == "h\n"
        lab.write_text(lab.read_text().replace('"a"', '"c"'))
        status, out, err = said("repl", "a_lab", input="h\n")
        assert (status, out) == (0, "h\n")
        assert "has been changed since the network came up" in err
        well("down", "a-lab")

    test()


def test_in_the_foreground(who: list[str]) -> None:
    @isolated
    def test() -> None:
        with start("up", LAB, "--foreground", who=who) as up:
            assert up.stdout
            while "Ctrl-C ends it." not in up.stdout.readline():
                pass
            assert [each["owner"] for each in networks(who)] == [up.pid]
            up.send_signal(signal.SIGINT)
            assert up.wait(SECONDS) == 0
            assert up.stdout.read() == f"{LAB} is down\n"
        with start("up", LAB, "--foreground", who=who) as up:
            assert up.stdout
            while "Ctrl-C ends it." not in up.stdout.readline():
                pass
            well("down", LAB, who=who)
            assert up.wait(SECONDS) == 0

    test()


@isolated
def test_a_guest_captures() -> None:
    """As `pktlab capture` does: the kernel's code works in there as in a sandbox of its own."""
    well("up", LAB)

    def work(send: Callable[[Any], None]) -> None:
        host = Netns.named("host")
        recorder = Recorder([host])
        recorder.start()
        process.run(host, ["ip", "link", "set", "br0", "up"])
        done = process.run(host, ["ping", "-c", "1", "-W", "1", "127.0.0.1"])
        until(lambda: recorder.drain() and recorder.index(), "a frame")
        send((bool(done), recorder.index()))
        recorder.close()
        host.let_go()

    with Guest(registry.find(LAB), work) as guest:
        ((done, frames),) = guest.messages(SECONDS)
    assert done
    assert frames >= 4
    gone = registry.find(LAB)
    well("down", LAB)
    with Guest(gone, work) as guest, pytest.raises(PktlabError, match="is not up any more"):
        list(guest.messages(SECONDS))


@pytest.mark.skipif(ROOT_USER, reason="the tests above have done so for an ordinary user")
def test_without_a_sandbox_around(tmp_path: Path) -> None:
    """An ordinary user's network on the machine itself."""
    lab = write(tmp_path, 'h.veth("a", "b")').rename(tmp_path / f"lab_{os.getpid()}.py")
    well("up", str(lab))
    try:
        (one,) = (each for each in networks() if each["name"] == lab.stem)
        assert one["names"] == []
        assert well("exec", lab.stem, "h", "--", "ls", "/sys/class/net").split() == ["a", "b", "lo"]
        os.kill(one["owner"], signal.SIGKILL)
        assert ended(one["owner"], SECONDS)
        assert lab.stem not in [each["name"] for each in networks()]
    finally:
        said("down", lab.stem)


def made(name: str, lab: str = "/labs/x.py") -> Standing:
    since = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    return Standing(name=name, lab=Path(lab), digest="", owner=2, since=since, namespaces=("h",))


def test_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [made("a_b"), made("a-b"), made("C", "/labs/c.py")]
    monkeypatch.setattr(registry, "every", lambda: found)
    assert registry.find("a_b") is found[0]
    assert registry.find("a-b") is found[1]
    assert registry.find("c") is found[2]
    assert registry.find("/labs/../labs/c.py") is found[2]
    with pytest.raises(PktlabError, match="no network called 'd' is up\n  up: a_b, a-b, C"):
        registry.find("d")
    with pytest.raises(PktlabError, match=r"2 networks are up that were made from /labs/x.py\n  name one"):
        registry.find("/labs/x.py")
    found.clear()
    with pytest.raises(PktlabError, match="bring one up: pktlab up d"):
        registry.find("d")


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a/b", "a b", "a\n", "é", "x" * 65])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(PktlabError, match="is no name for a network"):
        registry.claim(name)


def test_what_is_removed(tmp_path: Path) -> None:
    mine, changed, other = tmp_path / "mine", tmp_path / "changed", tmp_path / "other"
    for link, target in ((mine, "/a"), (changed, "/somewhere"), (other, "/c")):
        link.symlink_to(target)
    names.remove({str(mine): "/a", str(changed): "/b", str(tmp_path / "none"): "/d"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changed", "other"]

"""The sandbox gives back what happened in it, and leaves nothing else."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pktlab.errors import KernelError, MachineError
from pktlab.kernel import libc, sandbox
from pktlab.kernel.message import ChildError
from pktlab.kernel.program import program

Send = Callable[[Any], None]

SECONDS = 10.0


class Selfish(Exception):
    """Refuses to be pickled, though nothing in it need."""

    def __reduce__(self) -> Any:
        raise TypeError("stays where it is")


# What comes back


def test_result() -> None:
    assert sandbox.call(divmod, 17, 5) == (3, 2)
    assert sandbox.call(lambda: None) is None


def test_pid_1() -> None:
    assert sandbox.call(lambda: (os.getpid(), os.geteuid(), os.getegid())) == (1, 0, 0)


def test_large_message() -> None:
    size = 32 << 20
    assert sandbox.call(lambda: b"\xa5" * size) == b"\xa5" * size


def test_messages_arrive_whole_and_in_order_from_each_thread() -> None:
    def work(send: Send) -> None:
        def talk(speaker: int) -> None:
            for number in range(40):
                send((speaker, number, b"." * 20_000))

        threads = [threading.Thread(target=talk, args=(speaker,)) for speaker in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    with sandbox.Child(work) as child:
        heard = list(child.messages(SECONDS))
        assert child.wait() == 0
    assert len(heard) == 160
    for speaker in range(4):
        assert [number for who, number, body in heard if who == speaker and len(body) == 20_000] == list(range(40))


def test_message_comes_before_the_end() -> None:
    def work(send: Send) -> None:
        send("early")
        signal.pause()

    with sandbox.Child(work) as child:
        assert next(child.messages(SECONDS)) == "early"


def test_exception_comes_back_as_itself_with_its_traceback() -> None:
    def refuse_the_link() -> None:
        raise KernelError("link add br0", 95, "no such kind", remedy="modprobe bridge")

    with pytest.raises(KernelError) as caught:
        sandbox.call(refuse_the_link)
    error = caught.value
    assert (error.what, error.errno, error.detail, error.remedy) == (
        "link add br0",
        95,
        "no such kind",
        "modprobe bridge",
    )
    assert "in refuse_the_link" in str(error.__cause__)


def test_exception_that_refuses_to_be_pickled_comes_back() -> None:
    def fail() -> None:
        raise Selfish("broken")

    with pytest.raises(Selfish, match="broken"):
        sandbox.call(fail)


def test_exception_that_cannot_travel_comes_back_as_text() -> None:
    def fail() -> None:
        raise ValueError("broken", threading.Lock())

    with pytest.raises(ChildError, match=r"ValueError: \('broken', <unlocked") as caught:
        sandbox.call(fail)
    assert "in fail" in str(caught.value.__cause__)


def test_result_that_cannot_travel_is_an_error() -> None:
    with pytest.raises(TypeError, match="pickle"):
        sandbox.call(threading.Lock)


def test_exit_without_a_result() -> None:
    with pytest.raises(ChildError, match="exit status 7"):
        sandbox.call(os._exit, 7)
    with pytest.raises(ChildError, match="exit status 3"):
        sandbox.call(sys.exit, 3)


def test_crash_gives_the_signal() -> None:
    def crash() -> None:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)

    with pytest.raises(ChildError, match="SIGSEGV"):
        sandbox.call(crash)


def test_output_appears_once_and_in_order() -> None:
    """Also where it is buffered in full, as it is in a pipe."""
    program = """
import sys
from pktlab.kernel import sandbox
sys.stdout.write("before, ")
sandbox.call(sys.stdout.write, "inside, ")
sys.stdout.write("after")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environment.pop("PYTHONUNBUFFERED", None)
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, timeout=30)
    assert said.stdout == b"before, inside, after"


# What it is separate from


def test_namespaces_are_new_and_the_caller_keeps_its_own() -> None:
    def inodes() -> dict[str, str]:
        return {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid", "uts")}

    before = inodes()
    inside = sandbox.call(inodes)
    assert inodes() == before
    assert not set(inside.values()) & set(before.values())


def test_run_is_empty_inside_and_untouched_outside() -> None:
    def scribble() -> tuple[list[str], str]:
        names = os.listdir("/run")
        Path("/run/scribble").write_text("x")
        Path("/run/netns/scribble").write_text("x")
        return names, Path("/proc/self/mountinfo").read_text()

    mounts, run = Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/run"))
    names, inside = sandbox.call(scribble)
    assert names == ["netns"]
    assert any(line.split()[4] == "/run" and " - tmpfs " in line for line in inside.splitlines())
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert sorted(os.listdir("/run")) == run


def test_mounts_do_not_leave_where_the_machine_shares_them() -> None:
    ms_shared = 1 << 20

    def machine() -> tuple[str, str]:
        libc.mount("none", "/", flags=ms_shared | libc.MS_REC)  # as systemd leaves it
        before = Path("/proc/self/mountinfo").read_text()
        sandbox.call(os.getpid)
        return before, Path("/proc/self/mountinfo").read_text()

    before, after = sandbox.call(machine)
    assert "shared:" in before
    assert after == before


def test_named_namespaces_stay_inside() -> None:
    try:
        ip = program("ip")
    except MachineError as missing:
        pytest.skip(str(missing))

    def names() -> str:
        return subprocess.run([ip, "netns", "list"], capture_output=True, text=True, check=True).stdout

    def add() -> str:
        subprocess.run([ip, "netns", "add", "demo"], check=True)
        return names()

    before = names()
    assert sandbox.call(add).split() == ["demo"]
    assert names() == before


def test_network_and_processes_shown_are_those_inside() -> None:
    def shown() -> tuple[list[str], list[int]]:
        return os.listdir("/sys/class/net"), [int(name) for name in os.listdir("/proc") if name.isdigit()]

    assert sandbox.call(shown) == (["lo"], [1])


def test_masked_proc_is_kept() -> None:
    """As in a container, of which the kernel then lets nobody mount a fresh one."""

    def container() -> tuple[str, str]:
        libc.mount("/dev/null", "/proc/version", flags=libc.MS_BIND)
        libc.unshare(libc.CLONE_NEWUSER)
        for name, text in {"setgroups": "deny", "uid_map": "0 0 1", "gid_map": "0 0 1"}.items():
            Path("/proc/self", name).write_text(text)
        return sandbox.call(inside)

    def inside() -> tuple[str, str]:
        return os.readlink("/proc/self"), os.readlink("/proc/thread-self/ns/net")

    myself, network = sandbox.call(container)
    assert myself != "1"
    assert network != os.readlink("/proc/self/ns/net")


def test_directories_in_use_below_run_stay_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    def outer() -> tuple[str, list[str], list[str], list[str], str]:
        # The /run that the inner sandbox covers is the outer one's own.
        for name in ("place/here", "tools", "secret"):
            os.makedirs(f"/run/{name}")
        Path("/run/place/here/file").write_text("mine")
        os.symlink("/usr", "/run/system")
        monkeypatch.setenv("PATH", "/run/system/bin:/run/tools")
        os.chdir("/run/place/here")
        return sandbox.call(inner)

    def inner() -> tuple[str, list[str], list[str], list[str], str]:
        run = sorted(os.listdir("/run"))
        return os.getcwd(), os.listdir("."), run, sorted(os.listdir("../..")), os.readlink("/run/system")

    run = ["netns", "place", "system", "tools"]
    assert sandbox.call(outer) == ("/run/place/here", ["file"], run, run, "/usr")


def test_names_of_outer_namespaces_are_hidden_even_in_their_directory() -> None:
    def outer() -> list[str]:
        Path("/run/netns/outer").touch()
        os.chdir("/run/netns")
        return sandbox.call(os.listdir, ".")

    assert sandbox.call(outer) == []


def test_caller_may_have_threads() -> None:
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, args=(SECONDS,))
    thread.start()
    try:
        assert sandbox.call(os.getpid) == 1
    finally:
        leave.set()
        thread.join()


def test_programs_can_be_waited_for() -> None:
    def run() -> int:
        return subprocess.run(["/bin/sh", "-c", "exit 9"], check=False).returncode

    assert sandbox.call(run) == 9

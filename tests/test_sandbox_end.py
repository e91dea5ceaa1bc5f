"""However a sandbox ends, all that is in it ends with it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import select
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pktlab.errors import DeadlineExceeded
from pktlab.kernel import libc, sandbox

Send = Callable[[Any], None]

SECONDS = 10.0


def ended(descriptor: int) -> bool:
    """Whether the last process that held the other end of a pipe is gone within `SECONDS`."""
    pipe = select.poll()
    pipe.register(descriptor, 0)
    return bool(pipe.poll(SECONDS * 1000))


@pytest.fixture
def witness() -> Any:
    """A pipe that every process started from here on holds; its reading end hangs up when they are gone."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def with_a_daemon(send: Send) -> None:
    """Leave a process that no longer has a parent here, then wait for ever."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            send("up")
            signal.pause()
        os._exit(0)
    signal.pause()


def test_deadline_kills_everything(witness: tuple[int, int]) -> None:
    reading, writing = witness
    with sandbox.Child(with_a_daemon) as child:
        os.close(writing)
        messages = child.messages(0.2)
        assert next(messages) == "up"
        with pytest.raises(DeadlineExceeded):
            next(messages)
        assert ended(reading)
        assert child.wait() == -signal.SIGKILL


def test_deadline_binds_a_child_that_never_stops_sending() -> None:
    def work(send: Send) -> None:
        while True:
            send("and another thing")

    def listen(messages: Iterator[Any]) -> None:
        # Slower than it talks, so that the pipe is never empty.
        for _ in itertools.islice(messages, 50_000):
            pickle.dumps(list(range(2_000)))

    with sandbox.Child(work) as child, pytest.raises(DeadlineExceeded):
        listen(child.messages(0.3))


def test_leaving_kills_and_reaps(witness: tuple[int, int]) -> None:
    reading, writing = witness
    with sandbox.Child(with_a_daemon) as child:
        os.close(writing)
        assert next(child.messages(SECONDS)) == "up"
    # No wait: they are gone when the block is left.
    assert select.select([reading], [], [], 0)[0]
    with pytest.raises(ChildProcessError):
        os.waitpid(child.launcher, os.WNOHANG)


def test_leaving_leaves_no_zombie_to_the_init_of_the_machine() -> None:
    def machine() -> list[str]:
        with sandbox.Child(with_a_daemon) as child:
            assert next(child.messages(SECONDS)) == "up"
        return [name for name in os.listdir("/proc") if name.isdigit()]

    assert sandbox.call(machine) == ["1"]


def test_ctrl_c_in_the_caller_kills(witness: tuple[int, int]) -> None:
    reading, writing = witness

    def interrupted() -> None:
        with sandbox.Child(with_a_daemon) as child:
            os.close(writing)
            assert next(child.messages(SECONDS)) == "up"
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ended(reading)


def test_ctrl_c_held_back_during_the_fork_kills(witness: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = witness
    fork = os.fork

    def interrupted_fork() -> int:
        signal.raise_signal(signal.SIGINT)
        return fork()

    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", interrupted_fork)
        with pytest.raises(KeyboardInterrupt), sandbox.Child(lambda send: signal.pause()):
            pytest.fail("the Ctrl-C came too late")
    os.close(writing)
    assert ended(reading)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_pid_1_can_be_ended_by_a_signal(number: signal.Signals, status: int, capfd: pytest.CaptureFixture[str]) -> None:
    with sandbox.Child(lambda send: signal.raise_signal(number)) as child:
        assert list(child.messages(SECONDS)) == []
        assert child.wait() == status
    assert capfd.readouterr().err == ""


# What follows runs inside another sandbox, so that a defect leaves nothing either.


def be_alone() -> None:
    """As pid 1: wait for the end of all that others left to it."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def test_launcher_killed() -> None:
    def machine() -> int:
        with sandbox.Child(with_a_daemon) as child:
            messages = child.messages(SECONDS)
            assert next(messages) == "up"
            os.kill(child.launcher, signal.SIGKILL)
            assert list(messages) == []
            status = child.wait()
        be_alone()
        return status

    assert sandbox.call(machine, deadline=SECONDS) == -signal.SIGKILL


def test_launcher_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_KILL_SECONDS", 0.05)

    def machine() -> int:
        with sandbox.Child(with_a_daemon) as child:
            assert next(child.messages(SECONDS)) == "up"
            os.kill(child.launcher, signal.SIGSTOP)
        be_alone()
        return child.wait()

    assert sandbox.call(machine, deadline=SECONDS) == -signal.SIGKILL


def prctl_waits(go: int, here: int, whom: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process that `whom` is true for tell `here`, and ask for its death signal after a byte from `go`."""

    def late(option: int, value: int) -> None:
        if whom():
            os.write(here, b"!")
            os.read(go, 1)
        libc.prctl(option, value)

    monkeypatch.setattr(sandbox, "prctl", late)


def test_launcher_dead_before_pid_1_asks_for_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine() -> str:
        (go, going), (known, here) = os.pipe(), os.pipe()
        prctl_waits(go, here, lambda: os.getpid() == 1, monkeypatch)
        with sandbox.Child(lambda send: signal.pause()) as child:
            os.read(known, 1)
            os.kill(child.launcher, signal.SIGKILL)
            child.wait()
            os.write(going, b"!")
            be_alone()
        return "alone"

    assert sandbox.call(machine, deadline=SECONDS) == "alone"


def test_caller_dead_before_the_launcher_asks_for_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    def be_killed(go: int, here: int) -> None:
        myself = os.getpid()
        prctl_waits(go, here, lambda: os.getpid() != myself, monkeypatch)
        with sandbox.Child(lambda send: signal.pause()) as child:
            child.wait()

    def machine() -> str:
        (go, going), (known, here) = os.pipe(), os.pipe()
        caller = os.fork()
        if caller == 0:
            try:
                be_killed(go, here)
            finally:
                os._exit(1)
        os.read(known, 1)
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
        os.write(going, b"!")
        be_alone()
        return "alone"

    assert sandbox.call(machine, deadline=SECONDS) == "alone"

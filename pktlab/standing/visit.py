"""A program that the user works with inside a network that is up: a shell, or one command.

    pktlab sh ---- joins, forks ---- pid n of the sandbox: enters the namespace, execs
       waits, hands signals on         |
                                       +---- whatever it starts

The program has the user's own terminal, working directory and environment. It ends with who started it
(PR_SET_PDEATHSIG), and with the network. As with `ip netns exec`, /sys is that of the namespace.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

from pktlab.errors import KernelError, PktlabError
from pktlab.kernel import libc
from pktlab.standing.registry import Standing

_TERMINAL = 0


def check(standing: Standing, netns: str) -> None:
    """Raise PktlabError, with the names of those that are there, for a namespace that the network has not got."""
    if netns not in standing.namespaces:
        raise PktlabError(
            f"there is no namespace {netns!r} in {standing.name}", remedy=f"there are: {', '.join(standing.namespaces)}"
        )


def run(
    standing: Standing, netns: str, program: str, argv: Sequence[str], env: Mapping[str, str], *, shell: bool = False
) -> int:
    """Run a program, by its path, in a namespace, and return its exit status, or 128 and the signal that ended it.

    This process enters the sandbox, and must have one thread. With `shell` the program gets the terminal for itself,
    as a job of its own. Raises PktlabError as `Standing.join` does, and KernelError for a file that is no program.
    """
    check(standing, netns)

    def work() -> NoReturn:
        descriptor = os.open(f"/run/netns/{netns}", os.O_RDONLY | os.O_CLOEXEC)
        libc.setns(descriptor, libc.CLONE_NEWNET)
        _own_sysfs()
        os.execve(program, list(argv), dict(env))

    return inside(standing, work, shell=shell)


def inside(standing: Standing, work: Callable[[], object], *, shell: bool = False) -> int:
    """Run `work` in a child in the sandbox, which has the terminal; return its exit status, as `run` does.

    Raises KernelError for an OSError that comes out of it.
    """
    own_job = shell and os.isatty(_TERMINAL)
    standing.join()
    failed, failing = os.pipe()  # closed by exec; else it tells why there was none
    dead, alive = os.pipe()
    with _waiting() as started:
        pid = os.fork()
        if pid == 0:
            os.close(failed)
            os.close(alive)
            _child(work, failing, dead, own_job)
        started.append(pid)
        os.close(failing)
        os.close(dead)
        try:
            status = _wait(pid, own_job)
        finally:
            if own_job:
                _foreground(os.getpgrp())
    told = os.read(failed, 4096)
    if told:
        number, _, what = told.decode(errors="replace").partition(" ")
        raise KernelError(what, int(number), remedy="see execve(2)")
    return 128 - status if status < 0 else status


def _child(work: Callable[[], object], failing: int, dead: int, own_job: bool) -> NoReturn:
    try:
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        # As in pktlab.kernel.sandbox: the parent has no number here, but a dying one closes its end of the pipe first.
        alive = select.poll()
        alive.register(dead, 0)
        if alive.poll(0):
            os._exit(1)
        os.close(dead)
        if own_job:
            os.setpgid(0, 0)
            _foreground(os.getpid())
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        status = work()
        os._exit(status if isinstance(status, int) else 0)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.write(failing, f"{error.errno or 0} {error.filename or 'start'}".encode())
    finally:
        os._exit(126)


def _wait(pid: int, own_job: bool) -> int:
    """Wait for the end of the child; a shell that stops itself stops us, and goes on with us."""
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED if own_job else 0)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        _foreground(os.getpgrp())
        os.kill(0, signal.SIGSTOP)
        _foreground(pid)
        os.killpg(pid, signal.SIGCONT)


@contextlib.contextmanager
def _waiting() -> Iterator[list[int]]:
    """Leave the keyboard's signals to the child, and hand on those that are meant to end us."""
    started: list[int] = []

    def hand_on(number: int, _frame: object) -> None:
        for pid in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGQUIT)}
    before |= {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _foreground(group: int) -> None:
    """Give the terminal to a process group; who asks from the background must ignore SIGTTOU, or is stopped."""
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(_TERMINAL, group)
    finally:
        signal.signal(signal.SIGTTOU, before)


def _own_sysfs() -> None:
    """Let /sys tell of the namespace that we are in; its mounts are this process's own. ip-netns(8) does the same."""
    with contextlib.suppress(OSError):
        libc.unshare(libc.CLONE_NEWNS)
        libc.mount("none", "/", flags=libc.MS_SLAVE | libc.MS_REC)
        libc.mount("sysfs", "/sys", "sysfs", libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC)

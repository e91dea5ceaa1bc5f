"""A sandbox: a process that is pid 1 of its own namespaces and takes everything in them with it when it ends.

    caller ---- fork ---- launcher ---- fork ---- pid 1 ---- whatever the work starts
       ^                  unshares                runs the work
       +------------------------- pipe: messages ----+

The caller stays where it was; nothing outside is touched. When pid 1 ends, the kernel kills all other processes of
the PID namespace, and the mounts and networks go with the last of them. The launcher dies with the caller's
*thread* and pid 1 with the launcher (PR_SET_PDEATHSIG), so kill -9 of any of the three ends all that follow. Enter
a sandbox from a thread that outlives it; the main thread, where pytest and xdist's workers run, always does.

See pid_namespaces(7), PR_SET_PDEATHSIG in prctl(2), sigwaitinfo(2).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

from pktlab.errors import DeadlineExceeded, SandboxError
from pktlab.kernel.entry import enter_mounts, enter_namespaces
from pktlab.kernel.libc import PR_SET_PDEATHSIG, prctl
from pktlab.kernel.message import ChildError, Failure, Receiver, Sender
from pktlab.kernel.permission import refusal

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Held back from the fork on: in the caller, so that no KeyboardInterrupt comes between the fork and the memory of
# it; in the launcher for good, which takes the first two with sigwait() and leaves Ctrl-C to the caller.
_HELD = {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT}

_KILL_SECONDS = 5.0
_TRIAL_SECONDS = 30.0
_PIECE = 1 << 20


class Child:
    """Runs `work(send)` as pid 1 of a new sandbox, from entering the `with` block until leaving it at the latest.

    `send(message)` hands any object that can be pickled to `messages()`. Standard input, output and error and all
    other descriptors are those of the caller. The exit status is 0, 1 after an exception, 130 after Ctrl-C.
    `launcher` is the launcher's process id.
    """

    def __init__(self, work: Callable[[Callable[[Any], None]], None]) -> None:
        self._work = work
        self.launcher = 0
        self._pipe = -1
        self._status: int | None = None

    def __enter__(self) -> Child:
        caller = os.getpid()
        self._pipe, sending = os.pipe()
        _flush()
        mask = set[int](signal.pthread_sigmask(signal.SIG_BLOCK, _HELD))
        try:
            try:
                self.launcher = _fork()
                if self.launcher == 0:
                    os.close(self._pipe)
                    _launch(self, sending, caller, mask)
            finally:
                os.close(sending)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except BaseException:  # fork refused, or the Ctrl-C that was held back
            self._end()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def _enter(self) -> None:
        """Run in the launcher: go where pid 1 is to be forked. Raises OSError where the machine refuses."""
        enter_namespaces()

    def _arrive(self) -> None:
        """Run in pid 1, before the work."""
        enter_mounts()

    def fileno(self) -> int:
        """Return the descriptor that can be read when a message is coming, or the end."""
        return self._pipe

    def messages(self, deadline: float | None = None) -> Iterator[Any]:
        """Yield what was sent, until the sandbox has ended.

        Raises the exception that came out of the work, `SandboxError` where the machine refuses a sandbox, and
        `DeadlineExceeded`, with the child killed, `deadline` seconds after this call.
        """
        end = None if deadline is None else time.monotonic() + deadline
        return self._receive(end, deadline)

    def _receive(self, end: float | None, deadline: float | None) -> Iterator[Any]:
        receiver = Receiver()
        readable = select.poll()
        readable.register(self._pipe, select.POLLIN)
        while True:
            left = None if end is None else (end - time.monotonic()) * 1000
            # A child that never stops sending has had its time as well.
            if left is not None and (left <= 0 or not readable.poll(left)):
                self.kill()
                raise DeadlineExceeded(f"the sandbox did not end within {deadline:g} s")
            piece = os.read(self._pipe, _PIECE)
            if not piece:
                return
            for message in receiver.feed(piece):
                if isinstance(message, Failure):
                    raise message.exception()
                yield message

    def kill(self) -> None:
        """Kill every process in the sandbox and wait until they are gone."""
        if self._status is not None or not self.launcher:
            return
        os.kill(self.launcher, signal.SIGTERM)  # the launcher kills pid 1 and reaps it, then all inside is gone
        gone = select.poll()
        gone.register(self._pipe, 0)  # only POLLHUP: the last writer is dead
        if not gone.poll(_KILL_SECONDS * 1000):
            os.kill(self.launcher, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait for the end, and return pid 1's exit status, or minus the signal that killed it.

        A child with more to send than the pipe takes ends only when its messages are read.
        """
        if self._status is None:
            _, status = os.waitpid(self.launcher, 0)
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def _end(self) -> None:
        try:
            self.kill()
        finally:
            if self._pipe >= 0:
                os.close(self._pipe)
                self._pipe = -1


def call(function: Callable[[*Ts], T], *args: *Ts, deadline: float = 30.0) -> T:
    """Run `function(*args)` in a sandbox of its own and return its result or raise its exception.

    Raises `DeadlineExceeded` after `deadline` seconds, `SandboxError` where the machine refuses, and `ChildError`
    when the sandbox ended without a result.
    """
    with _calling(function, *args) as child:
        return cast(T, _result(child, deadline))


def _calling(function: Callable[[*Ts], T], *args: *Ts) -> Child:
    def work(send: Callable[[Any], None]) -> None:
        send(function(*args))

    return Child(work)


def _result(child: Child, deadline: float) -> Any:
    results = list(child.messages(deadline))
    status = child.wait()
    if not results:
        ended = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        raise ChildError(f"the sandbox ended without a result: {ended}")
    return results[0]


def available() -> None:
    """Raise `SandboxError`, with the remedy, where this machine refuses a sandbox; tried once in a process."""
    refused = _refused()
    if refused:
        raise SandboxError(refused.message, remedy=refused.remedy)


@contextlib.contextmanager
def trial() -> Iterator[None]:
    """Find out, while the block runs, what `available` will say; behind the block nothing of it is left."""
    if _refused.cache_info().currsize:
        yield
        return
    with _calling(os.getpid) as child:
        _trials.append(child)
        try:
            yield
        finally:
            if child in _trials:
                _trials.remove(child)


_trials: list[Child] = []


@functools.cache
def _refused() -> SandboxError | None:
    try:
        if _trials:
            _result(_trials.pop(), _TRIAL_SECONDS)
        else:
            call(os.getpid)
    except SandboxError as error:
        return error
    return None


def _launch(child: Child, pipe: int, caller: int, mask: set[int]) -> NoReturn:
    """The launcher's life; and, past the second fork, that of pid 1. Never returns into the caller's frames."""
    send = Sender(pipe)
    status = 1
    try:
        gc.disable()  # a collection would only copy the caller's pages
        signal.set_wakeup_fd(-1)  # it is the caller's
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored, children cannot be waited for
        _die_with(caller)
        try:
            child._enter()
        except OSError as error:
            raise refusal(error) from error
        launcher_dead, launcher_alive = os.pipe()
        pid = _fork()
        if pid == 0:
            os.close(launcher_alive)
            status = _live(child, send, launcher_dead, mask)
        else:
            os.close(pipe)  # else the caller would wait for us to see the end of the messages
            status = _wait_for(pid)
    except KeyboardInterrupt:
        status = 130
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        with contextlib.suppress(OSError):  # a caller that is gone has no use for it
            send(Failure.of(error))
    finally:
        os._exit(status)


def _die_with(caller: int) -> None:
    # A change of credentials would clear it, but entering a user namespace of one's own counts as none:
    # cred_cap_issubset() in kernel/cred.c.
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != caller:  # it died before the line above
        os._exit(1)


def _wait_for(pid: int) -> int:
    """Wait for pid 1, killing it on SIGTERM; end as it ended."""
    while True:
        if signal.sigwait({signal.SIGTERM, signal.SIGCHLD}) == signal.SIGTERM:
            os.kill(pid, signal.SIGKILL)
        reaped, status = os.waitpid(pid, os.WNOHANG)
        if reaped:
            break
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # one core file, if any, is enough
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), number)
    return os.waitstatus_to_exitcode(status)


def _live(child: Child, send: Sender, launcher_dead: int, mask: set[int]) -> int:
    """The life of pid 1. It reaps none but its own children: `subprocess` waits for those itself."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # getppid() is 0 here, whoever the parent is. But a dying process closes its files before the kernel looks for
    # children to signal: if the pipe is still open now, the signal will come.
    alive = select.poll()
    alive.register(launcher_dead, 0)
    if alive.poll(0):
        os._exit(1)
    os.close(launcher_dead)
    _reset_signals(mask)
    gc.freeze()  # what was inherited is not ours to collect or to finalize
    gc.enable()
    try:
        child._arrive()
    except OSError as error:
        raise refusal(error) from error
    try:
        child._work(send)
    finally:
        _flush()
    return 0


def _reset_signals(mask: set[int]) -> None:
    # A pid 1 is not killed by a signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of fork() beside threads; what the child then runs takes no lock of another thread.
        warnings.filterwarnings("ignore", ".*use of fork\\(\\)", DeprecationWarning)
        return os.fork()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # none, closed, or broken
            stream.flush()

"""Real programs inside a namespace: run to the end, or started and left to serve until the act ends."""

from __future__ import annotations

import contextlib
import os
import re
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pktlab.errors import DeadlineExceeded, LabError, MachineError
from pktlab.kernel.netns import Netns
from pktlab.kernel.program import environment, program

_TAIL = 10
_KEPT = 1 << 18
_RUN_KEPT = 16 << 20
# As much as a pipe holds (pipe(7)): one read has all that was written before it.
_PIPE = 1 << 16


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program did: its exit status (minus the signal that ended it) and its output. True if it exited 0."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    def __bool__(self) -> bool:
        return self.returncode == 0


class Place(Protocol):
    """Where a program runs: a network namespace that can be entered."""

    name: str

    def entered(self) -> contextlib.AbstractContextManager[None]:
        """Be in it within the block."""


def resolved(argv: Sequence[str]) -> list[str]:
    """Return a command with the path of its program in front.

    Raises LabError for what is no command, and MachineError where the program is not installed.
    """
    words = [str(word) for word in argv] if not isinstance(argv, str) else []
    if not words or isinstance(argv, str):
        raise LabError(f"{argv!r} is not a command", remedy='give a list of words, as in ["ip", "route"]')
    if any("\0" in word for word in words):
        raise LabError(f"{argv!r} has a NUL byte in a word", remedy="no program can be given one (execve(2))")
    if "/" not in words[0]:
        return [program(words[0]), *words[1:]]
    if os.path.isdir(words[0]):
        raise LabError(f"{words[0]} is a directory", remedy="name a program in it")
    if not os.access(words[0], os.X_OK):
        raise MachineError(f"{words[0]} is not there or cannot be executed", remedy="install it, or correct the path")
    return words


def run(
    namespace: Place,
    argv: Sequence[str],
    *,
    input: str | bytes | None = None,
    timeout: float = 10.0,
    env: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program in a namespace to its end, at most `timeout` seconds; `env` is its environment, else
    pktlab's own, with the system's folders in PATH.

    Raises MachineError, naming the package, where the program is not installed, and DeadlineExceeded, the program
    killed, when it does not end in time.
    """
    words = resolved(argv)
    data = input.encode() if isinstance(input, str) else input
    with namespace.entered():
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment() if env is None else env,
        )
    try:
        out, err = _communicate(child, data, timeout)
    except _TooMuch:
        raise LabError(
            f"{' '.join(words)} in {namespace.name} wrote more than {_RUN_KEPT >> 20} MiB",
            remedy="have it write less, or into a file",
        ) from None
    except subprocess.TimeoutExpired:
        raise DeadlineExceeded(
            f"{' '.join(words)} in {namespace.name} did not end within {timeout:g} s",
            remedy="give a longer timeout=, or use net.start() for a program that serves",
        ) from None
    finally:
        _kill(child)
    return Completed(tuple(words), child.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


class _TooMuch(Exception):
    """A program has written more than is kept."""


def _communicate(child: subprocess.Popen[bytes], data: bytes | None, timeout: float) -> tuple[bytes, bytes]:
    """Do as `Popen.communicate` does, but raise _TooMuch when more than _RUN_KEPT bytes are written."""
    end = time.monotonic() + timeout
    assert child.stdout is not None
    assert child.stderr is not None
    found = {child.stdout: bytearray(), child.stderr: bytearray()}
    rest = memoryview(data or b"")
    with selectors.DefaultSelector() as selector, child.stdout, child.stderr, child.stdin or contextlib.nullcontext():
        for pipe in found:
            selector.register(pipe, selectors.EVENT_READ)
        if child.stdin is not None:
            os.set_blocking(child.stdin.fileno(), False)
            selector.register(child.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            if (left := end - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(child.args, timeout)
            for key, _events in selector.select(left):
                if key.fileobj is child.stdin:
                    try:
                        rest = rest[os.write(key.fd, rest[:4096]) :]
                    except BrokenPipeError:
                        rest = rest[len(rest) :]
                    if not rest:
                        selector.unregister(child.stdin)
                        child.stdin.close()
                    continue
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                found[key.fileobj] += piece  # type: ignore[index]
                if sum(map(len, found.values())) > _RUN_KEPT:
                    raise _TooMuch
    child.wait(timeout=max(0.0, end - time.monotonic()))
    return bytes(found[child.stdout]), bytes(found[child.stderr])


def load_ruleset(namespace: Netns, ruleset: str, *, where: str = "") -> None:
    """Load a ruleset with nft. Raises LabError with `where` it is declared and nft's own words if it refuses it."""
    done = run(namespace, ["nft", "-f", "-"], input=ruleset)
    if not done:
        text = done.stderr.strip().replace("/dev/stdin", f"nft in {namespace.name}")
        place = f"{where}: " if where else ""
        raise LabError(f"{place}nft refused the ruleset:\n{text}", remedy="see nft(8) for the language")


class Process:
    """A program that serves in a namespace; it is killed at the end of the act, or by `stop`.

    `output` is what it has written so far, standard output and error together.
    """

    def __init__(self, namespace: Netns, argv: Sequence[str]) -> None:
        self.argv = resolved(argv)
        self.namespace = namespace
        self._output = b""
        self._news = threading.Condition()
        self._ended = False
        with namespace.entered():
            self._child = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment(),
            )
        assert self._child.stdout is not None
        self._pipe = self._child.stdout.fileno()
        os.set_blocking(self._pipe, False)
        self._reader = threading.Thread(target=self._read, name=f"output of {self.argv[0]}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        while poll.poll():
            with self._news:
                if not self._take():
                    self._ended = True
                    self._news.notify_all()
                    return

    def _take(self) -> bool:
        """Take what is in the pipe; false where nobody can write to it any more. To be called with _news held."""
        try:
            data = os.read(self._pipe, _PIPE)
        except BlockingIOError:
            return True
        self._output = (self._output + data)[-_KEPT:]
        self._news.notify_all()
        return bool(data)

    @property
    def pid(self) -> int:
        """Its process id inside the sandbox."""
        return self._child.pid

    @property
    def output(self) -> str:
        """What it has written so far, the last 256 KiB of it."""
        # Rather than what the thread has got round to: a line written before a packet left is here when that arrives.
        with self._news:
            self._take()
            return self._output.decode(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def wait_ready(self, ready: str | Callable[[], object], *, timeout: float = 10.0) -> None:
        """Return when the output matches the regular expression `ready`, or the function `ready` answers true.

        Raises LabError, with the last lines of output, if the program ends before; DeadlineExceeded after `timeout`
        seconds.
        """
        what = f"output matching {ready!r}" if isinstance(ready, str) else getattr(ready, "__name__", "readiness")
        end = time.monotonic() + timeout
        with self._news:
            while True:
                if re.search(ready, self.output) if isinstance(ready, str) else ready():
                    return
                if self._ended or self._child.poll() is not None:
                    break
                left = end - time.monotonic()
                if left <= 0:
                    raise DeadlineExceeded(
                        f"{self.argv[0]} showed no {what} within {timeout:g} s\n{self._tail()}",
                        remedy="give a longer timeout=, or another ready=",
                    )
                # A function cannot announce itself: it is asked again whenever something is written, and in between.
                self._news.wait(left if isinstance(ready, str) else min(left, 0.02))
        # Its end of the output may come before it can be reaped.
        status = self._child.wait(timeout=5)
        # Nor must its last words be read by now; what it started may keep the pipe open for good.
        self._reader.join(timeout=0.5)
        if isinstance(ready, str) and re.search(ready, self.output):
            return
        raise LabError(
            f"{' '.join(self.argv)} in {self.namespace.name} ended at once, with exit status {status}\n{self._tail()}",
            remedy="run it by hand in the same way; its last output is above",
        )

    def log(self) -> str:
        """Return what it was, how it ended and all that is kept of what it has written."""
        status = self._child.poll()
        end = "still running" if status is None else f"ended by {signal.Signals(-status).name}" if status < 0 else ""
        head = f"# {' '.join(self.argv)} in {self.namespace.name}: {end or f'exit status {status}'}"
        return f"{head}\n{self.output.rstrip()}\n"

    def _tail(self) -> str:
        lines = self.output.strip().splitlines()[-_TAIL:]
        return "\n".join(f"    {line}" for line in lines) or "    (it wrote nothing)"

    def stop(self, *, signal_number: int = signal.SIGTERM, timeout: float = 2.0) -> int:
        """End it with a signal, and with SIGKILL after `timeout` seconds; return its exit status."""
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(timeout=timeout)
        _kill(self._child)
        return self._child.returncode


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a program and whatever it started in its session, and reap it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()

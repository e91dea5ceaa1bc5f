"""A process in which acts are run, or a network that is up is watched, while this one reads what is captured there.

Everything comes through one socket that keeps messages apart, from whichever process has something to say: `Begun`,
`Batch` and `Ended` from the sandbox of each act, `Act` when an act has ended, a `Failure` when nothing could be run.
The socket's other end is closed when the last of those processes is gone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from pktlab import pytest_plugin
from pktlab.act import ActRecord
from pktlab.cli import session
from pktlab.cli.screen import Progress
from pktlab.errors import LabError, PktlabError
from pktlab.frames.live import Begun
from pktlab.kernel import sandbox
from pktlab.kernel.libc import PR_SET_PDEATHSIG, prctl
from pktlab.kernel.message import Failure
from pktlab.labfile import LabFile

if TYPE_CHECKING:
    from pktlab.network import Network
    from pktlab.network.feed import Feed
    from pktlab.topology import Topology

Send = Callable[[Any], None]
Beside = Callable[["Network"], contextlib.AbstractContextManager[object]]
# A frame has 64 KiB at most, and messages of several are kept below that (`pktlab.network.feed`).
_MESSAGE = 1 << 18


@dataclass(frozen=True, slots=True)
class Act:
    """What became of an act, for a line to a person."""

    lab: str
    name: str
    status: str
    seconds: float
    reason: str = ""


class Player:
    """Runs `work(send)` in a child process, from entering the `with` block until leaving it at the latest.

    The child is killed at the end, and when this process is (PR_SET_PDEATHSIG); and with it goes every sandbox that it
    entered. It is in a process group of its own, so that Ctrl-C is for this process to act on, and it prints nothing.
    """

    def __init__(self, work: Callable[[Send], None]) -> None:
        self._work = work
        self._pid = 0
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def __enter__(self) -> Player:
        caller = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._live(caller)
        self._theirs.close()
        return self

    def _live(self, caller: int) -> None:
        send = functools.partial(_send, self._theirs)
        try:
            os.setpgid(0, 0)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != caller:
                os._exit(1)
            self._ours.close()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            self._work(send)
        except BaseException as error:
            with contextlib.suppress(OSError):
                send(Failure.of(error))
        finally:
            os._exit(0)

    def fileno(self) -> int:
        """Return the descriptor that can be read when there is a message, or the end."""
        return self._ours.fileno()

    def messages(self) -> Iterator[Any] | None:
        """Return what has come, without waiting; None at the end. Raises the exception that ended the work."""
        found: list[Any] = []
        # No more at once than a reader can be kept waiting for.
        for _ in range(100):
            try:
                data = self._ours.recv(_MESSAGE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if not data:
                return iter(found) if found else None
            message = pickle.loads(data)
            if isinstance(message, Failure):
                raise message.exception()
            found.append(message)
        return iter(found)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        self._ours.close()


def _send(where: socket.socket, message: Any) -> None:
    where.sendall(pickle.dumps(message))


def acts(labs: Sequence[LabFile], keyword: str = "") -> Callable[[Send], None]:
    """Return what runs the acts of labs that match, one after the other, and sends their frames."""

    def work(send: Send) -> None:
        sandbox.available()
        listener = _Listener(labs, _teller(send), Progress(), send=send)
        # No act writes a file here; without a folder for them pytest would make a temporary one.
        arguments = [*session.selection(labs, keyword), "--pktlab-captures=captures"]
        status, said = session.drive(labs, arguments, listener)
        if status == pytest.ExitCode.USAGE_ERROR:
            raise PktlabError(said, remedy="see `pktlab capture --help`")
        if listener.internal_error:
            raise PktlabError(f"pytest broke down: {listener.internal_error.strip().splitlines()[-1]}")
        listener.finish()
        if faults := [lab.fault for lab in listener.results() if lab.fault]:
            raise LabError("\n".join(faults))

    return work


def _teller(send: Send) -> session.Tell:
    def tell(lab: LabFile, record: ActRecord, detail: str) -> None:
        send(Act(lab.name, record.name, record.status, record.seconds, record.reason.partition("\n")[0]))

    return tell


@dataclass(slots=True)
class _Listener(session.Listener):
    """Hears of the acts, and has each network's frames sent while the act goes on."""

    send: Send = print

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the acts, and what goes on beside each."""
        super(_Listener, self).pytest_collection_finish(session)
        for item in session.items:
            title = (getattr(getattr(item, "function", None), "__doc__", None) or "").strip().partition("\n")[0]
            begun = Begun(item.path.stem, item.name, title)
            beside: Beside = functools.partial(_beside, self.send, begun)
            item.stash[pytest_plugin.BESIDE] = beside
            # An act on another topology writes no file.
            item.stash[pytest_plugin.CHANGE] = _as_it_is


def _beside(send: Send, begun: Begun, network: Network) -> Feed:
    return network.feed(send, begun)


def _as_it_is(topology: Topology) -> Topology:
    return topology

"""Names in the machine's /run/netns for the namespaces of a network that is up, so that root's `ip netns` has them.

A name is usually a file on which the namespace is mounted, and such a mount keeps the namespace alive whatever becomes
of its makers. These are symbolic links, `LAB.NAMESPACE -> /proc/PID/root/run/netns/NAMESPACE`, to the name inside the
sandbox: they keep nothing alive, they mount nothing, and with the sandbox's pid 1 they lead nowhere. What remains to be
done is to remove them. A guardian does, a process of its own that waits for the owner's end, however that comes. The
owner in turn starts another guardian where that is killed. Should both be killed at the same instant, links are left
that lead nowhere; the next `pktlab up`, `ps` or `down` of root removes them (`sweep`).

A name that is taken is refused, never replaced, and nothing but a link of this form is ever removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pktlab.errors import PktlabError
from pktlab.kernel.entry import privileged

FOLDER = "/run/netns"
_TARGET = re.compile(r"/proc/(\d+)/root/run/netns/[^/]+")
_ATTEMPTS = 3


def wanted() -> bool:
    """Whether names are of use: root's namespaces can be entered from outside, those of a user namespace cannot."""
    return os.geteuid() == 0 and privileged()


def planned(network: str, namespaces: Sequence[str], pid: int) -> dict[str, str]:
    """Return the paths of the names with where they are to lead; `pid` is the sandbox's pid 1, by its number here."""
    return {f"{FOLDER}/{network}.{name}": f"/proc/{pid}/root{FOLDER}/{name}" for name in namespaces}


def publish(links: Mapping[str, str]) -> bool:
    """Make the names; return whether that could be done, since the folder may be read-only.

    Raises PktlabError, all names taken back, where one is taken.
    """
    made: dict[str, str] = {}
    for path, target in links.items():
        try:
            _link(path, target)
        except FileExistsError:
            remove(made)
            raise PktlabError(
                f"{path} is there already, and not ours to replace",
                remedy="give the network another name: --name NAME",
            ) from None
        except OSError:  # read-only, or a security module: `pktlab exec` and `pktlab sh` need no names
            remove(made)
            return False
        made[path] = target
    return True


def _link(path: str, target: str) -> None:
    for attempt in range(_ATTEMPTS):
        # Another network that goes down just now may take the folder along.
        with contextlib.suppress(FileExistsError):
            os.mkdir(FOLDER, 0o755)
        try:
            os.symlink(target, path)
            return
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise


def remove(links: Mapping[str, str], *, folder: bool = False) -> None:
    """Remove names that lead where they led when they were made; with `folder` that, too, if nothing else is in it."""
    for path, target in links.items():
        with contextlib.suppress(OSError):
            if os.readlink(path) == target:
                os.unlink(path)
    if folder:
        with contextlib.suppress(OSError):
            os.rmdir(FOLDER)


def sweep() -> None:
    """Remove the names of networks whose owner and guardian were both killed."""
    if not wanted():
        return
    with contextlib.suppress(OSError):
        for entry in os.scandir(FOLDER):
            with contextlib.suppress(OSError):
                target = os.readlink(entry.path)
                match = _TARGET.fullmatch(target)
                if match and not (os.path.exists(entry.path) and _is_init(int(match[1]))):
                    remove({entry.path: target})


def _is_init(pid: int) -> bool:
    """Whether a process is pid 1 of a PID namespace below ours: a number may have come to be another's."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


class Guardian:
    """A process that removes the names when the owner, which makes it, has ended; `fileno()` is its pidfd."""

    def __init__(self, links: Mapping[str, str], *, folder: bool) -> None:
        owner = os.pidfd_open(os.getpid())
        self.pid = os.fork()
        if self.pid == 0:
            _guard(owner, links, folder)
        os.close(owner)
        self._pidfd = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """Return the descriptor that can be read when it has ended."""
        return self._pidfd

    def close(self) -> None:
        """Reap it, when it has ended or is to."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._pidfd)


def _guard(owner: int, links: Mapping[str, str], folder: bool) -> NoReturn:
    try:
        # What ends the owner, be it for its terminal, its session or its process group, is no end for the guardian.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.setsid()
        # Only what it needs: an open socket or pipe of the owner would tell others that the owner lives.
        keep = os.dup2(owner, 3) if owner != 3 else 3
        os.closerange(0, 3)
        os.closerange(4, os.sysconf("SC_OPEN_MAX"))
        poll = select.poll()
        poll.register(keep, select.POLLIN)
        poll.poll()
        remove(links, folder=folder)
    finally:
        os._exit(0)

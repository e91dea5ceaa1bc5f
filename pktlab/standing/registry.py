"""Which networks are up: each has an owner that listens on an abstract socket, and tells who asks what it owns.

An abstract socket has no file. It is there as long as its owner is, its name can be taken once, and the kernel lists it
in /proc/net/unix: nothing can be stale, and nothing is left behind. Anybody may connect to one, so an owner tells only
its own user; and what it tells gives no power that the user has not got: the descriptors of its processes (pidfds)
serve those who may enter or kill them anyway.

See "Abstract sockets" in unix(7), SO_PEERCRED, SCM_RIGHTS, pidfd_open(2), setns(2).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pktlab.errors import DeadlineExceeded, PktlabError
from pktlab.kernel.libc import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, setns
from pktlab.kernel.permission import refusal

_ANSWER_SECONDS = 10.0
_END_SECONDS = 10.0
_MOST = 1 << 20
_FDS = 3
_ACCEPTS = 0x10000  # __SO_ACCEPTCON of include/uapi/linux/net.h
_CREDENTIALS = struct.Struct("=iII")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Standing:
    """A network that is up: `lab` is the file it was made from, `digest` the SHA-256 of that file then.

    `owner` is the process that it lives and dies with, by its number on this machine; `namespaces` are their names
    inside, `names` those below the machine's /run/netns (root's only).
    """

    name: str
    lab: Path
    digest: str
    owner: int
    since: datetime
    namespaces: tuple[str, ...]
    names: tuple[str, ...] = ()
    made_folder: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {
            "name": self.name,
            "lab": str(self.lab),
            "owner": self.owner,
            "since": self.since.isoformat(timespec="seconds"),
            "namespaces": list(self.namespaces),
            "names": list(self.names),
        }

    def join(self) -> None:
        """Enter the sandbox: its user, mount, network and UTS namespaces, and its PID namespace from the next fork on.

        The caller must have one thread, and comes to be in the sandbox's first network namespace; /proc is that
        of the PID namespace, so what reads it must be done behind the fork (see `pktlab.standing.guest`). Raises
        PktlabError where the network is not up any more, SandboxError where the machine refuses.
        """
        try:
            here = os.getcwd()
        except FileNotFoundError:
            here = "/"
        with self._asked() as (told, descriptors):
            flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWPID
            # To enter the user namespace that one is in is refused (EINVAL).
            if os.stat("/proc/self/ns/user").st_ino != told["user_namespace"]:
                flags |= CLONE_NEWUSER
            try:
                setns(descriptors[1], flags)
            except ProcessLookupError:
                raise _ended(self.name) from None
            except OSError as error:
                raise refusal(error) from error
        # Entering a mount namespace leads to its root; what /run had is covered there.
        with contextlib.suppress(OSError):
            os.chdir(here)

    def end(self) -> None:
        """End it, and return when nothing of it is left. Raises DeadlineExceeded if something is after 10 s."""
        with self._asked() as (_told, descriptors):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptors[0], signal.SIGTERM)
                if not _gone(descriptors[0], _END_SECONDS / 2):
                    signal.pidfd_send_signal(descriptors[0], signal.SIGKILL)
            # The owner, then pid 1 with all processes inside, then the guardian with the names.
            if not all(_gone(descriptor, _END_SECONDS) for descriptor in descriptors):
                raise DeadlineExceeded(
                    f"what belongs to {self.name} did not end within {_END_SECONDS:g} s",
                    remedy="see `ps -eo pid,stat,args`: what waits for the kernel (D) ends when that lets it; what is "
                    "ended but not reaped (Z) waits for pid 1 of this machine or container",
                )

    @contextlib.contextmanager
    def _asked(self) -> Iterator[tuple[dict[str, Any], list[int]]]:
        """What the owner tells now, with pidfds of itself, of pid 1, and of the guardian if there is one."""
        answer = _ask(os.geteuid(), self.name)
        if answer is None or answer[0].owner != self.owner or answer[0].since != self.since:
            _close(answer[2] if answer else [])
            raise _ended(self.name)
        try:
            yield answer[1], answer[2]
        finally:
            _close(answer[2])


def every() -> list[Standing]:
    """Return the networks that this user has up, by name.

    Raises PktlabError for one whose owner does not answer, since it has been stopped (SIGSTOP).
    """
    found = []
    for name in _listening(os.geteuid()):
        answer = _ask(os.geteuid(), name)
        if answer is not None:
            _close(answer[2])
            found.append(answer[0])
    return found


def find(name: str) -> Standing:
    """Return the network of this name; a path to a lab file stands for the one that was made from it.

    In names a dash is as good as an underscore. Raises PktlabError, with the names of those that are up.
    """
    there = every()
    if "/" in name or name.endswith(".py"):
        path = Path(name).resolve()
        matching = [each for each in there if each.lab == path]
    else:
        matching = [each for each in there if each.name == name]
        matching = matching or [each for each in there if _plain(each.name) == _plain(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise PktlabError(
            f"{len(matching)} networks are up that were made from {name}",
            remedy=f"name one of them: {', '.join(each.name for each in matching)}",
        )
    up = ", ".join(each.name for each in there)
    raise PktlabError(
        f"no network called {name!r} is up", remedy=f"up: {up}" if up else f"bring one up: pktlab up {name}"
    )


def claim(name: str) -> socket.socket:
    """Return the owner's socket, which does not listen yet; from now on nobody else can have the name.

    Raises PktlabError for a name that is taken, or is none.
    """
    if not NAME.fullmatch(name):
        raise PktlabError(
            f"{name!r} is no name for a network",
            remedy="up to 64 letters, digits, dots, dashes and underscores, the first not a dot or dash: --name NAME",
        )
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        made.bind(_address(os.geteuid(), name))
    except OSError as error:
        made.close()
        if (user := _holder(name)) not in (None, os.geteuid()):
            # Abstract names have no permissions: anybody may take one.
            raise PktlabError(
                f"user {user} has taken the name {name}", remedy="give this network another one: --name NAME"
            ) from error
        raise PktlabError(
            f"a network called {name} is up already" + ("" if name in _listening(os.geteuid()) else ", or coming up"),
            remedy=f"end it with `pktlab down {name}`, or give this one another name: --name NAME",
        ) from error
    return made


def _holder(name: str) -> int | None:
    """Return the user who listens at a name of one's own; None where nobody does, as yet."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as asking:
        asking.settimeout(0)  # an owner that is too busy to be connected with is one's own
        try:
            asking.connect(_address(os.geteuid(), name))
            return _credentials(asking)[1]
        except OSError:
            return None


def answer(listener: socket.socket, told: dict[str, Any], descriptors: list[int]) -> None:
    """Tell one who has connected what is owned; nobody but the own user."""
    with contextlib.suppress(OSError):
        connection, _address = listener.accept()
        with connection:
            connection.settimeout(0)  # nobody can hold the owner up
            if _credentials(connection)[1] == os.geteuid():
                socket.send_fds(connection, [json.dumps(told).encode()], descriptors)


def _ask(uid: int, name: str) -> tuple[Standing, dict[str, Any], list[int]] | None:
    """What an owner tells, and the descriptors it sends; None where there is none, or it is somebody else's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        owner = 0
        try:
            asking.connect(_address(uid, name))
            owner, user, _group = _credentials(asking)
            if user != uid:
                return None
            data, descriptors, _flags, _from = socket.recv_fds(asking, _MOST, _FDS)
        except TimeoutError:
            raise PktlabError(
                f"the owner of {name}, process {owner}, does not answer",
                remedy=f"it has been stopped: `kill -CONT {owner}`, or `kill -9 {owner}` to end it and its network",
            ) from None
        except OSError:  # it has ended
            return None
    if not data:
        return None
    told = json.loads(data)
    return standing(name, owner, told), told, descriptors


def standing(name: str, owner: int, told: Mapping[str, Any]) -> Standing:
    """Return a network by what its owner tells of it."""
    return Standing(
        name=name,
        lab=Path(told["lab"]),
        digest=told["digest"],
        owner=owner,
        since=datetime.fromisoformat(told["since"]),
        namespaces=tuple(told["namespaces"]),
        names=tuple(told["names"]),
        made_folder=told["made_folder"],
    )


def _listening(uid: int) -> list[str]:
    """The names of a user's networks, as the kernel lists their sockets (unix_seq_show() in net/unix/af_unix.c)."""
    prefix = "@" + _address(uid, "")[1:]
    names = set()
    for line in Path("/proc/self/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].startswith(prefix) and int(fields[3], 16) & _ACCEPTS:
            name = fields[7].removeprefix(prefix)
            if NAME.fullmatch(name):
                names.add(name)
    return sorted(names)


def _address(uid: int, name: str) -> str:
    return f"\0pktlab/{uid}/{name}"


def _credentials(connection: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of the other end; of a listener, those of when it began to listen."""
    value = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(value)
    return pid, uid, gid


def _gone(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _close(descriptors: list[int]) -> None:
    for each in descriptors:
        os.close(each)


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _ended(name: str) -> PktlabError:
    return PktlabError(f"{name} is not up any more", remedy=f"bring it up again: pktlab up {name}")

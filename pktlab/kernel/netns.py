"""Network namespaces held by descriptors, and what lives in one: sockets, sysctls, a name in /run/netns."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from pktlab.errors import KernelError
from pktlab.kernel import libc

_RUN = "/run/netns"
_thread = threading.local()


def _here() -> int:
    """Return a descriptor of the namespace that this thread is in; opened once a thread, since /proc is slow."""
    place: int | None = getattr(_thread, "place", None)
    if place is None:
        place = _thread.place = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return place


class Names:
    """A folder /run/netns of one network's own: its names go all at once, and the folder before it is back."""

    def __init__(self) -> None:
        libc.mount("pktlab", _RUN, "tmpfs", 0, "mode=755")
        self._folder = os.open(_RUN, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Take the names away; umount2(2) with MNT_DETACH takes what is mounted in the folder along."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(_RUN), os.fstat(self._folder)):
                libc.umount2(_RUN, libc.MNT_DETACH)
            else:
                # Another network's folder lies on it, and would go with it.
                for name in os.listdir(f"/proc/self/fd/{self._folder}"):
                    path = f"/proc/self/fd/{self._folder}/{name}"
                    libc.umount2(path, libc.MNT_DETACH)
                    os.unlink(path)
        os.close(self._folder)


class Netns:
    """A network namespace made by this process; it is gone when its descriptors are closed.

    The name is bind-mounted below /run/netns of the sandbox's own mount namespace, so that `ip netns` and
    `ip -n` find it there and nowhere else (ip-netns(8)).
    """

    def __init__(self, name: str) -> None:
        self.name = name
        here = _here()
        libc.unshare(libc.CLONE_NEWNET)
        try:
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            path = f"{_RUN}/{name}"
            os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC))
            libc.mount(f"/proc/thread-self/fd/{self.fd}", path, "none", libc.MS_BIND)
        finally:
            libc.setns(here, libc.CLONE_NEWNET)

    @classmethod
    def named(cls, name: str) -> Netns:
        """Return a namespace that another process of this sandbox made, by its name below /run/netns.

        Let go of it with `let_go`; the name stays. Raises FileNotFoundError where there is none.
        """
        found = cls.__new__(cls)
        found.name = name
        found.fd = os.open(f"{_RUN}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        return found

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the namespace within the block: sockets and programs started there belong to it (setns(2))."""
        here = _here()
        libc.setns(self.fd, libc.CLONE_NEWNET)
        _thread.place = self.fd
        try:
            yield
        finally:
            libc.setns(here, libc.CLONE_NEWNET)
            _thread.place = here

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Make a socket that belongs to the namespace."""
        with self.entered():
            return socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)

    def sysctl(
        self,
        values: Mapping[str, str],
        *,
        missing_ok: bool = False,
        places: Mapping[str, object] | None = None,
        root: int | None = None,
    ) -> None:
        """Write sysctls, by their paths below /proc/sys, in the order given.

        Raises KernelError, with the remedy where the kernel was built without the setting; with `missing_ok`
        such settings are passed over. `places` are where in a lab file they are declared, `root` is a descriptor of
        /proc/sys (`pktlab.kernel.procfs`).
        """
        with self.entered():
            for key, value in values.items():
                try:
                    _write(f"/proc/sys/{key}" if root is None else key, value, root)
                except FileNotFoundError as error:
                    if not missing_ok:
                        raise KernelError(
                            f"sysctl {key}={value} in {self.name}",
                            error.errno or 0,
                            remedy="this kernel has no such setting, or its module is not loaded",
                            where=str((places or {}).get(key, "")),
                        ) from None
                except OSError as error:
                    place = str((places or {}).get(key, ""))
                    what = f"sysctl {key}={value} in {self.name}"
                    raise KernelError(what, error.errno or 0, where=place) from None

    def read_sysctl(self, key: str) -> str:
        """Read a sysctl by its path below /proc/sys, without the newline."""
        with self.entered():
            return Path("/proc/sys", key).read_text().strip()

    def close(self) -> None:
        """Give up the name and the descriptor; the kernel takes the namespace down on its own time."""
        with contextlib.suppress(OSError):
            libc.umount2(f"{_RUN}/{self.name}", libc.MNT_DETACH)
            os.unlink(f"{_RUN}/{self.name}")
        self.let_go()

    def let_go(self) -> None:
        """Give up the descriptor; the name is for who made the folder that it is in."""
        os.close(self.fd)


def _write(path: str, value: str, root: int | None) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=root)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)

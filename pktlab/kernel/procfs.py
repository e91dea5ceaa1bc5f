"""Mounts of proc that serve a while, so that the sysctls of a thousand namespaces are found as fast as those of one.

The names that were looked up below one /proc/sys/net stand, for all namespaces, on one chain of the dentry cache:
each is asked whether it is of the namespace at hand (proc_sys_compare() in fs/proc/proc_sysctl.c). At the thousandth
namespace that takes 200 us a name instead of 20. A mount of proc has a chain of its own (Linux 5.8), and takes 20 us.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from types import TracebackType

_libc = ctypes.CDLL(None, use_errno=True)
# Newer than the libraries of some distributions, and the same on every architecture.
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 1
_FSCONFIG_CMD_CREATE = 6
# How many namespaces are looked up in one mount; the first of all are in the one that is there.
_SERVES = 32


class Sysctls:
    """Gives a descriptor of /proc/sys for one namespace after the other, within a `with` block."""

    def __init__(self) -> None:
        self._root = os.open("/proc/sys", os.O_PATH | os.O_CLOEXEC)
        self._served = 0

    def __enter__(self) -> Sysctls:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._root)

    def root(self) -> int:
        """Return the descriptor to use for the next namespace; the one before it is no longer good."""
        self._served += 1
        if self._served % _SERVES == 0:
            # Where proc cannot be mounted, it goes on slower.
            with contextlib.suppress(OSError):
                fresh = _sysctls_of_a_mount()
                os.close(self._root)
                self._root = fresh
        return self._root


def _sysctls_of_a_mount() -> int:
    """Mount proc nowhere; return a descriptor of its folder sys. fsopen(2), fsmount(2)."""
    context = _call(_FSOPEN, b"proc", _FSOPEN_CLOEXEC)
    try:
        _call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        mount = _call(_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0)
    finally:
        os.close(context)
    try:
        return os.open("sys", os.O_PATH | os.O_CLOEXEC, dir_fd=mount)
    finally:
        os.close(mount)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
    return result

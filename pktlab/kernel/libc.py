"""System calls that Python 3.11 does not wrap: unshare(2), setns(2), mount(2), umount2(2), prctl(2).

Every call raises `OSError` with the kernel's errno; its `filename` is the call as it would be written in C,
so that a message reads ``[Errno 1] Operation not permitted: 'unshare(CLONE_NEWUSER)'``.
Constants carry the kernel's names and are found in linux/sched.h, linux/mount.h and linux/prctl.h.
"""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_SLAVE = 0x8_0000

MNT_DETACH = 0x2

PR_SET_PDEATHSIG = 1
PR_SET_TIMERSLACK = 29
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]
_libc.umount2.argtypes = [ctypes.c_char_p, ctypes.c_int]
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


def unshare(flags: int) -> None:
    """Move the caller into new namespaces; NEWUSER is refused (EINVAL) to a process with threads. unshare(2)."""
    if _libc.unshare(flags) == -1:
        _check(-1, f"unshare({_clone_names(flags)})")


def setns(fd: int, flags: int = 0) -> None:
    """Move the calling thread into the namespace that `fd` refers to; `flags` 0 takes any kind. setns(2)."""
    if _libc.setns(fd, flags) == -1:
        _check(-1, f"setns({fd}, {_clone_names(flags)})")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Attach a file system, or change a mount's propagation, as mount(2) does."""
    result = _libc.mount(*(os.fsencode(part) for part in (source, target, fstype)), flags, os.fsencode(data))
    _check(result, f"mount({source}, {target})")


def umount2(target: str, flags: int = 0) -> None:
    """Detach the mount on `target`. umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags), f"umount2({target})")


def prctl(option: int, value: int) -> None:
    """Set one attribute of the calling thread or process. prctl(2)."""
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl({option}, {value})")


def _check(result: int, call: str) -> None:
    if result == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), call)


def _clone_names(flags: int) -> str:
    names = [name for name, value in globals().items() if name.startswith("CLONE_") and flags & value]
    return "|".join(names) or "0"

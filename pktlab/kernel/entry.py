"""The way into a sandbox: new namespaces for the launcher, then mounts of its own for pid 1.

`enter_namespaces` runs in the launcher, `enter_mounts` in pid 1, since only a process of the new PID namespace
may mount its /proc. Both raise `OSError`; `pktlab.kernel.permission` says what to do about it.

See namespaces(7), user_namespaces(7), pid_namespaces(7), mount_namespaces(7).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable

from pktlab.kernel.libc import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    mount,
    unshare,
)

# NEWUTS: a daemon in a lab may set a host name. Nothing in a lab uses System V IPC or cgroups.
NAMESPACES = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS

# CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN of linux/capability.h: without one of them even root is better off as
# root of a user namespace.
_NEEDED = 1 << 12 | 1 << 13 | 1 << 21


def privileged() -> bool:
    """Whether this process may make and use network namespaces without a user namespace. capabilities(7)."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        effective = next((int(line.split()[1], 16) for line in status if line.startswith("CapEff:")), 0)
    return effective & _NEEDED == _NEEDED


def enter_namespaces() -> None:
    """Unshare everything a lab could touch; the PID namespace begins with the next fork.

    The caller must have one thread. An ordinary user becomes root of a new user namespace, since root there owns
    the network namespaces made in it.
    """
    if privileged():
        # EPERM for all that: a security module or a seccomp filter, which may still allow a user namespace.
        with contextlib.suppress(PermissionError):
            unshare(NAMESPACES)
            return
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | NAMESPACES)
    # Without privilege outside, gid_map may be written only after setgroups(2) is given up for good.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"0 {uid} 1")
    _write("/proc/self/gid_map", f"0 {gid} 1")


def enter_mounts() -> None:
    """Give the new mount namespace its own /run with /run/netns, and /proc and /sys of the new namespaces.

    Mounts below the machine's /sys (cgroup, tracefs) are hidden. Where a container masks parts of /proc or /sys,
    the kernel refuses a fresh one (mount_too_revealing() in fs/namespace.c): the old one stays, whose `self`
    is right and whose numbers are those of the outer PID namespace.
    """
    # Slave, not private: a private copy of somebody else's mount could not be unmounted by its owner's wish.
    mount("none", "/", flags=MS_SLAVE | MS_REC)
    _mount_run(_first_names_below("/run", _paths_in_use()))
    for fstype, target in (("proc", "/proc"), ("sysfs", "/sys")):
        with contextlib.suppress(OSError):
            mount(fstype, target, fstype, MS_NOSUID | MS_NODEV | MS_NOEXEC)


def _mount_run(kept: Iterable[str]) -> None:
    """Cover /run with a tmpfs that has /run/netns, and in which the names `kept` show what they showed before."""
    directories: dict[str, int] = {}
    links: dict[str, str] = {}
    for name in kept:
        path = f"/run/{name}"
        if os.path.islink(path):
            links[path] = os.readlink(path)
        elif os.path.isdir(path):
            directories[path] = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = _working_directory()
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
    os.mkdir("/run/netns", 0o755)
    for path, target in links.items():
        os.symlink(target, path)
    for path, fd in directories.items():
        os.mkdir(path)
        mount(f"/proc/self/fd/{fd}", path, flags=MS_BIND | MS_REC)
        os.close(fd)
    if f"{here}/".startswith("/run/"):
        # Else `..` would still lead into the /run that is covered now.
        with contextlib.suppress(FileNotFoundError):
            os.chdir(here)


def _paths_in_use() -> list[str]:
    """Where this interpreter, its modules, the programs and the work at hand are; some systems keep them in /run."""
    in_search_path = os.environ.get("PATH", "").split(os.pathsep)
    found = [_working_directory(), os.environ.get("TMPDIR", ""), sys.executable, sys.prefix, sys.base_prefix]
    return [path for path in (*found, *sys.path, *in_search_path) if path]


def _first_names_below(directory: str, paths: Iterable[str]) -> set[str]:
    """The names in `directory` that lead to any of `paths`, whether as written or as resolved."""
    prefix = directory + "/"
    spellings = {spelling for path in set(paths) for spelling in (os.path.abspath(path), os.path.realpath(path))}
    names = {spelling.removeprefix(prefix).partition("/")[0] for spelling in spellings if spelling.startswith(prefix)}
    return names - {"netns"}


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # removed under our feet: nothing to keep
        return ""


def _write(path: str, text: str) -> None:
    # One write(2) each: the kernel takes a map once and whole.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)

"""Why this machine refuses a sandbox, and the one command that changes it.

See user_namespaces(7), namespaces(7), seccomp(2), and for Ubuntu
https://discourse.ubuntu.com/t/spec-unprivileged-user-namespace-restrictions-via-apparmor-in-ubuntu-23-10/37626.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pktlab.errors import SandboxError

_AS_ROOT = "or run as root"
_LIMITS = {name: f"max_{name}_namespaces" for name in ("user", "net", "mnt", "pid", "uts")}


def refusal(error: OSError, proc: Path = Path("/proc")) -> SandboxError:
    """Explain `error`, which a call on the way into a sandbox raised, from what `proc` says of this machine."""
    message, remedy = _cause(error, proc)
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return SandboxError(f"{message} ({what})", remedy=remedy)


def _cause(error: OSError, proc: Path) -> tuple[str, str]:
    missing = [kind for kind in _LIMITS if not (proc / "self/ns" / kind).exists()]
    if missing:
        option = ", ".join("CONFIG_NAMESPACES" if kind == "mnt" else f"CONFIG_{kind.upper()}_NS" for kind in missing)
        return f"this kernel has no {', '.join(missing)} namespaces", f"use a kernel built with {option}"
    if error.errno == errno.ENOSPC:
        for limit in _LIMITS.values():
            if _read(proc / "sys/user" / limit) == "0":
                # 15000 is enough for any lab and below what a machine of 2 GB sets by itself.
                return f"user.{limit} is 0, so nobody may make that namespace", _sysctl(f"user.{limit}=15000")
        return (
            "a limit on namespaces is used up",
            "sysctl -a --pattern 'user.max_.*_namespaces'  # raise the one reached",
        )
    if error.errno in (errno.EPERM, errno.EACCES):
        if _read(proc / "sys/kernel/unprivileged_userns_clone") == "0":
            setting = "kernel.unprivileged_userns_clone"
            return f"{setting} is 0: ordinary users may not make user namespaces", _sysctl(f"{setting}=1")
        if _read(proc / "sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
            setting = "kernel.apparmor_restrict_unprivileged_userns"
            return f"AppArmor keeps ordinary users from using user namespaces ({setting}=1)", _sysctl(f"{setting}=0")
        if _status(proc, "Seccomp") == "2":
            return (
                "a seccomp filter, as a container engine sets it, forbids namespaces",
                "docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined "
                "--security-opt apparmor=unconfined ...  (or --privileged)",
            )
        return "this machine does not let this user make namespaces", f"see user_namespaces(7), {_AS_ROOT}"
    if error.errno == errno.EINVAL and error.filename == "mount(none, /)":
        return "/ is not a mount point: this is a chroot", "mount --bind DIR DIR before chroot DIR"
    return "the sandbox cannot be set up", f"see namespaces(7), {_AS_ROOT}"


def _sysctl(setting: str) -> str:
    return f"sudo sysctl -w {setting}" + ("" if os.geteuid() == 0 else f"  ({_AS_ROOT})")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _status(proc: Path, field: str) -> str | None:
    lines = (_read(proc / "self/status") or "").splitlines()
    return next((value.strip() for name, _, value in (line.partition(":") for line in lines) if name == field), None)

"""A machine that refuses a sandbox is told apart by its reason, and each reason has its remedy.

The limits and the seccomp filter are real, set inside a sandbox for what is nested in it; what other distributions'
kernels have (AppArmor's and Debian's switches, missing namespaces) is read from files laid out like /proc.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

import pytest

from pktlab.errors import SandboxError
from pktlab.kernel import libc, sandbox
from pktlab.kernel.permission import refusal

_UNSHARE = {"x86_64": 272, "aarch64": 97}


def refused() -> tuple[str, str]:
    """What `available` says where it is called, twice the same."""
    sandbox._refused.cache_clear()
    said = []
    for _ in range(2):
        with pytest.raises(SandboxError) as caught:
            sandbox.available()
        said.append((caught.value.message, caught.value.remedy))
    assert said[0] == said[1]
    return said[0]


def give_up_capabilities() -> None:
    header = struct.pack("=Ii", 0x2008_0522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread: capset(2)
    assert ctypes.CDLL(None).capset(header, bytes(24)) == 0


def test_available_here() -> None:
    sandbox.available()


@pytest.mark.parametrize("kind", ["user", "net", "pid", "mnt", "uts"])
def test_limit_of_zero(kind: str) -> None:
    def forbid() -> tuple[str, str]:
        # The limits belong to a user namespace: in a new one they bind only what is nested in it.
        libc.unshare(libc.CLONE_NEWUSER)
        Path(f"/proc/sys/user/max_{kind}_namespaces").write_text("0")
        if kind == "user":
            give_up_capabilities()
        return refused()

    message, remedy = sandbox.call(forbid)
    assert f"user.max_{kind}_namespaces is 0" in message
    assert f"sysctl -w user.max_{kind}_namespaces=15000" in remedy


def test_seccomp_filter() -> None:
    number = _UNSHARE.get(platform.machine())
    if number is None:
        pytest.skip(f"the number of unshare(2) on {platform.machine()} is not known here")

    def forbid() -> tuple[str, str]:
        # seccomp(2): load the number of the call; unshare gives EPERM, anything else is allowed.
        rules = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x5_0000 | errno.EPERM), (0x06, 0, 0, 0x7FFF_0000))
        code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
        filter_ = ctypes.create_string_buffer(struct.pack("@HP", len(rules), ctypes.addressof(code)))
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
        set_seccomp, mode_filter = 22, 2
        assert ctypes.CDLL(None).prctl(set_seccomp, mode_filter, ctypes.c_void_p(ctypes.addressof(filter_)), 0, 0) == 0
        return refused()

    message, remedy = sandbox.call(forbid)
    assert "seccomp filter" in message
    assert "unshare(" in message
    assert "--security-opt seccomp=unconfined" in remedy


def proc(root: Path, **files: str) -> Path:
    """A /proc in which all namespaces exist, with `files` besides; ``__`` stands for a slash."""
    named = {name.replace("__", "/"): text for name, text in files.items()}
    for name, text in {**{f"self/ns/{kind}": "" for kind in ("user", "net", "mnt", "pid", "uts")}, **named}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


DENIED = PermissionError(errno.EPERM, os.strerror(errno.EPERM), "/proc/self/uid_map")


def test_apparmor(tmp_path: Path) -> None:
    said = refusal(DENIED, proc(tmp_path, sys__kernel__apparmor_restrict_unprivileged_userns="1\n"))
    assert "AppArmor" in said.message
    assert "/proc/self/uid_map: Operation not permitted" in said.message
    assert "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" in said.remedy


def test_debian_switch(tmp_path: Path) -> None:
    said = refusal(DENIED, proc(tmp_path, sys__kernel__unprivileged_userns_clone="0\n"))
    assert "sysctl -w kernel.unprivileged_userns_clone=1" in said.remedy


def test_switches_that_allow_are_not_blamed(tmp_path: Path) -> None:
    allowing = proc(
        tmp_path,
        sys__kernel__unprivileged_userns_clone="1\n",
        sys__kernel__apparmor_restrict_unprivileged_userns="0\n",
        self__status="Name:\tx\nSeccomp:\t0\n",
    )
    said = refusal(DENIED, allowing)
    assert "sysctl" not in said.remedy
    assert "user_namespaces(7)" in said.remedy


def test_kernel_without_network_namespaces(tmp_path: Path) -> None:
    without = proc(tmp_path)
    (without / "self/ns/net").unlink()
    said = refusal(OSError(errno.EINVAL, os.strerror(errno.EINVAL), "unshare(CLONE_NEWNET)"), without)
    assert "no net namespaces" in said.message
    assert "CONFIG_NET_NS" in said.remedy


def test_limit_used_up(tmp_path: Path) -> None:
    limits = proc(tmp_path, sys__user__max_net_namespaces="100\n")
    said = refusal(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "unshare(CLONE_NEWNET)"), limits)
    assert "used up" in said.message


def test_chroot(tmp_path: Path) -> None:
    said = refusal(OSError(errno.EINVAL, os.strerror(errno.EINVAL), "mount(none, /)"), proc(tmp_path))
    assert "chroot" in said.message
    assert "mount --bind" in said.remedy

"""kill -9 of the caller, at any instant, leaves no process, namespace, mount or link (law 2).

The caller that is killed runs in a sandbox of the test's: there every process, mount and link can be counted, whatever
else the machine does, and what a defect left behind goes when the test does. The last test does without.
PKTLAB_KILLS sets the number of instants, 15 if unset.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pktlab.kernel import sandbox

KILLS = int(os.environ.get("PKTLAB_KILLS", "15"))
SECONDS = 10.0
ROOT = Path(__file__).parents[1]
NOBODY = 65534

# Two rounds of setting up, filling and killing take about this long, so that every stage is hit.
_MILLISECONDS = 120


def needs_python(user: int | None) -> None:
    """Skip where an ordinary user cannot run this Python: it may lie in root's home."""
    if user is None:
        return
    if os.geteuid() != 0:
        pytest.skip("the user is an ordinary one already")
    try:
        subprocess.run([sys.executable, "-c", ""], user=user, group=user, extra_groups=[], check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip(f"{sys.executable} cannot be run by an ordinary user")


def doom(what: str, user: int | None, outside: int = -1, mark: str = "") -> subprocess.Popen[bytes]:
    """Start the caller that is to be killed. Everything it starts holds its standard output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PKTLAB_MARK": mark}
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("doomed.py")), what, str(outside)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        user=user,
        group=user,
        extra_groups=[] if user is not None else None,
        env=environment,
        pass_fds=[outside] if outside >= 0 else [],
    )


def wait_for(descriptor: int, events: int, milliseconds: float = SECONDS * 1000) -> bool:
    poll = select.poll()
    poll.register(descriptor, events)
    return bool(poll.poll(milliseconds))


def kill(doomed: subprocess.Popen[bytes], how: signal.Signals, after: float) -> bool:
    """Kill the caller `after` milliseconds from its first line; whether all that it started is gone in time."""
    assert doomed.stdout
    with doomed:
        assert wait_for(doomed.stdout.fileno(), select.POLLIN), "it did not start"
        assert doomed.stdout.readline() in (b"up\n", b"begin\n")
        pidfd = os.pidfd_open(doomed.pid)
        assert not wait_for(pidfd, select.POLLIN, after), "it ended by itself"
        os.close(pidfd)
        doomed.send_signal(how)
        assert doomed.wait(SECONDS) == -how
        return wait_for(doomed.stdout.fileno(), 0)


def others() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def reap_orphans() -> None:
    """pid 1 of this sandbox inherits what the killed caller left, and waits until there is nothing more of it."""
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def links_gone(events: socket.socket) -> bool:
    """Whether only lo is left: a veth goes when the namespace of its peer is destroyed."""
    while len(socket.if_nameindex()) > 1:
        if not wait_for(events.fileno(), select.POLLIN):
            return False
        events.recv(1 << 16)
    return True


def instants(count: int, user: int | None, how: signal.Signals, seed: int, veths: bool) -> Iterator[str]:
    """Kill `count` callers, and yield what was left of each that left something."""
    chance = random.Random(seed)
    mounts = Path("/proc/self/mountinfo").read_text()
    outside = os.open("/proc/self/ns/net", os.O_RDONLY) if veths else -1
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    rtmgrp_link = 1
    events.bind((0, rtmgrp_link))
    for number in range(count):
        # Every third one is killed when it is complete; the others anywhere between beginning and end.
        what, after = ("stay", 0.0) if number % 3 == 0 else ("loop", chance.uniform(0, _MILLISECONDS))
        gone = kill(doom(what, user, outside), how, after)
        reap_orphans()
        left: dict[str, Sequence[object]] = {
            "processes": others(),
            "links": [] if links_gone(events) else socket.if_nameindex(),
            "mounts": [] if Path("/proc/self/mountinfo").read_text() == mounts else ["changed"],
            "descriptors": [] if gone else ["standard output"],
            "/run": sorted(set(os.listdir("/run")) - {"netns"}) + os.listdir("/run/netns"),
        }
        if any(left.values()):
            yield f"{what} killed after {after:.1f} ms: {left}"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("user", [None, NOBODY], ids=["same-user", "ordinary-user"])
def test_killed_caller_leaves_nothing(user: int | None, how: signal.Signals) -> None:
    needs_python(user)
    count = KILLS if how == signal.SIGKILL else 3
    seed = random.randrange(1 << 32)

    def kills() -> list[str]:
        # An ordinary user's veth cannot have its peer in a namespace that belongs to root.
        return list(instants(count, user, how, seed, veths=user is None))

    left = sandbox.call(kills, deadline=30 + 2.0 * count)
    assert not left, f"seed {seed}"


def marked(mark: str) -> list[int]:
    found = []
    for pid in others():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:  # ended, or somebody else's
            continue
        if f"PKTLAB_MARK={mark}".encode() in environment.split(b"\0"):
            found.append(pid)
    return found


@pytest.mark.parametrize("user", [None, NOBODY], ids=["same-user", "ordinary-user"])
def test_machine_is_as_before(user: int | None) -> None:
    needs_python(user)

    def outside() -> tuple[str, list[tuple[int, str]], list[str]]:
        return Path("/proc/self/mountinfo").read_text(), socket.if_nameindex(), sorted(os.listdir("/run"))

    before = outside()
    mark = str(uuid.uuid4())
    try:
        assert kill(doom("stay", user, mark=mark), signal.SIGKILL, 0.0)
        assert marked(mark) == []
        assert outside() == before
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)

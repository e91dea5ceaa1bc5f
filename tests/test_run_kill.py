"""kill -9 of `pktlab run` at any instant leaves the machine as it was (law 2).

PKTLAB_KILLS sets the number of instants, 6 if unset: each is up to a whole run of one lab long.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

KILLS = int(os.environ.get("PKTLAB_KILLS", "6"))
SECONDS = 2.5
GONE_WITHIN = 10.0


def machine() -> dict[str, object]:
    """What of the machine's first namespaces must not change."""
    names = ["net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv4.neigh.default.mcast_solicit"]
    return {
        "links": socket.if_nameindex(),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "run": sorted(os.listdir("/run")),
        "routes": Path("/proc/net/route").read_text(),
        "sysctls": [Path("/proc/sys", *name.split(".")).read_text() for name in names],
    }


def marked(mark: str) -> list[int]:
    """The processes that descend from the run: the mark is in their environment."""
    found = []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"PKTLAB_MARK={mark}".encode() in environment.split(b"\0"):
            found.append(pid)
    return found


def ended(pid: int, seconds: float) -> bool:
    """Wait until a process has ended, at most `seconds`."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def test_killed_run_leaves_nothing(tmp_path: Path) -> None:
    chance = random.Random(seed := random.randrange(1 << 32))
    before, mark = machine(), str(uuid.uuid4())
    lab = chance.choice(["bridge_swallows_arp_reply", "router_rewrites_macs", "vxlan_wraps_the_frame"])
    for _ in range(KILLS):
        after = chance.uniform(0, SECONDS)
        run = subprocess.Popen(
            [sys.executable, "-m", "pktlab", "run", lab, "--captures", str(tmp_path / "captures")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PKTLAB_MARK": mark},
        )
        ended(run.pid, after)
        run.send_signal(signal.SIGKILL)
        run.wait()
        end = time.monotonic() + GONE_WITHIN
        for pid in marked(mark):
            assert ended(pid, end - time.monotonic()), f"seed {seed}: process {pid} lives {GONE_WITHIN:g} s after"
        # With no process of the run, and no mount, nothing holds a namespace of it.
        assert marked(mark) == [], f"seed {seed}"
        assert machine() == before, f"seed {seed}: the machine differs after {after:.2f} s"

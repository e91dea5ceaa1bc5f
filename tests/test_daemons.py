"""Labs with daemons leave none behind, nor what they wrote: after a run, and after kill -9 in the middle (law 2).

How a daemon's processes are known: they are in the PID namespaces of the run, wherever they were started and whatever
they did to their environment or their session.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_run_kill import GONE_WITHIN, ended, machine, marked
from test_sandbox_kill import NOBODY, ROOT, needs_python

from pktlab import labfile
from pktlab.errors import MachineError
from pktlab.kernel.program import program

LABS = {
    "bird": next((lab.name for lab in labfile.discover() if "bgp" in lab.name), ""),
    "dnsmasq": "dhcp_lease_is_renewed",
    "etcd": "flannel_leases_subnets_in_etcd",
    "haproxy": "service_is_found_by_a_load_balancer",
    "nginx": "ingress_reads_the_host_name",
}
# Where these daemons keep their leases, sockets, logs and data when nobody tells them to do otherwise.
HAUNTS = ["/run", "/etc/netns", "/var/lib", "/var/log", "/var/cache", "/var/spool"]
PACE = 0.01

# A daemon that leaves its session and its parent, as daemons do unless told otherwise: no signal to a group reaches it.
STRAY = '''"""A daemon goes its own way."""
from pktlab import Topology

topology = Topology()
ns = topology.namespace("ns")
DAEMON = ["dnsmasq", "--conf-file=/dev/null", "--port=0", "--user=", "--group=", "--pid-file=/run/stray.pid"]
DAEMON += ["--dhcp-range=10.0.0.100,10.0.0.199", "--dhcp-leasefile=/run/stray.leases"]


def test_it(net):
    assert net.run(ns, DAEMON)
    net.run(ns, ["timeout", "{seconds}", "tail", "-f", "/dev/null"], timeout=90)
'''


def files() -> dict[str, float]:
    """What is in the haunts of daemons: each daemon's folder with all that it has, and when it was written."""
    found: dict[str, float] = {}
    names = ("misc", "nginx", "etcd", "haproxy", "bird", "dnsmasq", "cni", "dhcp")
    for top in HAUNTS:
        for name in names:
            for folder, _folders, inside in os.walk(Path(top, name)):
                for each in (folder, *(os.path.join(folder, file) for file in inside)):
                    with contextlib.suppress(FileNotFoundError):
                        found[each] = os.lstat(each).st_mtime
    return found


def namespaces(pid: int) -> set[str]:
    """The PID and network namespace of a process, "pid:[...]" and "net:[...]"; none if it is gone."""
    try:
        return {os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("pid", "net")}
    except OSError:
        return set()


OWN = namespaces(os.getpid())


def inhabitants(places: set[str]) -> dict[int, str]:
    """The processes in any of these namespaces, each with its name."""
    found = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if namespaces(pid) & places:
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


class Watched:
    """A run of labs, whose processes, namespaces and daemons are noted while it lasts."""

    def __init__(self, *labs: str, home: Path, user: int | None) -> None:
        self.mark = str(uuid.uuid4())
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        if user is not None:
            for path in (home, self.temporary):
                os.chown(path, user, user)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary), "PKTLAB_MARK": self.mark}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pktlab", "run", *labs, "--captures", str(home / "captures")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=environment,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
        )
        self.places: set[str] = set()
        self.seen: set[str] = set()

    def look(self) -> bool:
        """Note what is there now, after a moment; whether the run goes on."""
        over = ended(self.process.pid, PACE)
        for pid in marked(self.mark):
            self.places |= namespaces(pid) - OWN
        self.seen |= set(inhabitants(self.places).values())
        return not over

    def left(self) -> dict[int, str]:
        """The processes that are left of it, after they have had their time to end."""
        end = time.monotonic() + GONE_WITHIN
        for pid in (*marked(self.mark), *inhabitants(self.places)):
            ended(pid, max(0.0, end - time.monotonic()))
        return {**dict.fromkeys(marked(self.mark), "marked"), **inhabitants(self.places)}


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that an ordinary user may be given, which those of pytest are not."""
    path = Path(tempfile.mkdtemp(prefix="pktlab-daemons-"))
    yield path
    shutil.rmtree(path)


def needs(*daemons: str) -> None:
    """Skip, naming the package, where a daemon is not installed."""
    try:
        for daemon in daemons:
            program(daemon)
    except MachineError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("user", [None, NOBODY], ids=["as-is", "ordinary"])
@pytest.mark.parametrize("daemon", LABS)
def test_killed_with_its_daemons(daemon: str, user: int | None, home: Path) -> None:
    needs(daemon)
    needs_python(user)
    before = machine(), files()
    moment = random.Random(seed := random.randrange(1 << 32)).uniform(0, 0.3)
    run = Watched(LABS[daemon], home=home, user=user)
    while daemon not in run.seen:
        assert run.look(), f"{LABS[daemon]} ended, and {daemon} was never there"
    ended(run.process.pid, moment)
    run.look()
    run.process.send_signal(signal.SIGKILL)
    run.process.wait()
    assert run.left() == {}, f"seed {seed}"
    # With no process of the run, and no mount, nothing holds a namespace of it or a socket in one.
    assert (machine(), files()) == before, f"seed {seed}"
    assert os.listdir(run.temporary) == []


@pytest.mark.parametrize("user", [None, NOBODY], ids=["as-is", "ordinary"])
@pytest.mark.parametrize("killed", [False, True], ids=["ends", "killed"])
def test_a_daemon_that_went_its_own_way(killed: bool, user: int | None, home: Path) -> None:
    needs("dnsmasq")
    needs_python(user)
    before = machine(), files()
    lab = home / "stray.py"
    lab.write_text(STRAY.format(seconds=60 if killed else 0.5))
    run = Watched(str(lab), home=home, user=user)
    while run.look() and not (killed and run.seen >= {"dnsmasq", "tail"}):
        pass
    assert run.seen >= {"dnsmasq", "tail"}
    if killed:
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
    else:
        assert run.process.wait() == 0
    assert run.left() == {}
    assert (machine(), files(), os.listdir(run.temporary)) == (*before, [])


def test_after_a_run(home: Path) -> None:
    needs(*LABS)
    before = machine(), files()
    run = Watched(*LABS.values(), home=home, user=None)
    while run.look():
        pass
    # 4: frames were lost on a busy machine, of which nothing needs to be left either.
    assert run.process.wait() in (0, 4)
    assert inhabitants(run.places) == {}
    assert run.seen >= set(LABS)
    assert (machine(), files(), os.listdir(run.temporary)) == (*before, [])

"""Several sandboxes side by side: what each sent, in the order in which they end, and that none outlives the loop."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import COMMAND, environment

from pktlab.errors import DeadlineExceeded
from pktlab.kernel import pool

Send = Callable[[Any], None]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def children() -> list[int]:
    return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def wait_for_pipe(descriptor: int) -> Callable[[Send], None]:
    def work(send: Send) -> None:
        os.read(descriptor, 1)
        send("waited")

    return work


def test_each_work_sends_its_result() -> None:
    works = [lambda send, number=number: send(number * number) for number in range(7)]
    assert sorted(pool.results(works, places=3, deadline=30)) == [(n, n * n) for n in range(7)]


def test_who_ends_first_is_told_first_and_its_place_is_taken() -> None:
    reading, writing = os.pipe()
    told = pool.results([wait_for_pipe(reading), *[lambda send: send("quick")] * 3], places=2, deadline=30)
    assert [next(told) for _ in range(3)] == [(1, "quick"), (2, "quick"), (3, "quick")]
    os.write(writing, b"!")
    assert list(told) == [(0, "waited")]
    os.close(reading)
    os.close(writing)


def test_places_are_not_exceeded() -> None:
    reading, writing = os.pipe()
    told = pool.results([lambda send: send("quick"), *[wait_for_pipe(reading)] * 4], places=2, deadline=30)
    assert next(told) == (0, "quick")
    # The others wait until this one's place is asked for.
    assert len(children()) == 2
    os.write(writing, b"!")
    assert next(told)[1] == "waited"
    assert len(children()) in (2, 3)  # the one that has told may not have ended
    told.close()
    os.close(reading)
    os.close(writing)


def test_what_goes_wrong_is_a_result() -> None:
    def fails(send: Send) -> None:
        raise ValueError("no")

    def ends(send: Send) -> None:
        os._exit(3)

    reading, writing = os.pipe()
    found = dict(pool.results([fails, ends, wait_for_pipe(reading)], places=3, deadline=1.0))
    assert isinstance(found[0], ValueError)
    assert found[1] is None
    assert isinstance(found[2], DeadlineExceeded)
    os.close(reading)
    os.close(writing)


def test_closing_the_iterator_ends_them_all() -> None:
    reading, writing = os.pipe()
    told = pool.results([lambda send: send("quick"), *[wait_for_pipe(reading)] * 3], places=4, deadline=30)
    assert next(told) == (0, "quick")
    there = children()
    assert len(there) == 4
    told.close()
    assert [pid for pid in there if alive(pid)] == []
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("command", [["ablate"], ["sweep", "--set", "h1:net.ipv4.ip_forward=0,1"]])
def test_ctrl_c_ends_a_command_and_all_its_acts(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        '"""Slow."""\nimport os, signal\nfrom pktlab import Topology\ntopology = Topology()\n'
        'h1, h2 = topology.namespace("h1"), topology.namespace("h2")\n'
        'def test_a(net):\n    os.write(int(os.environ["TOLD"]), b".")\n    signal.pause()\n'
    )
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*COMMAND, command[0], "slow.py", *command[1:]],
        cwd=tmp_path,
        env=environment(TOLD=str(writing)),
        pass_fds=[writing],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(writing)
        os.read(reading, 1)  # one act at least runs
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err == "pktlab: interrupted\n"
    # Whoever were left would hold the writing end.
    poll = select.poll()
    poll.register(reading, 0)
    deadline = time.monotonic() + 10
    assert poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
    os.close(reading)

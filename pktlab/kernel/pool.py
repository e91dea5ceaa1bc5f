"""Several sandboxes side by side, each with one piece of work."""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any

from pktlab.errors import DeadlineExceeded
from pktlab.kernel.sandbox import Child

Work = Callable[[Callable[[Any], None]], None]


class _Running:
    """A sandbox from its start to its end; its place is free as soon as it has told its result."""

    def __init__(self, number: int, work: Work, deadline: float) -> None:
        self.number = number
        self.told = False
        self.end = time.monotonic() + deadline
        self.child = Child(work)
        self.child.__enter__()
        self._messages = self.child.messages()

    def read(self) -> tuple[bool, Any]:
        """Return whether this was the end, and the message; an exception that came out of the work is one."""
        try:
            return False, next(self._messages)
        except StopIteration:
            return True, None
        except Exception as error:
            return False, error

    def close(self) -> None:
        """End it if it has not ended, and reap it."""
        self.child.__exit__(None, None, None)


def results(works: Sequence[Work], *, places: int, deadline: float) -> Generator[tuple[int, Any]]:
    """Run each work in a sandbox of its own, `places` at a time; yield its number and what it sent, as they end.

    What was sent is the first message, the exception that came out of the work, None where it ended without either,
    or DeadlineExceeded after `deadline` seconds. Closing the iterator ends all of them.
    """
    waiting = deque(enumerate(works))
    running: dict[int, _Running] = {}
    poll = select.poll()
    try:
        while waiting or running:
            while waiting and sum(not each.told for each in running.values()) < places:
                number, work = waiting.popleft()
                started = _Running(number, work, deadline)
                running[started.child.fileno()] = started
                poll.register(started.child.fileno(), select.POLLIN)
            left = min(each.end for each in running.values()) - time.monotonic()
            for descriptor, _event in poll.poll(max(0.0, left) * 1000):
                one = running[descriptor]
                ended, message = one.read()
                if not one.told:
                    one.told = True
                    yield one.number, message
                if ended:
                    _forget(running, poll, descriptor)
            for descriptor in [fd for fd, each in running.items() if each.end <= time.monotonic()]:
                one = running[descriptor]
                _forget(running, poll, descriptor)
                if not one.told:
                    yield one.number, DeadlineExceeded(f"it took longer than its deadline of {deadline:g} s")
    finally:
        for each in running.values():
            each.close()


def _forget(running: dict[int, _Running], poll: select.poll, descriptor: int) -> None:
    poll.unregister(descriptor)
    running.pop(descriptor).close()

"""When each of many frames is due: at once, at a rate, or as it was recorded.

Every moment is counted from the beginning, so that what one frame is late by is not added to the next.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from pktlab.errors import LabError

LONGEST_SECONDS = 3600
_SLOWEST, _FASTEST = 0.001, 1e9
_CLOCK_MONOTONIC, _TIMER_ABSTIME = 1, 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class Schedule(Protocol):
    """Times in nanoseconds from the beginning on; frames are numbered from 0."""

    def moment(self, number: int) -> int:
        """Return when a frame is due."""

    def due(self, elapsed: int) -> int:
        """Return how many frames are due when so much time has gone by."""


class AtRate:
    """So many frames a second, the first at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def moment(self, number: int) -> int:
        """Return when a frame is due; rounded up, so that it is due then by `due` as well."""
        return int(number * 1e9 / self._rate) + 1 if number else 0

    def due(self, elapsed: int) -> int:
        """Return how many frames are due when so much time has gone by."""
        return int(elapsed * self._rate / 1e9) + 1


class AsRecorded:
    """The times of a capture file, which may be far from 0; over again from the last frame's time on."""

    def __init__(self, times: Sequence[int]) -> None:
        # A file that was merged of several may go back in time; a frame cannot.
        self._times = [time - times[0] for time in accumulate(times, max)]

    def moment(self, number: int) -> int:
        """Return when a frame is due."""
        rounds, place = divmod(number, len(self._times))
        return rounds * self._times[-1] + self._times[place]

    def due(self, elapsed: int) -> int:
        """Return how many frames are due when so much time has gone by."""
        span = self._times[-1]
        if not span:
            return sys.maxsize
        rounds, rest = divmod(elapsed, span)
        return rounds * len(self._times) + bisect_right(self._times, rest)


def planned(frames: int, *, rate: float | None = None, times: Sequence[int] = ()) -> Schedule | None:
    """Return the schedule for so many frames; none, which means at once, without a rate and times.

    Raises LabError if it contradicts itself, or would take longer than an hour.
    """
    if rate is not None and times:
        raise LabError("a rate and the file's own times contradict each other", remedy="give rate= or timing=True")
    if rate is not None:
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not _SLOWEST <= rate <= _FASTEST:
            raise LabError(
                f"rate {rate!r} is out of range", remedy=f"give frames a second, {_SLOWEST:g} to {_FASTEST:g}"
            )
        when: Schedule = AtRate(rate)
    elif times:
        when = AsRecorded(times)
    else:
        return None
    seconds = when.moment(frames - 1) / 1e9 if frames else 0.0
    if seconds > LONGEST_SECONDS:
        raise LabError(
            f"to send {frames} frames that slowly would take {seconds:,.0f} s",
            remedy=f"at most {LONGEST_SECONDS} s: give fewer frames, or a higher rate= instead of timing=True",
        )
    return when


def wait_until(moment: int) -> None:
    """Return at a time of the monotonic clock, in nanoseconds, or soon after a signal: clock_nanosleep(2)."""
    until = _Timespec(*divmod(moment, 1_000_000_000))
    code = _libc.clock_nanosleep(_CLOCK_MONOTONIC, _TIMER_ABSTIME, ctypes.byref(until), None)
    if code not in (0, errno.EINTR):
        raise OSError(code, os.strerror(code))


def now() -> int:
    """Return the time of the clock that `wait_until` goes by, in nanoseconds."""
    return time.clock_gettime_ns(_CLOCK_MONOTONIC)

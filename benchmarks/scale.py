"""How large the benchmarks are: the full ones, those of a minute, and those that only show that they still work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The sizes of every benchmark, how often each is run, and for how many seconds a contender may at most."""

    name: str
    rounds: int
    budget: float
    nodes: tuple[int, ...]
    rates: tuple[float | None, ...]
    most_frames: int
    many: tuple[int, int]
    injected: int
    queried: tuple[int, ...]


# Rates in frames a second; None is as fast as the sender can.
FULL = Scale(
    name="full",
    rounds=5,
    budget=120.0,
    nodes=(10, 100, 300, 1000),
    rates=(2_000, 5_000, 20_000, 50_000, 100_000, 200_000, 300_000, 500_000, None),
    most_frames=400_000,
    many=(100, 3),
    injected=1_000_000,
    queried=(10_000, 100_000, 1_000_000),
)
QUICK = Scale(
    name="quick",
    rounds=2,
    budget=1.5,
    nodes=(10, 50),
    rates=(5_000, 100_000, None),
    most_frames=50_000,
    many=(10, 3),
    injected=200_000,
    queried=(50_000,),
)
TINY = Scale(
    name="tiny",
    rounds=1,
    budget=10.0,
    nodes=(3,),
    rates=(5_000, None),
    most_frames=500,
    many=(4, 3),
    injected=2_000,
    queried=(1_000,),
)

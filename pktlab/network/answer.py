"""The answer to a ping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """True if every request was answered.

    `rtt` is the round-trip time of the last one in seconds, `ttl` that of the reply as it arrived, `source` who sent
    it. Otherwise `error` says in the kernel's words why there is no answer (empty: nothing came back, and nothing is on
    its way any more), `errno` is its number, and `icmp` is type and code of an ICMP error that came from `source`.
    """

    ok: bool
    rtt: float = 0.0
    ttl: int = 0
    source: str = ""
    error: str = ""
    errno: int = 0
    icmp: tuple[int, int] | None = None
    received: int = 0

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.ok:
            return f"answer from {self.source}, ttl {self.ttl}"
        return f"no answer: {self.error}" if self.error else "no answer"

    def __repr__(self) -> str:
        # What pytest shows of `assert net.ping(...)`.
        return f"<{self}>"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON data; without the time, which differs from run to run."""
        return {
            "ok": self.ok,
            "ttl": self.ttl,
            "source": self.source,
            "error": self.error,
            "icmp": list(self.icmp) if self.icmp else None,
        }

"""A guest: a process in the sandbox of a network that is up, for as long as a `with` block of the caller lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pktlab.kernel.sandbox import Child
from pktlab.standing.registry import Standing


class Guest(Child):
    """Runs `work(send)` in the sandbox of a network that is up, as `Child` runs it in a new one.

    In the work the code of `pktlab.kernel` does as it does in any sandbox: it begins in the sandbox's first network
    namespace, and the others have their names in /run/netns (`Netns.named`). It ends with the caller, and with the
    network. `messages()` raises PktlabError where that is not up any more.
    """

    def __init__(self, standing: Standing, work: Callable[[Callable[[Any], None]], None]) -> None:
        super().__init__(work)
        self._standing = standing

    def _enter(self) -> None:
        self._standing.join()

    def _arrive(self) -> None:
        """The mounts are there."""

"""How many descriptors this process may have: RLIMIT_NOFILE, getrlimit(2)."""

from __future__ import annotations

import resource

# A namespace takes up to five: itself, its sockets for capture and fence, a ring. Programs inherit the limit, and some
# close everything up to it when they start, so it is not made larger than that takes no time.
MOST = 1 << 16


def allow() -> None:
    """Raise the soft limit, which is 1,024 for most users, to the hard one; 65,536 suffices."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

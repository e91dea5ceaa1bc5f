"""The peers' side of the benchmarks: scripts run by the interpreter that has the peer, and shell scripts.

A script that makes a star prints ``begin TIME`` (monotonic clock) when its imports are done and ``up NAMESPACE...``
when the peer's own call has returned: the hub's namespace first (``-`` for the sandbox's own), then those of some
nodes, by name or process id. It tears down when it reads a line, and prints ``down SECONDS``.
"""

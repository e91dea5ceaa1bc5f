"""How fast pktlab is, beside its peers: ``python -m benchmarks``, or ``make bench`` and ``make bench-quick``."""

"""``timed.py PROGRAM...`` prints how long the program took, its peak memory in MB, and what it printed."""

import resource
import subprocess
import sys
import time

began = time.monotonic()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=True)
took = time.monotonic() - began
print(took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000)  # noqa: T201
print(done.stdout)  # noqa: T201

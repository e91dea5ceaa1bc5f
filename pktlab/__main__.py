"""``python -m pktlab`` is the command ``pktlab``."""

from pktlab.cli import main

if __name__ == "__main__":
    main()

"""The translator's command: which texts are missing or stale, and catalogues with every text in its place."""

from __future__ import annotations

import argparse
import sys

from pktlab.catalogue import LANGUAGES, SOURCE, files
from pktlab.errors import LabError


def main(arguments: list[str] | None = None) -> int:
    """Tell what is missing; with --update, write the catalogues first. Returns 1 if anything is missing or stale."""
    parser = argparse.ArgumentParser(prog="python -m pktlab.catalogue", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="pktlab, course, a lab, or claims/TOPIC; default: all")
    parser.add_argument("--update", action="store_true", help="write the catalogues; what is translated stays")
    parser.add_argument("--lang", action="append", choices=[each for each in LANGUAGES if each != SOURCE])
    chosen = parser.parse_args(arguments)
    known = {domain.name: domain for domain in files.domains()}
    if unknown := [name for name in chosen.names if name not in known]:
        parser.error(f"no catalogue is called {unknown[0]}: choose from {', '.join(known)}")
    wrong = 0
    try:
        for language in chosen.lang or LANGUAGES[1:]:
            for name in chosen.names or known:
                if chosen.update:
                    files.write(known[name], language)
                for fault in files.faults(known[name], language):
                    wrong += 1
                    sys.stdout.write(f"{language}/{name}: {fault}\n")
    except LabError as error:
        sys.stderr.write(f"{error}\n{error.remedy}\n")
        return 2
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

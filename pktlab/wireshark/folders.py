"""Wireshark's folders and preferences, as it tells them itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from pktlab.errors import MachineError

PERSONAL, CONFIGURATION = "Personal Extcap path", "Personal configuration"
# As versions without a personal folder call it; and those with one.
GLOBAL, BESIDE = "Extcap path", "Global Extcap path"
# Where Wireshark looks from 4.2 on.
_HOME = ".local/lib/wireshark/extcap"


def told() -> dict[str, Path]:
    """Return the folders by the names that ``tshark -G folders`` gives them.

    Raises MachineError where there is neither tshark nor Wireshark.
    """
    found: dict[str, Path] = {}
    for line in _ask("folders").splitlines():
        name, _, path = line.partition(":")
        if path.strip().startswith("/"):
            found.setdefault(name.strip(), Path(path.strip()))
    return found


def known_preferences() -> set[str]:
    """Return the names of all preferences that this version has. Raises MachineError as `told` does."""
    return {line.lstrip("#").partition(":")[0] for line in _ask("currentprefs").splitlines() if ": " in line}


def extcap(folders: dict[str, Path]) -> tuple[Path, bool]:
    """Return the folder for an extcap, and whether Wireshark looks there by itself.

    The personal one where this version has one, that is from 4.2 on. Older ones only look in one folder, the system's
    or that of WIRESHARK_EXTCAP_DIR (which they ignore for root); where that cannot be written to, it is the folder of
    newer ones, and has to be named in that variable.
    """
    if PERSONAL in folders:
        return folders[PERSONAL], True
    if GLOBAL in folders and os.access(folders[GLOBAL], os.W_OK):
        return folders[GLOBAL], True
    return Path.home() / _HOME, False


def places(folders: dict[str, Path]) -> list[Path]:
    """Return every folder in which an extcap may have been installed."""
    return list(
        dict.fromkeys([*(folders[each] for each in (PERSONAL, GLOBAL) if each in folders), Path.home() / _HOME])
    )


def _ask(what: str) -> str:
    program = shutil.which("tshark") or shutil.which("wireshark")
    if program is None:
        raise MachineError("neither tshark nor wireshark is installed", remedy="apt-get install tshark, or wireshark")
    try:
        done = subprocess.run([program, "-G", what], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{program} -G {what}: {error}", remedy="see whether it runs by itself") from None
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise MachineError(f"{program} -G {what} failed: {said}", remedy="see whether it runs by itself")
    return done.stdout

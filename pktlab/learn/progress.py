"""What a learner has done, kept from one day to the next: $XDG_STATE_HOME/pktlab/learn.json.

See the XDG Base Directory Specification: state that should persist, but is not worth a place among the user's files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pktlab.errors import PktlabError

VERSION = 1


def place(environ: Mapping[str, str] | None = None) -> Path:
    """Return where the progress is kept; a relative XDG_STATE_HOME counts as none, as the specification has it."""
    environ = os.environ if environ is None else environ
    state = Path(environ.get("XDG_STATE_HOME", ""))
    home = state if state.is_absolute() else Path.home() / ".local" / "state"
    return home / "pktlab" / "learn.json"


class Progress:
    """The predictions that came true, of how many, by lab and act. Raises PktlabError for a file that is none."""

    def __init__(self, file: Path | None = None) -> None:
        self.file = file or place()
        self._labs: dict[str, dict[str, list[int]]] = {}
        try:
            data = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return
        except OSError as error:
            raise PktlabError(
                f"cannot read {self.file}: {error.strerror}", remedy="check its permissions, or set XDG_STATE_HOME"
            ) from None
        except ValueError:
            data = None
        if not _is_progress(data):
            raise PktlabError(f"{self.file} is not pktlab's", remedy="`pktlab learn --reset` begins anew")
        self._labs = data["labs"]

    def acts(self, lab: str) -> dict[str, tuple[int, int]]:
        """Return by act how many predictions came true, and of how many."""
        return {act: (right, asked) for act, (right, asked) in self._labs.get(lab, {}).items()}

    def record(self, lab: str, act: str, right: int, asked: int) -> None:
        """Keep what an act came to, in place of what it came to before. Raises PktlabError if it cannot be written."""
        self._labs.setdefault(lab, {})[act] = [right, asked]
        self._write()

    def _write(self) -> None:
        partial = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"version": VERSION, "labs": self._labs}, indent=1) + "\n", "utf-8")
            partial.replace(self.file)
        except OSError as error:
            raise PktlabError(
                f"cannot write {self.file}: {error.strerror}", remedy="set XDG_STATE_HOME to a folder of yours"
            ) from None

    def reset(self, lab: str) -> None:
        """Forget a lab."""
        if self._labs.pop(lab, None) is not None:
            self._write()


def reset(file: Path | None = None) -> None:
    """Forget everything, whatever is in the file. Raises PktlabError if it cannot be taken away."""
    file = file or place()
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise PktlabError(f"cannot remove {file}: {error.strerror}", remedy="check its permissions") from None


def _is_progress(data: Any) -> bool:
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("labs"), dict):
        return False
    pairs = [pair for acts in data["labs"].values() for pair in (acts.values() if isinstance(acts, dict) else [None])]
    return all(isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, int) for n in pair) for pair in pairs)

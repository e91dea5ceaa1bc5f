"""What is put into Wireshark's folders, and taken out again: files that say that they are ours, and nothing else."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from pktlab.errors import PktlabError
from pktlab.wireshark import extcap, folders, profile

_MARK_END, _MADE = "takes it away.", "# made: "


def install(target: Path) -> Path:
    """Write the extcap script into a folder, which is made if need be; return the script's path.

    Raises PktlabError where the folder cannot be written to, or another file has the name.
    """
    path = target / extcap.NAME
    _ours(path, extcap.MARK)
    _write(path, extcap.script(), 0o755)
    return path


def write_profile(configuration: Path, known: Iterable[str], *, force: bool = False) -> Path:
    """Write the profile; return its folder.

    Raises PktlabError where it cannot be written, or has been changed since and `force` does not allow to lose that.
    """
    target = profile.folder(configuration)
    files = profile.files(set(known))
    if not force:
        for name in files:
            _ours(target / name, profile.MARK)
    for name, text in files.items():
        _write(target / name, text, 0o644)
    return target


def uninstall(told: dict[str, Path], *others: Path) -> tuple[list[Path], list[Path], list[tuple[Path, str]]]:
    """Take away what was installed, in Wireshark's folders and in others; return which files were taken, which were
    left since they have been changed, and which are another user's, with his name.

    Raises PktlabError for a file that is one's own and cannot be removed, after all others have been.
    """
    gone: list[Path] = []
    left: list[Path] = []
    kept: list[tuple[Path, str]] = []
    faults: list[PktlabError] = []

    def take(path: Path) -> None:
        try:
            _remove(path)
            gone.append(path)
        except PktlabError as error:
            uid = path.stat().st_uid
            if uid == os.geteuid():
                faults.append(error)
            else:
                kept.append((path, _user(uid)))

    for place in dict.fromkeys([*others, *folders.places(told)]):
        path = place / extcap.NAME
        if _has(path, extcap.MARK):
            take(path)
    target = profile.folder(told[folders.CONFIGURATION]) if folders.CONFIGURATION in told else None
    if target is not None:
        for name in reversed(profile.files()):  # the first one knows which folders were made for all
            if _has(target / name, profile.MARK):
                take(target / name)
            elif (target / name).exists():
                left.append(target / name)
    if faults:
        raise faults[0]
    return gone, left, kept


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _made(path: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        return [Path(line.removeprefix(_MADE)) for line in lines if line.startswith(f"{_MADE}/")]
    return []


def _has(path: Path, mark: str) -> bool:
    try:
        return mark in path.read_text(encoding="utf-8", errors="replace").splitlines()[:2]
    except OSError:
        return False


def _ours(path: Path, mark: str) -> None:
    if path.exists() and not _has(path, mark):
        raise PktlabError(
            f"{path} is there, and pktlab did not write it",
            remedy="move it away" if mark == extcap.MARK else "move it away, or say --force to replace it",
        )


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that remembers behind its mark which folders were made for it."""
    made = [each for each in path.parents if not each.exists()]
    made += [each for each in _made(path) if each not in made]
    head, _, rest = text.partition(f"{_MARK_END}\n")
    whole = head + _MARK_END + "\n" + "".join(f"{_MADE}{each}\n" for each in made) + rest
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(whole, encoding="utf-8")
        partial.chmod(mode)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise PktlabError(f"cannot write {path}: {error.strerror}", remedy="see who may write there") from None


def _remove(path: Path) -> None:
    made = _made(path)
    try:
        path.unlink()
    except OSError as error:
        raise PktlabError(f"cannot remove {path}: {error.strerror}", remedy="see who may write there") from None
    for each in sorted(made, key=lambda folder: len(folder.parts), reverse=True):
        with contextlib.suppress(OSError):  # something else is in it
            each.rmdir()

"""The README is true: its lab passes, its commands work, its picture is what comes out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent

# The two that install: .ci/run calls them as they stand.
INSTALLING = ("make labs", "make test")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def commands(block: str) -> list[str]:
    lines = [line.split("#")[0].strip() for line in block.splitlines()]
    return [line for line in lines if line]


# What follows one another: a network is up from its first line to its last.
SESSIONS = [commands(block) for block in blocks("sh") if "pktlab up " in block or "pktlab wireshark " in block]
SINGLE = [line for block in blocks("sh") for line in commands(block) if all(line not in each for each in SESSIONS)]


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "100",
        # What a command keeps for its user stays in the test's folder.
        "HOME": str(folder),
        **{f"XDG_{what}_HOME": str(folder / what.lower()) for what in ("STATE", "CONFIG", "DATA")},
    }
    return subprocess.run(
        shlex.split(command) if "|" not in command else ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with the README's lab, and the labs beside it for `pytest labs/`."""
    place = tmp_path_factory.mktemp("readme")
    (place / "bridge_answers.py").write_text(blocks("python")[0])
    (place / "labs").symlink_to(ROOT / "labs")
    # A copy: runs write there.
    for lab in re.findall(r"captures/([a-z_]+)", "\n".join(blocks("sh"))):
        shutil.copytree(ROOT / "captures" / lab, place / "captures" / lab, dirs_exist_ok=True)
    return place


def test_the_lab_is_forty_lines() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 40


@pytest.mark.parametrize("command", [command for command in SINGLE if command not in INSTALLING])
def test_command(command: str, folder: Path) -> None:
    words = command.replace("/tmp/", f"{folder}/elsewhere/")
    done = run(words.replace("pytest labs/", "pytest -p no:cacheprovider labs/"), folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session[0])
def test_session(session: list[str], folder: Path) -> None:
    for command in session:
        done = run(command, folder)
        assert done.returncode == 0, (command, done.stdout[-3000:] + done.stderr)
        assert "Traceback" not in done.stderr


def test_the_drawing_is_current(folder: Path) -> None:
    (name,) = re.findall(r"docs/pictures/(\w+)\.svg", README)
    assert run(f"pktlab graph {name} --format svg", folder).stdout == (ROOT / f"docs/pictures/{name}.svg").read_text()


@pytest.mark.parametrize("command", INSTALLING)
def test_installing_commands_are_run_by_ci(command: str) -> None:
    assert command in SINGLE
    assert re.search(rf"^{command}\b", (ROOT / ".ci" / "run").read_text(), re.M)
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize(("command", "output"), re.findall(r"<!-- output: (.*?) -->\n```text\n(.*?)```", README, re.S))
def test_the_pictures_are_real_output(command: str, output: str, folder: Path) -> None:
    done = run(command, folder)
    assert done.returncode == 0

    def stable(text: str) -> list[str]:
        return [re.sub(r"\d+\.\d+ s", "# s", line).rstrip() for line in text.strip().splitlines()]

    assert stable(done.stdout) == stable(output)


def test_the_map_names_what_there_is() -> None:
    for name in re.findall(r"^\| `(.*?)` \|", README, re.M):
        for each in re.split(r"`, `", name):
            path = ROOT / each if "/" in each else ROOT / "pktlab" / each
            assert path.exists(), each

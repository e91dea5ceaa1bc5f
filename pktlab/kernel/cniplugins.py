"""CNI plugins as programs: where they are found, and a chain of them run in a namespace by the protocol.

What a runtime must remember of an ADD, and the leases of host-local, are kept below /run of the sandbox, so they go
with it and are no other's. That holds for every dataDir that a configuration names (`Chain.request`), and whatever a
plugin keeps in /var/lib/cni untold: a folder of the sandbox covers it. Plugins that translate addresses need iptables.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pktlab.cni import Chain, Container, Result, invocations
from pktlab.cni.result import answer
from pktlab.errors import LabError, MachineError
from pktlab.kernel import process, program
from pktlab.kernel.libc import MS_BIND, MS_REC, mount

# Where runtimes, Debian and Fedora have them.
FOLDERS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
PACKAGE = "containernetworking-plugins"
STATE = Path("/run/pktlab/cni")
# What plugins keep untold, such as host-local as the delegate of a delegate.
DISK = Path("/var/lib/cni")
TIMEOUT = 20.0
# include/uapi/linux/limits.h
NAME_MAX = 255
# PROC_PID_INIT_INO of include/linux/proc_ns.h: a sandbox is in another.
FIRST_PID_NAMESPACE = 0xEFFFFFFC


class Here:
    """The network namespace of this process, for a command that an act has started.

    Raises LabError if this is no namespace of a lab: plugins never run on the machine's own network.
    """

    def __init__(self) -> None:
        here, names = os.stat("/proc/thread-self/ns/net"), Path("/run/netns")
        found = names.iterdir() if names.is_dir() and os.stat("/proc/self/ns/pid").st_ino != FIRST_PID_NAMESPACE else ()
        self.name = next((file.name for file in found if os.path.samestat(file.stat(), here)), "")
        if not self.name:
            raise LabError("--netns outside a lab", remedy="leave it out: then a sandbox is made for the plugins")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be where one is."""
        yield


def plugin_path(path: str = "") -> str:
    """Return the folders with plugins, with colons between: `path`, else CNI_PATH, else the usual ones."""
    return path or os.environ.get("CNI_PATH", "") or os.pathsep.join(FOLDERS)


def find(name: str, path: str) -> str:
    """Return the path of a plugin's executable. Raises MachineError if no folder of `path` has it."""
    for folder in path.split(os.pathsep):
        found = os.path.join(os.path.abspath(folder), name) if folder else ""
        if found and os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    raise MachineError(
        f"there is no CNI plugin {name!r} in {path}",
        remedy=f"apt-get install {PACKAGE}; your own: name its folder in path= or CNI_PATH",
    )


def _unfit(executable: str, error: OSError) -> LabError:
    """Why a file that is there and may be executed is no program all the same (execve(2))."""
    if error.errno == errno.ENOEXEC:
        return LabError(
            f"{executable} is no program that this machine can run",
            remedy="build it for this machine's processor; a script begins with #! and its interpreter",
        )
    if error.errno == errno.ENOENT:
        with open(executable, "rb") as file:
            first = file.readline(NAME_MAX).decode(errors="replace").strip()
        missing = first.removeprefix("#!").strip() if first.startswith("#!") else "the loader that it was linked for"
        return LabError(
            f"{executable} cannot be run: {missing} is not there",
            remedy="correct its first line, or link it statically",
        )
    return LabError(f"{executable} cannot be run: {error.strerror}", remedy="execve(2) says what may be wrong with it")


def cover(folder: Path, by: Path, path: str = "") -> None:
    """Lay the folder `by` over one of the machine's, in this mount namespace, which must be a sandbox's own.

    Folders of `path` below it are seen as before. One that is not there is made without touching the machine: its
    parent is covered, and what is in there is shown again. Raises OSError where the kernel refuses (mount(2)).
    """
    if folder.is_dir() and by.is_dir() and os.path.samefile(folder, by):
        return
    by.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        if not folder.parent.is_dir():
            return
        shadow = by.with_name(f"{by.name}-parent")
        _lay(shadow, folder.parent, [name for name in os.listdir(folder.parent) if name != folder.name])
        (shadow / folder.name).mkdir(exist_ok=True)
    below = f"{folder}/"
    used = (os.path.abspath(each) for each in path.split(os.pathsep) if each)
    _lay(by, folder, {each.removeprefix(below).split("/")[0] for each in used if each.startswith(below)})


def _lay(by: Path, folder: Path, kept: Iterable[str]) -> None:
    """Bind `by` over `folder`, and the names `kept` of that into it."""
    by.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        opened: dict[Path, int] = {}
        for name in kept:
            old, new = folder / name, by / name
            if old.is_symlink():
                if not new.is_symlink():
                    new.symlink_to(os.readlink(old))
            elif old.exists():
                opened[old] = os.open(old, os.O_PATH | os.O_CLOEXEC)
                stack.callback(os.close, opened[old])
                new.mkdir(exist_ok=True) if old.is_dir() else new.touch()
        mount(str(by), str(folder), flags=MS_BIND)
        for old, fd in opened.items():
            mount(f"/proc/self/fd/{fd}", str(old), flags=MS_BIND | MS_REC)


class Runtime:
    """The runtime of one host for one network: runs the plugins of a chain in the host's namespace."""

    def __init__(self, place: process.Place, chain: Chain, *, path: str = "") -> None:
        self.chain = chain
        self._place = place
        self._path = plugin_path(path)
        self._state = STATE / place.name
        if os.stat("/proc/self/ns/pid").st_ino != FIRST_PID_NAMESPACE:
            cover(DISK, STATE / ".disk", self._path)
        for plugin in chain.plugins:
            find(plugin.type, self._path)
            if plugin.ipam:
                find(plugin.ipam, self._path)

    def run(self, command: str, container: Container) -> Result | None:
        """Run ADD, CHECK or DEL; return the result of ADD. Raises CniError for the first plugin that fails.

        CHECK and DEL get the arguments and capabilities of the ADD, unless they are given others.
        An ADD that fails leaves what plugins before it have made: as a runtime does, follow with a DEL.
        """
        kept = self._kept(container)
        result = None
        if command == "ADD":
            # Before anything can fail: the DEL that follows is told the same. But a second ADD, which is to fail, must
            # not take from DEL the result of the first, which stands: libcni keeps results of success only.
            if not (kept.exists() and self._remembered(kept, container)[0]):
                self._remember(kept, container, None)
        elif kept.exists():
            result, container = self._remembered(kept, container)
        steps = invocations(self.chain, command, container, result=result, state=str(self._state / "networks"))
        last: Result | None = None
        step = next(steps, None)
        while step is not None:
            last = self._invoke(step.plugin.type, command, container, step.stdin)
            try:
                step = steps.send(last)
            except StopIteration:
                break
        if command == "ADD" and last is not None:
            self._remember(kept, container, last)
        elif command == "DEL":
            kept.unlink(missing_ok=True)
        return last

    def leases(self) -> dict[str, str]:
        """Return what host-local has given to whom: address to the container's id (its files below dataDir)."""
        folders = [Path(each) / self.chain.name for each in self.chain.folders(str(self._state / "networks"))]
        # Besides "lock" and "last_reserved_ip.0"; an IPv6 address may begin with a letter.
        files = [
            file
            for folder in folders
            if folder.is_dir()
            for file in folder.iterdir()
            if file.name[:1] not in ("l", ".")
        ]
        return {
            file.name: file.read_text().splitlines()[0].strip() for file in sorted(files, key=lambda each: each.name)
        }

    def _invoke(self, plugin: str, command: str, container: Container, stdin: dict[str, object]) -> Result | None:
        executable = find(plugin, self._path)
        env = program.environment() | container.environment(command, self._path)
        try:
            done = process.run(self._place, [executable], input=json.dumps(stdin), timeout=TIMEOUT, env=env)
        except OSError as error:
            raise _unfit(executable, error) from None
        return answer(plugin, command, done.returncode, done.stdout, done.stderr)

    def _kept(self, container: Container) -> Path:
        name = f"{self.chain.name}-{container.id}-{container.ifname}"
        if len(os.fsencode(name)) > NAME_MAX:
            raise LabError(
                f"the names of network, container and interface have {len(name)} letters, over {NAME_MAX}",
                remedy="give the container a shorter id, or the network a shorter name: runtimes make a file of them",
            )
        return self._state / "results" / name

    def _remember(self, kept: Path, container: Container, result: Result | None) -> None:
        memory = {"args": dict(container.args), "capabilities": dict(container.capabilities)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(memory | ({"result": dict(result.raw)} if result else {})))

    def _remembered(self, kept: Path, container: Container) -> tuple[Result | None, Container]:
        """Return the result of the ADD, and the container with what was said of it then, where it is not said again."""
        try:
            memory = json.loads(kept.read_text())
            result = Result.parse(memory["result"]) if "result" in memory else None
            said = {key: getattr(container, key) or memory[key] for key in ("args", "capabilities")}
        except (KeyError, TypeError, ValueError) as error:
            raise LabError(f"{kept} is no memory of an ADD: {error}", remedy="remove the file") from None
        return result, dataclasses.replace(container, **said)

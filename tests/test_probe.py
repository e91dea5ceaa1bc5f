"""What `probe` finds is what is there, and what is missing comes with its remedy."""

from __future__ import annotations

import importlib.metadata
import os
import re
import stat
from pathlib import Path

import pytest

from pktlab.errors import MachineError, SandboxError
from pktlab.kernel import libc, probe, sandbox
from pktlab.kernel.program import PACKAGES, program


def by_name() -> dict[str, probe.Capability]:
    return {capability.name: capability for capability in probe.probe()}


@pytest.fixture(scope="module")
def found() -> dict[str, probe.Capability]:
    return by_name()


def test_everything_is_asked_for(found: dict[str, probe.Capability]) -> None:
    kernel = ["namespaces", "veth", "bridge", "vxlan", "macvlan", "tap", "nat", "connection tracking"]
    assert list(found)[:8] == kernel
    # What `make labs` installs for the labs, each by a program of it.
    makefile = (Path(probe.__file__).parents[2] / "Makefile").read_text()
    packages = re.search(r"^LAB_PACKAGES := (.*)", makefile, re.M)[1].split()  # type: ignore[index]
    known = {PACKAGES[name] for name in found if name in PACKAGES} | {"containernetworking-plugins"}
    assert "CNI plugins" in found
    assert set(packages) <= known


def test_kernel_of_the_build_machine(found: dict[str, probe.Capability]) -> None:
    """No lab runs without the first two, and FACTS.md has the others in the kernel that this is developed on."""
    for name in ("namespaces", "veth", "bridge", "vxlan", "macvlan"):
        assert found[name].available, found[name]
    whose = "as root" if os.geteuid() == 0 else "as an ordinary user"
    assert whose in found["namespaces"].detail


def test_what_is_missing_has_a_remedy(found: dict[str, probe.Capability]) -> None:
    for capability in found.values():
        assert capability.detail
        assert capability.available == (not capability.remedy), capability


def test_library_versions(found: dict[str, probe.Capability]) -> None:
    assert found["scapy"].detail == importlib.metadata.version("scapy")


def test_link_kind_that_no_kernel_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(probe._LINKS, "nosuch", "CONFIG_NOSUCH")
    missing = by_name()["nosuch"]
    assert not missing.available
    assert "CONFIG_NOSUCH" in missing.remedy


def test_links_do_not_need_ip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("pktlab.kernel.program._SYSTEM_PATH", [])
    found = by_name()
    assert found["veth"].available
    assert found["macvlan"].available
    assert found["ip"] == probe.Capability("ip", False, "ip is not installed", "apt-get install iproute2")
    assert not found["nat"].available
    assert not found["connection tracking"].available


def test_tap_without_a_device() -> None:
    def without() -> probe.Capability:
        Path("/run/dev").mkdir()
        libc.mount("/run/dev", "/dev", flags=libc.MS_BIND)
        return probe._tap()

    missing = sandbox.call(without)
    assert not missing.available
    assert "modprobe tun" in missing.remedy


@pytest.mark.skipif(
    os.geteuid() == 0 or not os.path.exists("/dev/net/tun") or bool(os.stat("/dev/net/tun").st_mode & stat.S_IROTH),
    reason="needs an ordinary user and a /dev/net/tun that is not open to him",
)
def test_tap_as_an_ordinary_user(found: dict[str, probe.Capability]) -> None:
    assert found["tap"].remedy == "sudo chmod 0666 /dev/net/tun"


def test_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise SandboxError("forbidden here", remedy="allow it")

    monkeypatch.setattr(sandbox, "call", refuse)
    found = by_name()
    assert found["namespaces"] == probe.Capability("namespaces", False, "forbidden here", "allow it")
    assert not found["veth"].available
    assert found["pytest"].available


def test_program_is_found_where_root_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "bird"
    tool.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("pktlab.kernel.program._SYSTEM_PATH", [str(tmp_path)])
    assert program("bird") == str(tool)


def test_program_that_is_missing_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("pktlab.kernel.program._SYSTEM_PATH", [])
    for name, package in PACKAGES.items():
        with pytest.raises(MachineError, match=f"{name} is not installed") as caught:
            program(name)
        assert caught.value.remedy == f"apt-get install {package}"

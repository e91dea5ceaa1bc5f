"""The pytest plugin: the `net` fixture, each act in a sandbox of its own, and what a failed path looks like.

A test that uses `net` runs in a forked child that is pid 1 of its own namespaces (`pktlab.kernel.sandbox`); its
reports come back through a pipe. All other tests of a project run where they always did.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path as File
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

from pktlab.errors import DeadlineExceeded, LabError, SandboxError
from pktlab.kernel import sandbox
from pktlab.outcome import PROPERTY, Run, is_path, path_report

if TYPE_CHECKING:
    from pktlab.network import Network
    from pktlab.network.attaching import Plugins
    from pktlab.topology import Topology

RUN: pytest.StashKey[Run] = pytest.StashKey()
# What to make of the declared topology before it is brought up; no capture is written then.
CHANGE: pytest.StashKey[Callable[[Topology], Topology]] = pytest.StashKey()
# What goes on beside the act while its network is up, such as a live stream of its frames; entered in the sandbox.
BESIDE: pytest.StashKey[Callable[[Network], contextlib.AbstractContextManager[object]]] = pytest.StashKey()
# Set in a sandbox that was made for the act elsewhere: where its reports go.
SEND: pytest.StashKey[Callable[[Any], None]] = pytest.StashKey()
DEADLINE = 60.0
_TEMPORARY = frozenset({"tmp_path", "tmp_path_factory", "tmpdir", "tmpdir_factory"})


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("pktlab")
    group.addoption(
        "--pktlab-captures",
        metavar="DIR",
        help="write what each act captured to DIR/LAB/ACT.pcapng (without it, only failed acts are kept, in pytest's "
        "temporary folder)",
    )
    group.addoption(
        "--pktlab-markers",
        action="store_true",
        help="leave pktlab's own marker frames, which prove the capture complete, in the pcapng files",
    )
    group.addoption(
        "--pktlab-without",
        metavar="SETTING",
        action="append",
        default=[],
        help="build the topology without one declared setting, in the words of `pktlab show`; may be repeated",
    )
    group.addoption(
        "--pktlab-deadline",
        metavar="SECONDS",
        type=float,
        default=DEADLINE,
        help=f"end an act that takes longer than this (default {DEADLINE:g})",
    )


def pytest_collect_file(file_path: File, parent: pytest.Collector) -> pytest.Module | None:
    """Collect labs as they are: a Python file that declares a topology needs no test_ in its name."""
    if file_path.suffix != ".py" or parent.session.isinitpath(file_path):
        return None
    if any(file_path.match(pattern) for pattern in parent.config.getini("python_files")):
        return None
    try:
        text = file_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not re.search(r"^(from|import) pktlab\b", text, re.M) or not re.search(r"^topology\b", text, re.M):
        return None
    pytest.register_assert_rewrite(file_path.stem)
    module: pytest.Module = pytest.Module.from_parent(parent, path=file_path)
    return module


def pytest_pycollect_makemodule(module_path: File, parent: pytest.Collector) -> None:
    """Before a module is imported that imports Scapy: keep Scapy from reading the machine's own routes."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if "pktlab" in module_path.read_text(encoding="utf-8"):
            import pktlab.frames.scapy_config  # noqa: F401


@pytest.fixture
def topology(request: pytest.FixtureRequest) -> Any:
    """The module's own `topology`; a fixture of that name in a project, parametrized or not, stands in its place."""
    found = getattr(request.module, "topology", None)
    if found is None:
        raise LabError(
            f"{request.path.name} declares no topology", remedy="write `topology = Topology()` at the top of the file"
        )
    return found


@pytest.fixture
def net(request: pytest.FixtureRequest, topology: Any) -> Iterator[Network]:
    """The `topology`, up and fresh for this test, in a sandbox of its own."""
    from pktlab.network import Network
    from pktlab.topology import Topology

    if not isinstance(topology, Topology):
        raise LabError(f"topology is {topology!r}", remedy="it must be a pktlab.Topology")
    run = request.node.stash.get(RUN, None)
    if run is None:
        raise LabError("net was asked for while the test ran", remedy="write it as an argument, as in def test(net)")
    topology.freeze()
    reduced = topology.without(without) if (without := request.config.getoption("pktlab_without")) else topology
    if (change := request.node.stash.get(CHANGE, None)) is not None:
        reduced = change(reduced)
    beside = request.node.stash.get(BESIDE, contextlib.nullcontext)
    with run.skips(), Network(reduced) as network, beside(network):
        run.network = network
        yield network
        # For tests that are no plain functions (unittest), and for what fixtures sent after the test.
        run.close()


@pytest.fixture
def cni(net: Network) -> Callable[..., Plugins]:
    """CNI plugins in the network of this test: ``cni(host, conf, path="./bin").add(pod)``; see `net.cni()`."""
    return net.cni


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    run = pyfuncitem.stash.get(RUN, None)
    if run is None or run.network is None:
        return (yield)
    with run.skips(), run.concluding():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if (send := item.stash.get(SEND, None)) is not None:
        work_of(item)(send)
        return True
    if "net" not in getattr(item, "fixturenames", ()):
        return None
    try:
        sandbox.available()
    except SandboxError as error:
        item.add_marker(pytest.mark.skip(reason=str(error)))
        return None
    prepare(item)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _in_sandbox(item):
        item.ihook.pytest_runtest_logreport(report=report)
    # What tests before this one had set up here, and the next one does not need.
    state = item.session._setupstate
    ended = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
    if ended.excinfo is not None:
        item.ihook.pytest_runtest_logreport(report=pytest.TestReport.from_item_and_call(item, ended))
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def prepare(item: pytest.Item) -> None:
    """Do once, in the parent, what each child would otherwise have to do again."""
    import pktlab.network  # noqa: F401
    from pktlab.frames import dissect
    from pktlab.kernel import plan

    dissect.load()
    plan.rehearse()
    if not item.config.getoption("pktlab_captures") or _TEMPORARY.intersection(getattr(item, "fixturenames", ())):
        # A folder for each child would have pytest remove the oldest, with captures in it.
        _temporary(item).getbasetemp()


class _Reports:
    """Hears, in the child, what would go to the terminal or to xdist's controller: that is the parent's to tell."""

    def __init__(self, item: pytest.Item) -> None:
        self.all: list[pytest.TestReport] = []
        caller = item.config.hook.pytest_runtest_logreport
        for other in caller.get_hookimpls():
            caller._remove_plugin(other.plugin)
        item.config.pluginmanager.register(self)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report, of a phase or of a subtest."""
        self.all.append(report)


class _Kept:
    """Stands for the next test: the fixtures that the parent process had set up before stay set up."""

    def __init__(self, nodes: list[Any]) -> None:
        self._nodes = nodes

    def listchain(self) -> list[Any]:
        return self._nodes


def work_of(item: pytest.Item) -> Callable[[Callable[[Any], None]], None]:
    """Return what runs the act in its sandbox and sends its reports, all at once, as pytest serializes them."""
    hook = item.config.hook

    def work(send: Callable[[Any], None]) -> None:
        began = time.monotonic()
        run = item.stash[RUN] = Run(item, _capture_file(item), writes=CHANGE not in item.stash)
        # Only in this process: the explanation of a failed path must not be cut short.
        item.config.option.verbose = max(2, item.config.option.verbose)
        kept: Any = _Kept(list(item.session._setupstate.stack))
        reports = _Reports(item)
        phases = runtestprotocol(item, log=True, nextitem=kept)
        run.finish(phases, reports.all, time.monotonic() - began)
        send([hook.pytest_report_to_serializable(config=item.config, report=report) for report in reports.all])

    return work


def _in_sandbox(item: pytest.Item) -> list[pytest.TestReport]:
    hook = item.config.hook
    deadline: float | None = item.config.getoption("pktlab_deadline")
    if item.config.getoption("usepdb", False) or item.config.getoption("trace", False):
        deadline = None
    began = time.monotonic()
    try:
        with sandbox.Child(work_of(item)) as child:
            received = list(child.messages(deadline))
            status = child.wait()
        if received:
            return [hook.pytest_report_from_serializable(config=item.config, data=data) for data in received[0]]
        text = f"the act's process ended without a report, with status {status}"
    except DeadlineExceeded:
        text = f"the act was ended: it took longer than its deadline of {deadline:g} s"
    return [_lost(item, text, time.monotonic() - began)]


def _lost(item: pytest.Item, text: str, seconds: float) -> pytest.TestReport:
    """The report of an act whose process did not live to tell."""
    run = Run(item, lambda: File())
    run.record.status, run.record.reason, run.record.seconds = "failed", text, seconds
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=text,
        when="call",
        user_properties=[(PROPERTY, run.record.as_json())],
        duration=seconds,
    )


def _capture_file(item: pytest.Item) -> Callable[[], File]:
    """Return what names the pcapng of an act: below the folder asked for, or pytest's temporary one."""
    name = item.nodeid.partition("::")[2]
    plain = ".".join(re.findall(r"[A-Za-z0-9_=-]+", re.sub(r"(^|::)test_", r"\1", name)))
    if re.search(r"[^A-Za-z0-9_=:\[\]-]", name):
        # What cannot stand in a file name, or would mean something there, was left out: two acts may differ by it.
        plain += "." + hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
    folder = item.config.getoption("pktlab_captures")
    if folder:
        return lambda: File(folder, item.path.stem, f"{plain[-200:]}.pcapng")

    return lambda: _temporary(item).mktemp("pktlab") / f"{item.path.stem}.{plain[-200:]}.pcapng"


def _temporary(item: pytest.Item) -> pytest.TempPathFactory:
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    return factory


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Explain a path that is not the expected one: first differing hop, frames, interfaces, file."""
    if op != "==":
        return None
    for seen, expected in ((left, right), (right, left)):
        if is_path(seen) and isinstance(expected, list):
            return path_report(seen, expected)
    return None


def pytest_report_header(config: pytest.Config) -> str | None:
    folder = config.getoption("pktlab_captures")
    return f"pktlab: captures in {os.path.abspath(folder)}" if folder else None

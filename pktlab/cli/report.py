"""`pktlab report`: runs labs and writes what happened as pages that one can send."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pktlab import catalogue, labfile
from pktlab.cli.arguments import Labs
from pktlab.cli.run import choose, conclude, perform
from pktlab.cli.screen import Progress, Screen
from pktlab.cli.status import FAILED, interrupted
from pktlab.errors import LabError, PktlabError
from pktlab.transcript import Span

if TYPE_CHECKING:
    from pktlab.act import ActRecord
    from pktlab.claims import Claim
    from pktlab.html.page import ActPage, LabPage, Made
    from pktlab.report import LabResult
    from pktlab.topology import Topology
    from pktlab.verdict import Verdict

# Bytes. A page with a capture of this size in it can still be sent by mail; a larger one lies beside the page.
_EMBEDDED = 1 << 20
_LOG = 50_000  # characters


def report(
    labs: Labs = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the pages go.")] = Path("report"),
    every: Annotated[bool, typer.Option("--all", help="Run every lab that ships with pktlab.")] = False,
    keyword: Annotated[
        str, typer.Option("-k", metavar="EXPR", help="Run only acts and labs whose names match, as in pytest.")
    ] = "",
    jobs: Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Run N acts at a time.")] = 1,
    lang: Annotated[
        str, typer.Option("--lang", metavar="LANG", help="en or zh; else PKTLAB_LANG or the locale decides.")
    ] = "",
) -> int:
    """Run labs and write one HTML page for each, and for several an index with the labs and the claims.

    A page needs no network and no other file: its story, the topology, each act as a ladder of what every interface
    saw, the claims and the captures are in it. Only a capture of more than a megabyte lies beside it, in a folder named
    captures.
    """
    language = catalogue.language(lang)
    chosen = choose(labs or [], every=every, keyword=keyword)
    _folder(output)
    # Before the labs are run: a lab that is only looked at need not wait for Scapy, unless it is there already.
    topologies = {lab.name: _declared(lab) for lab in chosen}
    details: dict[tuple[str, str], str] = {}

    with tempfile.TemporaryDirectory(prefix="pktlab-") as captures:

        def note(lab: labfile.LabFile, record: ActRecord, detail: str) -> None:
            details[lab.name, record.name] = detail.replace(f"{captures}{os.sep}", "")  # which nobody will find

        outcome = perform(chosen, captures=Path(captures), keyword=keyword, jobs=jobs, tell=note)
        if outcome.interrupted:
            interrupted()
        _Writer(output, chosen, topologies, details, language).write(outcome.labs)
    if outcome.unrun:
        print(f"pktlab: the run was ended by an act, {outcome.unrun} acts before its end", file=sys.stderr)  # noqa: T201
        return FAILED
    return conclude(outcome.labs, keyword)


def _declared(lab: labfile.LabFile) -> Topology | None:
    from pktlab.cli.declared import declared_topology

    with contextlib.suppress(LabError):  # which the run will tell
        return declared_topology(lab)
    return None


def _folder(output: Path) -> None:
    """Make the folder and prove that it can be written to, before labs are run for it."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise _unwritable(output, error) from None


def _unwritable(path: Path, error: OSError) -> PktlabError:
    return PktlabError(f"cannot write {path}: {error.strerror}", remedy="name another folder: -o DIR")


class _Writer:
    def __init__(
        self,
        output: Path,
        labs: Sequence[labfile.LabFile],
        topologies: Mapping[str, Topology | None],
        details: Mapping[tuple[str, str], str],
        language: str,
    ) -> None:
        from pktlab import claims
        from pktlab.html.wording import Wording

        self._output = output
        self._labs = {lab.name: lab for lab in labs}
        self._topologies = topologies
        self._details = details
        self._claims = {claim.id: claim for claim in claims.load()}
        self._wording = Wording(language)
        self._made = _made(language)

    def write(self, results: Sequence[LabResult]) -> None:
        """Write a page for each result, an index if there are several, and say what was written."""
        from pktlab.frames.explain import explained
        from pktlab.html.page import INDEX, index_page, lab_page

        screen, progress = Screen(), Progress()
        pages = []
        for number, result in enumerate(results, 1):
            progress.show(f"{number}/{len(results)} writing {result.name}.html")
            page = self._page(result)
            page.listed = len(results) > 1
            self._save(self._output / page.file, lab_page(page, dissect=explained, made=self._made).encode())
            progress.clear()
            count = Counter(act.record.status for act in page.acts)
            acts = ", ".join(f"{count[status]} {status}" for status in count) or "could not be run"
            screen.lines([[Span(str(self._output / page.file), "file"), Span("  "), Span(acts, page.status)]])
            # Of all pages at once only what the index needs: pictures and captures are large.
            page.drawing = ""
            for act in page.acts:
                act.capture = ""
                act.ladder.events.clear()
            pages.append(page)
        if len(pages) > 1:
            self._save(self._output / INDEX, index_page(pages, self._verdicts(results), made=self._made).encode())
            screen.lines([[Span(str(self._output / INDEX), "file")]])

    def _page(self, result: LabResult) -> LabPage:
        from pktlab.drawing.plan import plan
        from pktlab.drawing.svg import svg
        from pktlab.html.page import LabPage

        lab = self._labs[result.name]
        page = LabPage(
            lab,
            result.status,
            " ".join(self._wording.of_lab(lab, lab.title)),
            self._wording.of_lab(lab, lab.story),
            result.fault,
        )
        topology = self._topologies.get(lab.name)
        if topology is not None:
            page.drawing = svg(plan(topology), title=f"Topology of {lab.name}")
            page.settings = [setting.command for setting in topology.settings]
        page.acts = [self._act(result, record, topology) for record in result.acts]
        return page

    def _act(self, result: LabResult, record: ActRecord, topology: Topology | None) -> ActPage:
        from pktlab.drawing.order import order, peers
        from pktlab.drawing.plan import plan
        from pktlab.frames import dissect, pcapng
        from pktlab.frames.headers import VXLAN_PORTS
        from pktlab.html.ladder import ladder
        from pktlab.html.page import ActPage, embedded
        from pktlab.topology.settings import Vxlan

        ports = VXLAN_PORTS
        if topology is not None:
            ports |= {setting.dstport for setting in topology.settings if isinstance(setting, Vxlan)}
        dissect.bind_vxlan(ports)
        file = Path(record.capture.file) if record.capture.file else None
        if file is not None and not file.is_file():
            file = None  # the disk was full, which the act's reason says
        planned = plan(topology) if topology is not None else None
        with contextlib.ExitStack() as opened:
            rungs = ladder(
                record,
                pcapng.frames(opened.enter_context(file.open("rb"))) if file else (),
                order=order(planned) if planned else (),
                peers=peers(planned) if planned else {},
                vxlan_ports=ports,
            )
        size = file.stat().st_size if file else 0
        address = ""
        if file:
            address = embedded(file.read_bytes()) if size <= _EMBEDDED else self._beside(result.name, file)
        detail = self._details.get((result.name, record.name), "")
        lab = self._labs[result.name]
        source = next((act.text for act in lab.acts if act.name == record.name.partition("[")[0]), record.title)
        text = self._wording.of_lab(lab, source)
        return ActPage(record, rungs, text, detail, address, size, self._cited(result, record), _log(record))

    def _beside(self, lab: str, capture: Path) -> str:
        """Put a capture into a folder beside the page; return the page's link to it."""
        from urllib.parse import quote

        folder = self._output / "captures" / lab
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(capture, folder / capture.name)
        except OSError as error:
            raise _unwritable(folder, error) from None
        return quote(f"captures/{lab}/{capture.name}")

    def _cited(self, result: LabResult, record: ActRecord) -> list[Verdict]:
        """What this act says of each claim that it cites."""
        from pktlab.claims import Citation
        from pktlab.report import LabResult
        from pktlab.verdict import proved

        alone = LabResult(result.name, result.title, [record], result.fault)
        return [
            verdict
            for claim in record.claims
            for verdict in proved(
                [self._claim(claim["id"])],
                [Citation(claim["id"], claim["verdict"], result.name, record.name, self._on(result.name, claim))],
                [alone],
            )
        ]

    def _claim(self, identifier: str) -> Claim:
        """The claim as the documents have it; a lab from elsewhere may cite what claims.toml does not have."""
        from pktlab.claims import Claim

        known = self._claims.get(identifier)
        return self._wording.of_claim(known) if known else Claim(identifier, "", "", ())

    def _on(self, lab: str, cited: Mapping[str, str]) -> str:
        """What an act says that the outcome hangs on."""
        return " ".join(self._wording.of_lab(self._labs[lab], cited.get("on", "")))

    def _verdicts(self, results: Sequence[LabResult]) -> list[Verdict]:
        """What these labs say of the claims that they cite; of all labs together, every claim there is."""
        from pktlab import claims
        from pktlab.verdict import proved

        written = claims.citations(self._labs[result.name] for result in results)
        cited = [replace(each, on=self._on(each.lab, {"on": each.on})) for each in written]
        known = {citation.id for citation in cited}
        whole = set(self._labs) >= {lab.name for lab in labfile.discover()}
        wanted = [self._claim(claim) for claim in self._claims if whole or claim in known]
        return proved(wanted, cited, results)

    @staticmethod
    def _save(file: Path, data: bytes) -> None:
        """Write a file that appears under its name only when it is whole."""
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            partial.write_bytes(data)
            partial.replace(file)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise _unwritable(file, error) from None


def _log(record: ActRecord) -> str:
    """What the programs of an act that failed had written, or the end of it."""
    try:
        with open(record.log, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return ""
    return text if len(text) <= _LOG else f"[...]\n{text[-_LOG:]}"


def _made(language: str) -> Made:
    import platform
    from datetime import UTC, datetime

    from pktlab import __version__
    from pktlab.html.page import Made

    return Made(__version__, platform.release(), f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", language)

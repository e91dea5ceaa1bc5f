"""What each declared setting is good for: which acts break without it. Settings that none needs are idle, acts that
need none are vacuous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pktlab.topology import Topology, ruleset
from pktlab.topology.settings import Nft, Setting

VERSION = 1
BREAKS, HOLDS = "breaks", "holds"
# How the text of a failure begins where nothing was expected yet: what the act names is not there, or the kernel
# refused to build what is left. It breaks the act, but proves no expectation of it.
_FAULTS = ("LabError: ", "TopologyError: ", "PatternError: ", "KernelError: ")


@dataclass(frozen=True, slots=True)
class Removal:
    """One thing taken away: a setting, or a single rule of a ruleset."""

    setting: Setting
    rule: ruleset.Rule | None = None

    @property
    def words(self) -> str:
        """What is taken away, in one line."""
        if self.rule is not None:
            where = f"{self.rule.chain}: " if self.rule.chain else ""
            return f"nft rule in {self.setting.netns}: {where}{self.rule.words}"
        if isinstance(self.setting, Nft):
            return f"ip netns exec {self.setting.netns} nft -f - (the ruleset of line {self.setting.origin.line})"
        return self.setting.command

    def apply(self, topology: Topology) -> Topology:
        """Return the topology without it."""
        if self.rule is None:
            return topology.without([self.setting.command])
        assert isinstance(self.setting, Nft)
        rest = ruleset.less(self.setting.ruleset, self.rule)
        mended = Nft(netns=self.setting.netns, origin=self.setting.origin, ruleset=rest)
        return topology.holding(mended if each is self.setting else each for each in topology.settings)

    def takes(self, topology: Topology) -> list[Setting]:
        """Return the settings that stand on it, and go with it."""
        if self.rule is not None:
            return []
        left = set(self.apply(topology).settings)
        return [each for each in topology.settings if each not in left and each != self.setting]


def removals(topology: Topology) -> list[Removal]:
    """Return everything that can be taken away, one at a time, in the order of declaration."""
    found = []
    for setting in topology.settings:
        found.append(Removal(setting))
        if isinstance(setting, Nft):
            rules = ruleset.rules(setting.ruleset)
            # A single rule is all that its ruleset does.
            found += [Removal(setting, rule) for rule in rules] if len(rules) > 1 else []
    return found


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of an act without a setting: breaks, holds, skipped or inconclusive.

    `expectation` is the first that broke, or why there is no answer; `fault` is true where it was none of the act's
    own expectations that broke, but the network could not be built, or lacked something that the act names.
    """

    outcome: str
    expectation: str = ""
    fault: bool = False


def cell(status: str, reason: str, detail: str) -> Cell:
    """Return the cell for an act's status, its reason, and the lines that say where it failed."""
    if status == "passed":
        return Cell(HOLDS)
    if status == "failed":
        return Cell(BREAKS, (detail or reason).strip().partition("\n")[0], reason.startswith(_FAULTS))
    return Cell(status, reason.partition("\n")[0])


@dataclass(slots=True)
class Table:
    """A lab's settings by its acts. `whole` has what became of each act with nothing taken away; where that is not
    a pass, the act says nothing about any setting.
    """

    lab: str
    acts: list[str]
    removals: list[Removal]
    takes: list[list[Setting]]
    whole: dict[str, Cell] = field(default_factory=dict)
    cells: dict[tuple[int, str], Cell] = field(default_factory=dict)

    @property
    def sound(self) -> list[str]:
        """The acts that pass with nothing taken away."""
        return [act for act in self.acts if self.whole[act].outcome == HOLDS]

    def row(self, number: int) -> list[tuple[str, Cell]]:
        """Return what became of each act without one thing, of those that pass with it."""
        return [(act, self.cells[number, act]) for act in self.sound]

    def idle(self) -> list[Removal]:
        """Return what could be left out: every act was tried without it, and all held."""
        return [removal for n, removal in enumerate(self.removals) if self._holds(n) and not removal.setting.scenery]

    def vacuous(self) -> list[str]:
        """Return the acts of which no expectation ever broke, though each setting was tried."""
        return [act for act in self.sound if all(self._says_nothing(n, act) for n in range(len(self.removals)))]

    def undetermined(self) -> tuple[list[Removal], list[str]]:
        """Return the settings that may be idle and the acts that may be vacuous: none says they are not, and of some
        run no answer came, since frames were lost or the act skipped itself.
        """
        settings = []
        for number, removal in enumerate(self.removals):
            found = {each.outcome for _act, each in self.row(number)}
            if not removal.setting.scenery and BREAKS not in found and found - {HOLDS}:
                settings.append(removal)
        acts = []
        for act in self.sound:
            cells = [self.cells[number, act] for number in range(len(self.removals))]
            needs = any(each.outcome == BREAKS and not each.fault for each in cells)
            if not needs and {each.outcome for each in cells} - {HOLDS, BREAKS}:
                acts.append(act)
        return settings, acts

    def mislabelled(self) -> list[tuple[Removal, list[str]]]:
        """Return what is marked as scenery by the lab, though acts depend on it, with these acts."""
        found = []
        for number, removal in enumerate(self.removals):
            breaking = [act for act, each in self.row(number) if each.outcome == BREAKS]
            if removal.setting.scenery and not removal.setting.implied and breaking:
                found.append((removal, breaking))
        return found

    def _holds(self, number: int) -> bool:
        row = self.row(number)
        # An act that cannot run here may need what all others do without.
        return bool(row) and len(row) == len(self.acts) and all(each.outcome == HOLDS for _act, each in row)

    def _says_nothing(self, number: int, act: str) -> bool:
        each = self.cells[number, act]
        return each.outcome == HOLDS or (each.outcome == BREAKS and each.fault)

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON data."""
        idle, vacuous = self.idle(), self.vacuous()
        unknown_settings, unknown_acts = self.undetermined()
        return {
            "lab": self.lab,
            "acts": [
                {
                    "name": act,
                    "status": "passed" if self.whole[act].outcome == HOLDS else _status(self.whole[act]),
                    "reason": self.whole[act].expectation,
                    "vacuous": act in vacuous,
                    "undetermined": act in unknown_acts,
                }
                for act in self.acts
            ],
            "settings": [
                {
                    "setting": removal.words,
                    "command": removal.setting.command,
                    "line": removal.setting.origin.line,
                    "scenery": removal.setting.scenery,
                    "idle": removal in idle,
                    "undetermined": removal in unknown_settings,
                    "takes": [each.command for each in self.takes[number]],
                    "acts": [
                        {"act": act, "outcome": each.outcome, "expectation": each.expectation}
                        for act, each in self.row(number)
                    ],
                }
                for number, removal in enumerate(self.removals)
            ],
        }


def _status(whole: Cell) -> str:
    return "failed" if whole.outcome == BREAKS else whole.outcome


def as_json(tables: Sequence[Table]) -> dict[str, Any]:
    """Return the tables of several labs as JSON data."""
    return {"version": VERSION, "labs": [table.as_json() for table in tables]}

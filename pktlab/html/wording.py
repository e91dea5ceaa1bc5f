"""What a page says of a lab and of claims, in the reader's language."""

from __future__ import annotations

from dataclasses import replace

from pktlab import catalogue
from pktlab.catalogue import files, texts
from pktlab.claims import Claim
from pktlab.labfile import LabFile


class Wording:
    """The texts of labs and claims in one language; where a catalogue lacks a text, it stays as it is written."""

    def __init__(self, language: str) -> None:
        self.language = language

    def of_lab(self, lab: LabFile, text: str) -> list[str]:
        """Return a text of a lab by its paragraphs."""
        found = catalogue.translations(files.of_lab(lab, self.language))
        return [found.gettext(paragraph) for paragraph in texts.paragraphs(text)]

    def of_claim(self, claim: Claim) -> Claim:
        """Return a claim with its texts."""
        found = catalogue.translations(files.of_topic(claim.topic, self.language))

        def told(text: str) -> str:
            return found.gettext(text) if text else ""

        return replace(
            claim,
            statement=told(claim.statement),
            really=told(claim.really),
            undecidable=told(claim.undecidable),
        )

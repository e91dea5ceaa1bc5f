"""Markdown as GitHub reads it."""

from __future__ import annotations


def cell(text: str) -> str:
    """Return a text as it may stand in a cell of a table."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")

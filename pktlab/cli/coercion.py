"""Values from the command line, for which Typer loads pydantic: 60 ms, to find that a text is a text.

Typer does so from 0.26 on. What needs no judgement is taken here as it was written; everything else, and every
message of what is wrong, stays Typer's own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import typer.core


def lighten() -> None:
    """Have Typer load pydantic only for values that need it."""
    for kind in (typer.core.TyperArgument, typer.core.TyperOption):
        own: Any = getattr(kind, "get_runtime_param", None)
        if own is not None and own is not _plain_for:  # older versions have no use for pydantic
            _own[kind] = own
            kind.get_runtime_param = _plain_for  # type: ignore[method-assign,assignment]


_own: dict[type, Any] = {}


def _plain_for(parameter: Any) -> _Plain:
    return _Plain(parameter)


class _Plain:
    """Stands where Typer has the validator of a parameter."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value of a parameter, in the type that its command wants."""
        kind, several = param.type_descriptor.annotation, param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        if several and kind == list[str] and isinstance(value, list | tuple) and all(type(v) is str for v in value):
            return list(value)
        if not several and kind in (str, bool) and type(value) is kind:
            return value
        if not several and kind is int and (number := _number(value)) is not None and _in_range(number, param):
            return number
        if not several and kind is Path and type(value) is str and _takes(value, param.type_descriptor.parameter_info):
            return Path(value)
        return _own[type(self._parameter)](self._parameter).coerce(value, param=param, ctx=ctx)


def _number(value: Any) -> int | None:
    if type(value) is int:
        return value
    return int(value) if type(value) is str and re.fullmatch("[0-9]{1,9}", value) else None


def _in_range(number: int, param: Any) -> bool:
    return (param.min is None or number >= param.min) and (param.max is None or number <= param.max)


def _takes(path: str, info: Any) -> bool:
    """Tell whether an option takes this path, where nothing is asked of it but that it can be read if it is there."""
    asks = info.exists or info.resolve_path or info.path_type or info.writable or info.allow_dash or info.parser
    return not asks and info.file_okay and info.dir_okay and (not os.path.exists(path) or os.access(path, os.R_OK))

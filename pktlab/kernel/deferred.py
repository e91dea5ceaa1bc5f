"""Packages of which only some modules are wanted: their own code runs when what it defines is asked for."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """A package that has its place and its modules, and the rest as soon as that is asked for."""

    __spec__: ModuleSpec

    def __getattr__(self, name: str) -> Any:
        # What the import system and `inspect` look for in every module is no wish for this one.
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if find_spec(f"{self.__name__}.{name}") is not None:
            return import_module(f"{self.__name__}.{name}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def defer(package: str) -> None:
    """Let the modules of a package be imported without the package's own code, unless it has been run already."""
    if package in sys.modules:
        return
    spec = find_spec(package)
    if spec is None:
        return
    module = module_from_spec(spec)
    module.__class__ = _Deferred
    sys.modules[package] = module

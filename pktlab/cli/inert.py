"""Stand-ins for what a lab imports but does not need to declare its topology: Scapy, pytest, the live network.

Whoever looks at a lab waits for neither. A stand-in takes every argument and gives no answer: what is read out of
it, rather than handed on, raises `Wanted`, and the lab has to be read with the real thing.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn

# pytest's other names decide something, such as to skip the whole file.
_NAMES = {"pytest": ("fixture", "mark", "param"), "scapy": None, "pktlab.network": None, "pktlab.frames.dissect": None}


class Wanted(Exception):
    """A lab asked a stand-in for something that only the real thing knows."""


def _wanted(*_args: object) -> NoReturn:
    raise Wanted


class _Kind(type):
    def __getattr__(cls, name: str) -> Any:
        return _attribute(name)

    def __truediv__(cls, other: object) -> Inert:
        return Inert()


class Inert(metaclass=_Kind):
    """A packet, or anything else: it can be made, called, stacked, indexed, and given attributes."""

    def __init__(self, *_args: object, **_fields: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return _attribute(name)

    def __call__(self, *_args: object, **_fields: object) -> Inert:
        return Inert()

    def __truediv__(self, other: object) -> Inert:
        return Inert()

    __rtruediv__ = __truediv__
    __setitem__ = __getitem__ = __mul__ = __rmul__ = __truediv__
    __str__ = __repr__ = __format__ = __bytes__ = __bool__ = __iter__ = __len__ = __eq__ = __int__ = _wanted
    __hash__ = object.__hash__


def _attribute(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Inert()


class _Module(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        names = _NAMES.get(self.__name__)
        if names is not None and name not in names:
            raise Wanted
        kind = type(name, (Inert,), {})
        setattr(self, name, kind)
        return kind


class _Finder(MetaPathFinder, Loader):
    """Finds stand-ins for these modules and all below them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if not any(name == each or name.startswith(f"{each}.") for each in self._names):
            return None
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextlib.contextmanager
def stand_ins() -> Iterator[None]:
    """Within the block, what is imported anew of Scapy, pytest and the live network is a stand-in.

    Behind it they are forgotten, with every module that may hold on to one.
    """
    before = dict(sys.modules)
    finder = _Finder([name for name in _NAMES if name not in before])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name not in before]:
            module = sys.modules[name]
            if isinstance(module, _Module) or not _independent(module):
                del sys.modules[name]
                parent, _, child = name.rpartition(".")
                if parent in before:
                    vars(before[parent]).pop(child, None)


def _independent(module: ModuleType) -> bool:
    """Tell whether a module is Python's or pktlab's own, and has nothing of a stand-in."""
    own = module.__name__.partition(".")[0] in (*sys.stdlib_module_names, "pktlab")
    return own and not any(isinstance(value, (_Module, _Kind, Inert)) for value in list(vars(module).values()))

"""Packages whose own code waits until it is asked for: pyroute2 behind `pktlab.kernel.link`, and made-up ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commandline import ROOT, environment

_BEGINNING = "import sys, pktlab.kernel.link; "


def _python(code: str, cwd: Path) -> str:
    argv = [sys.executable, "-P", "-c", code]
    done = subprocess.run(argv, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_messages_are_encoded_without_the_rest_of_pyroute2(tmp_path: Path) -> None:
    modules = _python(_BEGINNING + "print(*sys.modules)", tmp_path).split()
    assert "pyroute2.netlink.rtnl.ifinfmsg" in modules
    assert not {"pyroute2.iproute", "pyroute2.ndb", "asyncio"} & set(modules)


@pytest.mark.parametrize(
    "code",
    [
        "import pyroute2; print(pyroute2.IPRoute.__name__)",
        "from pyroute2 import IPRoute; print(IPRoute.__name__)",
        "import pyroute2.iproute; print(pyroute2.iproute.IPRoute.__name__)",
        "from pyroute2 import iproute; print(iproute.IPRoute.__name__)",
        "import pyroute2; pyroute2.__version__; print(pyroute2.IPRoute.__name__)",
    ],
)
def test_a_lab_that_imports_pyroute2_has_all_of_it(code: str, tmp_path: Path) -> None:
    assert _python(_BEGINNING + code, tmp_path) == "IPRoute"


def test_what_a_package_lacks_it_lacks_still(tmp_path: Path) -> None:
    code = "import pyroute2; print(hasattr(pyroute2, '__wrapped__'), hasattr(pyroute2, 'nothing'))"
    assert _python(_BEGINNING + code, tmp_path) == "False False"


def test_a_package_that_was_imported_before_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import pyroute2; before = pyroute2; import pktlab.kernel.link, sys; print(sys.modules['pyroute2'] is before)"
    )
    assert _python(code, tmp_path) == "True"


def test_its_own_code_runs_once_and_its_errors_are_seen(tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart/__init__.py").write_text("print('ran')\nvalue = 1\n", encoding="utf-8")
    (tmp_path / "apart/wanted.py").write_text("", encoding="utf-8")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/__init__.py").write_text("1 / 0\n", encoding="utf-8")
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "from pktlab.kernel.deferred import defer\n"
        "for name in ('apart', 'broken', 'absent'): defer(name)\n"
        "import apart.wanted; print('not yet'); apart.value; apart.value\n"
        "try: sys.modules['broken'].value\n"
        "except ZeroDivisionError: print('seen')\n"
        "print('absent' in sys.modules)\n"
    )
    assert _python(code, tmp_path).split("\n") == ["not yet", "ran", "seen", "False"]

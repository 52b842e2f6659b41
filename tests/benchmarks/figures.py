"""What a benchmark says: figures with goals, and where they came from."""

import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "asyncpg",
    "c2pa-python",
    "dbos",
    "fastapi",
    "onnxruntime",
    "rapidocr",
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number. `goal` is None where there is none; `at_most` says which way is better."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.at_most else self.value >= self.goal


def as_document(benchmark: str, figures: Sequence[Figure], *, seed: int, now: datetime) -> dict[str, Any]:
    """The result with its provenance: commit, dirty tree, versions, machine, seed and date."""
    rows = [{"name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal, "met": f.met} for f in figures]
    return {
        "benchmark": benchmark,
        "figures": rows,
        "commit": commit(),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": asdict(_machine()),
        "seed": seed,
        "date": now.isoformat(timespec="seconds"),
    }


def commit() -> str:
    """The commit that is measured."""
    return _git("rev-parse", "HEAD")


def as_table(figures: Sequence[Figure]) -> str:
    """Figure, value, unit, goal, met: one line each. A goal not met is printed as such."""
    lines = [f"{'figure':58} {'value':>10} {'unit':10} {'goal':>10} met"]
    for figure in figures:
        sign = "<=" if figure.at_most else ">="
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
        met = {True: "yes", False: "NO", None: "-"}[figure.met]
        lines.append(f"{figure.name:58} {figure.value:>10.4g} {figure.unit:10} {goal:>10} {met}")
    return "\n".join(lines)


def write(path: Path, document: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


@dataclass(frozen=True, kw_only=True)
class Machine:
    processor: str
    cores: int
    memory_gib: float


def _machine() -> Machine:
    cores = len([line for line in _lines("/proc/cpuinfo") if line.startswith("processor")])
    model = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), "unknown")
    total = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return Machine(processor=model, cores=cores, memory_gib=round(int(total) / 2**20, 1))


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.is_file() else []


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

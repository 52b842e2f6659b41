"""Checkpoints that survive a power cut: a training continues from the newest whole one.

Everything is written aside, flushed to the disk, then renamed into place. A disk that is full ends the training with a
sentence and leaves what was there before.
"""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.errors import DiskFull

TENSORS = "tensors.safetensors"
STATE = "state.json"
MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One saved moment of a training. `tensors` lie on the CPU; `state` is what JSON can hold."""

    name: str
    path: Path
    tensors: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(
    folder: Path,
    name: str,
    tensors: dict[str, Tensor],
    state: dict[str, Any],
    *,
    beside: Sequence[Path] = (),
    keep: int = 2,
) -> Path:
    """Write `folder/name` so that a crash at any moment leaves the previous checkpoint readable.

    beside: files written earlier, by `save_tensors`, without which this checkpoint is worth nothing. Names are ordered
    by the numbers in them (`step-000120`), and the newest `keep` stay. Raises DiskFull.
    """
    aside, target, replaced = folder / f".{name}.part", folder / name, folder / f".{name}.old"
    try:
        with _full_disk_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in (aside, replaced):
                shutil.rmtree(leftover, ignore_errors=True)
            aside.mkdir()
            save_file(_laid_out(tensors), aside / TENSORS)
            (aside / STATE).write_text(json.dumps(state, indent=1, sort_keys=True))
            sums = {file: _sha256(aside / file) for file in (TENSORS, STATE)}
            sums |= {os.path.relpath(path, target): _sha256(path) for path in beside}
            (aside / MANIFEST).write_text(json.dumps({"sha256": sums}, indent=1, sort_keys=True))
            for path in (*aside.iterdir(), aside):
                _flush(path)
            if target.exists():
                target.rename(replaced)
            aside.rename(target)
            _flush(folder)
    finally:
        # What a full disk cut off would only keep it full.
        shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)
    for old in _newest_first(folder)[keep:]:
        shutil.rmtree(old)
    return target


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> Path:
    """Write one file of tensors whole or not at all. Raises DiskFull."""
    with _written_aside(path) as aside:
        save_file(_laid_out(tensors), aside)
    return path


def save_text(path: Path, text: str) -> Path:
    """Write one file of text whole or not at all. Raises DiskFull."""
    with _written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return path


def load_latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in `folder` whose files match its manifest; None where there is no whole one."""
    for path in _newest_first(folder):
        if is_whole(path):
            state = json.loads((path / STATE).read_text())
            return Checkpoint(name=path.name, path=path, tensors=load_file(path / TENSORS), state=state)
    return None


def is_whole(path: Path) -> bool:
    """True if every file that the manifest of the checkpoint `path` names is there with its sum."""
    try:
        sums = json.loads((path / MANIFEST).read_text())["sha256"]
        return set(sums) >= {TENSORS, STATE} and all(_sha256(path / file) == digest for file, digest in sums.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as flat tensors, `optimizer.<parameter number>.<slot>`; step counts become tensors too."""
    packed = {}
    for number, slots in optimizer.state_dict()["state"].items():
        for slot, value in slots.items():
            packed[f"optimizer.{number}.{slot}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    return packed


def unpack_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put what `pack_optimizer` returned back into an optimiser over the same parameters in the same order."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, slot = key.split(".", 2)
            state.setdefault(int(number), {})[slot] = value.clone()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@contextmanager
def _written_aside(path: Path) -> Iterator[Path]:
    """Where to write what is then moved to `path`, which until then is as it was."""
    aside = path.with_name(f".{path.name}.part")
    try:
        with _full_disk_named(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            _flush(aside)
            aside.rename(path)
            _flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _full_disk_named(folder: Path) -> Iterator[None]:
    """Turn what a full disk does into a sentence: the system says so, or the tensor library as an error of its own."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(_no_space(folder)) from error
        raise
    except SafetensorError as error:
        if "os error 28" in str(error) or "os error 122" in str(error):
            raise DiskFull(_no_space(folder)) from error
        raise


def _no_space(folder: Path) -> str:
    free_mib = shutil.disk_usage(folder).free / 2**20 if folder.exists() else 0
    return (
        f"the disk is full: {free_mib:.0f} MiB are left where the training keeps its checkpoints; make room and run "
        "the same training again, it goes on from its last checkpoint"
    )


def _laid_out(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}


def _newest_first(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=lambda path: ([int(part) for part in re.findall(r"\d+", path.name)], path.name))[::-1]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

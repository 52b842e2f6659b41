"""What leaves a training: the adapter, and a receipt that says what it was made of. No caption, name or path."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from inference.adapters.files import adapter_bytes, diffusers_names, tensors_sha256
from inference.adapters.manifest import AdapterManifest
from inference.adapters.stack import Adapter
from inference.bases import Base
from training.gate import Scores, Tried, Verdict
from training.recipe import Recipe

ADAPTER, RECEIPT, REPORT = "adapter.safetensors", "receipt.json", "report.html"
FLAT = "adapter.flat"
SOFTWARE = ("torch", "diffusers", "transformers", "safetensors", "pillow", "numpy")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the receipt of one adapter states beside its gate results."""

    base: str
    base_sha256: str
    trained: tuple[str, ...]
    """SHA-256 of every file that was learnt from."""
    held_out: tuple[str, ...]
    """SHA-256 of every file that was only measured against."""
    recipe: Recipe
    seed: int
    trigger: str
    steps: int
    """Steps after which the adapter was taken."""
    tried: tuple[Tried, ...]
    """Every adapter that was considered; the one as trained is the first."""
    heldout_curve: tuple[tuple[int, float, float], ...]
    """(step, gain, standard error)."""


def export_adapter(adapter: Adapter, base: Base, *, trigger: str, rank: int) -> bytes:
    """The adapter as a file of float16 tensors by diffusers' names, the same bytes for the same training."""
    tensors = {name: tensor.detach().to(torch.float16) for name, tensor in diffusers_names(adapter, base.names).items()}
    size = base.spec.size
    manifest = AdapterManifest(
        trigger=trigger,
        base=base.spec.id,
        base_sha256=base.sha256,
        rank=rank,
        resolution=f"{size}x{size}",
        prediction_type=base.levels.prediction.replace("_prediction", ""),
        style_guidance=adapter.style_guidance,
    )
    metadata = manifest.as_metadata(tensors_sha256=tensors_sha256(tensors))
    return adapter_bytes(tensors, {"format": "pt", **metadata})


def make_receipt(facts: Facts, adapter_file: bytes, scores: Scores, verdict: Verdict) -> dict[str, Any]:
    """The receipt's statement, as plain values in a fixed order."""
    works = sorted({*facts.trained, *facts.held_out})
    return {
        "format": "ownhand-receipt/1",
        "base": {"id": facts.base, "sha256": facts.base_sha256},
        "adapter": {"sha256": hashlib.sha256(adapter_file).hexdigest(), "trigger": facts.trigger, "steps": facts.steps},
        "works": {
            "count": len(works),
            "merkle_root": merkle_root(works),
            "trained": sorted(facts.trained),
            "held_out": sorted(facts.held_out),
        },
        "recipe": facts.recipe.as_dict(),
        "seed": facts.seed,
        "heldout_curve": [list(look) for look in facts.heldout_curve],
        "scores": scores.as_dict(),
        "gate": {
            "passed": verdict.passed,
            "sentences": list(verdict.sentences),
            "tried": [{"adapter": one.name, "passed": one.passed, "broken": list(one.broken)} for one in facts.tried],
        },
        "software": {name: version(name) for name in SOFTWARE},
    }


def merkle_root(works: Sequence[str]) -> str:
    """Root of the hash tree over works' SHA-256, in the given order: it commits to all without showing any.

    Leaves and branches are hashed under different first bytes, and an odd last one is carried up (RFC 6962).
    """
    level = [hashlib.sha256(b"\0" + bytes.fromhex(work)).digest() for work in works]
    if not level:
        return hashlib.sha256().hexdigest()
    while len(level) > 1:
        pairs = [level[place : place + 2] for place in range(0, len(level), 2)]
        level = [hashlib.sha256(b"\1" + b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0].hex()


def write_receipt(path: Path, receipt: dict[str, Any], sign: Callable[[dict[str, Any]], str] | None = None) -> None:
    """Write `{"receipt": ..., "signature": <JWS> or null}`."""
    content = {"receipt": receipt, "signature": None if sign is None else sign(receipt)}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def sign_receipt(path: Path, sign: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
    """Put a signature into a receipt that was written without one; returns its statement.

    For the process that holds the key: the one that trained never sees it.
    """
    receipt: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["receipt"]
    write_receipt(path, receipt, sign)
    return receipt

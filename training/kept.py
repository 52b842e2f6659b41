"""Where what is kept of an ended training lies, so that another of its adapters can be judged later. Thin: no torch."""

from pathlib import Path

CHECKPOINTS = "checkpoints"
LOOKS = ".looks"
"""Folder, beside the checkpoints, of the adapters at the looks; its name keeps it from being taken for one."""
KEPT, WAY = "kept.json", "way.json"
MOST, MOST_BYTES = 6, 64 * 1024 * 1024
"""Adapters of one training that are kept beside the one that is delivered, and what their files may take together."""


def look_name(step: int) -> str:
    """The file of the adapter at a look at the held-out works."""
    return f"step-{step:06d}.safetensors"


def place_of(name: str, scratch: Path) -> Path:
    """Where a kept file lies in the scratch folder of the training that judges another adapter."""
    if name == WAY:
        return scratch / WAY
    folder = scratch / CHECKPOINTS
    return folder / KEPT if name == KEPT else folder / LOOKS / name

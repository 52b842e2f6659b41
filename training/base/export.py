"""Stage `export`: a checkpoint becomes a standard pipeline folder that stock diffusers opens."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file
from torch import Tensor

from inference.enlarger import save_enlarger
from training.base.denoiser import TextToLatents
from training.base.enlarger import enlarger_shape, load_enlarger
from training.base.errors import StageMissing, WeightsTooLarge
from training.base.latents import normalised_autoencoder
from training.base.loop import part
from training.base.networks import new_scheduler
from training.base.recipe import BaseRecipe
from training.base.tokens import load_tokenizer
from training.checkpoint import load_latest_checkpoint

LARGEST_SHARD = "15MB"
LARGEST_FOLDER = 28_000_000
"""Without the enlarger, which has a limit of its own."""
LARGEST_ENLARGER = 4_000_000
OLD_PREFIX = "text_model."


def export(recipe: BaseRecipe, work: Path, out: Path) -> int:
    """Write the averaged weights of the newest checkpoint to `out` in half precision; returns the steps trained.

    The enlarger of `work`, where it has one, comes along. Parts of `out` with other names (a model card, an earlier
    enlarger) stay. WeightsTooLarge where it would break its limit in bytes.
    """
    found = load_latest_checkpoint(work / "denoiser")
    if found is None:
        raise StageMissing(f"No denoiser in {work}. Run `python -m training.base denoiser --work {work}` first.")
    tokenizer = load_tokenizer(work)
    network = TextToLatents(recipe, tokenizer)
    network.load_state_dict(part(found.tensors, "average."))
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=normalised_autoencoder(recipe, work),
        text_encoder=network.text,
        tokenizer=tokenizer,
        unet=network.unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).to(dtype=torch.float16)
    pipeline.save_pretrained(aside, max_shard_size=LARGEST_SHARD)
    save_text_encoder(network.text.state_dict(), aside / "text_encoder")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(work / "tokenizer" / name, aside / "tokenizer" / name)
    shutil.copy(work / "preview.safetensors", aside / "preview.safetensors")
    files = [path for path in aside.rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o644)
    size = sum(path.stat().st_size for path in files)
    if size > LARGEST_FOLDER:
        raise WeightsTooLarge(
            f"The exported folder has {size:,} bytes; its limit is {LARGEST_FOLDER:,}. Make the recipe smaller."
        )
    if load_latest_checkpoint(work / "enlarger") is not None:
        _write_enlarger(recipe, work, aside)
    _replace(aside, out)
    return int(found.state["step"])


def export_enlarger(recipe: BaseRecipe, work: Path, out: Path) -> None:
    """Write the enlarger of `work` into the base's folder `out`, over an earlier one. The rest of `out` stays.

    With it the base's fingerprint changes, as with any other part.
    """
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    _write_enlarger(recipe, work, aside)
    _replace(aside, out)


def _write_enlarger(recipe: BaseRecipe, work: Path, base: Path) -> None:
    folder = save_enlarger(load_enlarger(recipe, work), enlarger_shape(recipe.enlarger), base)
    for path in folder.iterdir():
        path.chmod(0o644)
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > LARGEST_ENLARGER:
        raise WeightsTooLarge(
            f"The enlarger has {size:,} bytes; its limit is {LARGEST_ENLARGER:,}. Give it fewer channels or blocks."
        )


def save_text_encoder(state: dict[str, Tensor], folder: Path) -> None:
    """Save text weights under the names that every version of transformers reads.

    transformers 5 leaves the `text_model.` prefix away; version 4 then starts from random weights with a mere warning.
    Its configuration is marked float32, because transformers opens a text encoder in the type named there and the
    pipeline's other parts open in float32.
    """
    named = {f"{OLD_PREFIX}{key.removeprefix(OLD_PREFIX)}": value.half().contiguous() for key, value in state.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config.pop("torch_dtype", None)
    config["dtype"] = "float32"
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def _replace(aside: Path, out: Path) -> None:
    """Move every finished part into `out`, over its predecessor."""
    out.mkdir(parents=True, exist_ok=True)
    for fresh in aside.iterdir():
        target = out / fresh.name
        if target.is_dir():
            shutil.rmtree(target)
        fresh.replace(target)
    aside.rmdir()

"""A random base in the true folder layout, small enough that a picture takes a fraction of a second."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from inference.enlarger import Enlarger, save_enlarger

SIZE = 32
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.'-"
LISTING = """\
name = "Tiny"
family = "sd"
path = "tiny"
size = 32
max_size = 64
steps = 6
guidance = 3.0
sampler = "ddim"
lora_targets = ["to_q", "to_k", "to_v", "to_out.0", "conv1"]
licence = "MIT"
"""


ENLARGER_SHAPE = {"factor": 4, "channels": 16, "blocks": 1, "fine_channels": 8}


def write_tiny_base(folder: Path, *, zero_snr: bool = True, enlarger: bool = False) -> Path:
    """Write `folder/tiny/` and the catalogue entry `folder/tiny.toml`; return the entry's path."""
    torch.manual_seed(7)
    tokenizer = letter_tokenizer(folder / "words")
    pipeline = StableDiffusionPipeline(
        vae=tiny_vae(),
        text_encoder=_text_encoder(len(tokenizer)),
        tokenizer=tokenizer,
        unet=_unet(),
        scheduler=tiny_scheduler(zero_snr=zero_snr),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "tiny")
    if enlarger:
        save_enlarger(a_random_enlarger(), ENLARGER_SHAPE, folder / "tiny")
    entry = folder / "tiny.toml"
    entry.write_text(LISTING)
    return entry


def a_random_enlarger() -> Enlarger:
    """It chooses and adds something, unlike one that was never trained."""
    torch.manual_seed(3)
    network = Enlarger(**ENLARGER_SHAPE)
    torch.nn.init.normal_(network.conv_out.weight, std=0.1)
    return network


def tiny_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
        scaling_factor=0.6,
    )


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=8,
        cross_attention_dim=16,
        norm_num_groups=4,
    )


def _text_encoder(words: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )


def letter_tokenizer(folder: Path) -> CLIPTokenizer:
    """Every letter is a word piece, so a text is as long as it looks."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    options: dict[str, Any] = {"model_max_length": 16}
    return CLIPTokenizer.from_pretrained(folder, **options)


def tiny_scheduler(*, zero_snr: bool) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction" if zero_snr else "epsilon",
        timestep_spacing="trailing" if zero_snr else "leading",
        steps_offset=1,
        rescale_betas_zero_snr=zero_snr,
    )

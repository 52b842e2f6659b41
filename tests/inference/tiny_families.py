"""Random bases of the other families: the true architectures and folder layouts, a few channels wide."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.inference.tiny_base import SIZE, letter_tokenizer, tiny_scheduler, tiny_vae

TEXT_LENGTH = 48
"""Tokens of the language model's prompts, its own words around them included."""
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LISTING = """\
name = "Tiny {family}"
family = "{family}"
path = "tiny"
size = 32
max_size = 64
steps = 6
guidance = 3.0
sampler = "{sampler}"
lora_targets = {targets}
licence = "MIT"
"""
SDXL_TARGETS = [
    "to_q",
    "to_k",
    "to_v",
    "to_out.0",
    "conv1",
    "conv",
    "conv_shortcut",
    "time_emb_proj",
    "proj_in",
    "ff.net.2",
]
FLUX2_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "to_qkv_mlp_proj", "attn.to_out", "ff.linear_in", "add_k_proj"]


def write_tiny_sdxl(folder: Path) -> Path:
    """Write `folder/tiny/` and the catalogue entry `folder/tiny.toml`; return the entry's path."""
    torch.manual_seed(11)
    tokenizer, tokenizer_2 = (letter_tokenizer(folder / words) for words in ("words", "words_2"))
    StableDiffusionXLPipeline(
        vae=tiny_vae(),
        text_encoder=CLIPTextModel(_clip(len(tokenizer), width=16)),
        text_encoder_2=CLIPTextModelWithProjection(_clip(len(tokenizer), width=24)),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        unet=_sdxl_unet(),
        scheduler=tiny_scheduler(zero_snr=False),
        add_watermarker=False,
    ).save_pretrained(folder / "tiny")
    return _list(folder, "sdxl", "ddim", SDXL_TARGETS)


def write_tiny_flux2(folder: Path, *, distilled: bool = False) -> Path:
    """The same for a FLUX.2 [klein] base."""
    torch.manual_seed(13)
    tokenizer = _byte_tokenizer()
    Flux2KleinPipeline(
        vae=_flux2_vae(),
        text_encoder=_language_model(len(tokenizer)),
        tokenizer=tokenizer,
        transformer=_flux2_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, time_shift_type="exponential"
        ),
        is_distilled=distilled,
    ).save_pretrained(folder / "tiny")
    return _list(folder, "flux2", "flow_euler", FLUX2_TARGETS)


def _list(folder: Path, family: str, sampler: str, targets: list[str]) -> Path:
    entry = folder / "tiny.toml"
    entry.write_text(LISTING.format(family=family, sampler=sampler, targets=json.dumps(targets)))
    return entry


def _clip(words: int, *, width: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=32,
        projection_dim=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
    )


def _sdxl_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        layers_per_block=2,
        block_out_channels=(8, 16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        attention_head_dim=(1, 2, 2),
        cross_attention_dim=40,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=20 + 6 * 8,
        norm_num_groups=4,
    )


def _flux2_transformer() -> Flux2Transformer2DModel:
    return Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=3 * 16,
        timestep_guidance_channels=16,
        axes_dims_rope=(2, 2, 2, 2),
        guidance_embeds=False,
    )


def _flux2_vae() -> AutoencoderKLFlux2:
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
    )
    torch.nn.init.normal_(vae.bn.running_mean, std=0.3)
    torch.nn.init.uniform_(vae.bn.running_var, 0.5, 2.0)
    return vae


def _language_model(words: int) -> Qwen3ForCausalLM:
    """As deep as its 28th layer, whose input is the last that is read."""
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=words,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=28,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            initializer_range=0.2,
        )
    )


def _byte_tokenizer() -> Qwen2Tokenizer:
    """Every byte is a word piece."""
    letters = [chr(code) for code in (*range(0x21, 0x7F), *range(0x100, 0x144))]
    tokenizer = Qwen2Tokenizer(vocab={letter: number for number, letter in enumerate(letters)}, merges=[])
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "pad_token": "<|endoftext|>"}
    )
    tokenizer.model_max_length = TEXT_LENGTH
    tokenizer.chat_template = CHAT
    return tokenizer

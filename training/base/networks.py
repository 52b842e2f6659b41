"""The three networks of a base, in the standard shapes of diffusers and transformers."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from training.base.recipe import AutoencoderRecipe, BaseRecipe, TextRecipe

TIMESTEPS = 1000


def new_autoencoder(recipe: AutoencoderRecipe, size: int) -> AutoencoderKL:
    """An untrained autoencoder: pictures (B, 3, size, size) <-> latents (B, C, size / factor, size / factor)."""
    levels = len(recipe.channels)
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=recipe.channels,
        layers_per_block=1,
        latent_channels=recipe.latent_channels,
        norm_num_groups=recipe.norm_groups,
        sample_size=size,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


def new_text_encoder(recipe: TextRecipe, bos: int, eos: int) -> CLIPTextModel:
    """An untrained CLIP text model: ids (B, length) -> states (B, length, hidden)."""
    config = CLIPTextConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.hidden * 4,
        projection_dim=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=recipe.length,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=eos,
    )
    return CLIPTextModel(config)


def new_denoiser(recipe: BaseRecipe) -> UNet2DConditionModel:
    """An untrained conditional UNet over latents (B, C, s, s), with attention at every level."""
    shape, levels = recipe.denoiser, len(recipe.denoiser.channels)
    down = ("CrossAttnDownBlock2D",) * levels
    up = ("CrossAttnUpBlock2D",) * levels
    return UNet2DConditionModel(
        sample_size=recipe.data.size // recipe.autoencoder.factor,
        in_channels=recipe.autoencoder.latent_channels,
        out_channels=recipe.autoencoder.latent_channels,
        down_block_types=down,
        up_block_types=up,
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        attention_head_dim=shape.heads,
        norm_num_groups=shape.norm_groups,
        cross_attention_dim=recipe.text.hidden,
    )


def new_scheduler() -> DDIMScheduler:
    """The sampler of the base: v-prediction with zero terminal SNR, so that white paper can be white."""
    return DDIMScheduler(
        num_train_timesteps=TIMESTEPS,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,  # unused by trailing spacing; the pipeline warns of any other value
    )


def generator(seed: int, *numbers: int) -> torch.Generator:
    """Randomness as a pure function of its arguments, so that a resumed run draws what an unbroken one draws."""
    mixed = seed
    for number in numbers:
        mixed = (mixed * 0x9E3779B97F4A7C15 + number + 1) % 2**63
    return torch.Generator().manual_seed(mixed)

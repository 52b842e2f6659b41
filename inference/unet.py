"""What bases with a UNet that predicts noise or v have in common.

Shapes: B rows, C latent channels, H x W latent.
"""

from typing import Any

import torch
from torch import Tensor, nn

from inference.catalog import SAMPLERS, BaseSpec
from inference.folder import PipelineFolder
from inference.noising import diffusion_estimate, diffusion_levels
from inference.samplers import Table, read_table

SUB_BLOCKS = ("resnets", "attentions", "downsamplers", "upsamplers")


class UNetFolder(PipelineFolder):
    """An open pipeline folder with a UNet over the latents of an AutoencoderKL."""

    samplers = SAMPLERS

    def __init__(self, spec: BaseSpec, *, device: str, dtype: torch.dtype) -> None:
        super().__init__(spec, device=device)
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        self.unet = self._network(UNet2DConditionModel, "unet", dtype)
        self.vae = self._network(AutoencoderKL, "vae", dtype)
        self.scheduler_config = self._settings("scheduler/scheduler_config.json")
        try:
            self.levels = diffusion_levels(self.scheduler_config)
        except ValueError as error:
            raise self._unusable(error) from error
        self.latent_channels = self.unet.config.in_channels
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def denoiser(self) -> nn.Module:
        """What adapters are laid over."""
        return self.unet  # type: ignore[no-any-return]

    def table(self, sampler: str, *, steps: int, width: int, height: int, strength: float = 1.0) -> Table:
        """One run of a sampler; with a UNet it does not depend on the picture's size. Raises InvalidRequest."""
        return read_table(self.scheduler_config, sampler, steps=steps, strength=strength)

    def clean_estimate(self, latents_BCHW: Tensor, timesteps_B: Tensor, outputs_BCHW: Tensor) -> Tensor:
        """The finished latents that a prediction points to, (B, C, H, W). `latents_BCHW` is what the UNet was fed."""
        return diffusion_estimate(self.levels, latents_BCHW, timesteps_B, outputs_BCHW)

    def sub_blocks(self) -> list[nn.Module]:
        """The UNet's parts in which it spends its time: between them a stop can still be heeded."""
        blocks = [*self.unet.down_blocks, self.unet.mid_block, *self.unet.up_blocks]
        return [
            part
            for block in blocks
            if block is not None
            for kind in SUB_BLOCKS
            for part in getattr(block, kind, None) or ()
        ]

    def _ask(self, latents_BCHW: Tensor, timesteps_B: Tensor, states_BLD: Tensor, **more: Any) -> Tensor:
        """The UNet's answer (B, C, H, W) in float32."""
        dtype = self.unet.dtype
        answer: Tensor = self.unet(
            latents_BCHW.to(dtype), timesteps_B, states_BLD.to(dtype), return_dict=False, **more
        )[0]
        return answer.float()

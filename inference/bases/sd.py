"""The only code that knows a StableDiffusionPipeline folder. One text encoder, one UNet, one VAE.

Shapes: B rows, C latent channels, H x W latent, L text tokens, D text width, P pictures.
"""

import json
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from inference.adapters.stack import RowAdapters, StackedAdapters, text_part
from inference.catalog import BaseSpec, require_unchanged
from inference.enlarger import open_enlarger
from inference.errors import BaseUnusable
from inference.messages import with_call

SUB_BLOCKS = ("resnets", "attentions", "downsamplers", "upsamplers")


class StableDiffusion:
    """An open base. Its weights never change and need no gradient; adapters are laid over `unet` from outside."""

    def __init__(self, spec: BaseSpec, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        # Imported here: together they take seconds, which a process that only names this class should not pay.
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
        from diffusers.utils import logging as diffusers_logging
        from transformers import CLIPTextModel, CLIPTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        diffusers_logging.disable_progress_bar()
        self.spec = spec
        self.sha256 = require_unchanged(spec)
        self.device = torch.device(device)
        try:
            self.unet = self._load(UNet2DConditionModel, "unet", dtype)
            self.vae = self._load(AutoencoderKL, "vae", dtype)
            self.text_encoder = self._load(CLIPTextModel, "text_encoder", dtype)
            self.tokenizer: Any = CLIPTokenizer.from_pretrained(spec.path / "tokenizer", local_files_only=True)
            self.scheduler_config = _read_json(spec, "scheduler/scheduler_config.json")
        except (OSError, ValueError, KeyError) as error:
            raise BaseUnusable(f"base {spec.id!r} cannot be opened: {error}") from error
        self.text_stack = StackedAdapters(self.text_encoder)
        self.enlarger = open_enlarger(spec.path, device=device)
        self.alphas_cumprod = _noise_schedule(self.scheduler_config)
        self.prediction_type: str = self.scheduler_config.get("prediction_type", "epsilon")
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise BaseUnusable(
                f"base {spec.id!r} predicts {self.prediction_type!r}; only epsilon and v_prediction are known"
            )
        self.latent_channels: int = self.unet.config.in_channels
        self.factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        """Pixels per latent, along an edge."""

    def encode_prompts(self, prompts: Sequence[str], adapters: RowAdapters = ()) -> list[Tensor]:
        """What the UNet reads of each prompt: one (L, D) tensor a prompt, padded to the tokenizer's full length.

        Goes through the adapters' part for the text encoder, if they have one. Keeps its gradients.
        """
        if not prompts:
            return []
        tokens = self.tokenizer(
            list(prompts),
            padding="max_length",
            max_length=self.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(self.device)
        self.text_stack.bind([text_part(adapters)])
        states_PLD: Tensor = self.text_encoder(tokens)[0]
        self.text_stack.clear()
        return list(states_PLD.unbind(0))

    def fit_prompt(self, words: str, call: str) -> tuple[str, str]:
        """A prompt that the tokenizer reads to its end, and the words that had to be left out for it.

        The call (see `inference.messages.with_call`) is kept whatever it costs: without it there is no style.
        """
        room = self.tokenizer.model_max_length - 2
        kept: list[str] = words.split()
        left_out: list[str] = []
        prompt = with_call(words, call)
        while kept and len(self.tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids) > room:
            left_out.insert(0, kept.pop())
            prompt = with_call(" ".join(kept).rstrip(",;"), call)
        return prompt, " ".join(left_out)

    def join_texts(self, texts: Sequence[Tensor]) -> Tensor:
        """One batch (B, L, D) for `predict` of what `encode_prompts` gave."""
        return torch.stack(list(texts))

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Latents (P, C, H, W) of RGB pictures of one size: the middle of what the VAE finds likely."""
        with torch.no_grad():
            encoded = self.vae.encode(pixels_of(images).to(self.device, self.vae.dtype))
            latents: Tensor = encoded.latent_dist.mode() * self.vae.config.scaling_factor
        return latents

    def noise(self, seed: int, *, width: int, height: int) -> Tensor:
        """Starting noise (C, H, W) of one picture: from its own generator, so nothing else can change it."""
        shape = (1, self.latent_channels, height // self.factor, width // self.factor)
        drawn = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)
        return drawn[0].to(self.device, self.unet.dtype)

    def predict(self, latents_BCHW: Tensor, timesteps_B: Tensor, texts_BLD: Tensor) -> Tensor:
        """The UNet's prediction (B, C, H, W); every row has its own timestep. Keeps gradients."""
        predicted: Tensor = self.unet(latents_BCHW, timesteps_B, texts_BLD, return_dict=False)[0]
        return predicted

    def clean_estimate(self, latents_BCHW: Tensor, timesteps_B: Tensor, outputs_BCHW: Tensor) -> Tensor:
        """The finished latents that a prediction points to, (B, C, H, W). `latents_BCHW` is what the UNet was fed."""
        share = self.alphas_cumprod.to(latents_BCHW.device)[timesteps_B.round().long()].reshape(-1, 1, 1, 1)
        if self.prediction_type == "v_prediction":
            return share.sqrt() * latents_BCHW - (1 - share).sqrt() * outputs_BCHW
        return (latents_BCHW - (1 - share).sqrt() * outputs_BCHW) / share.sqrt().clamp_min(1e-4)

    def decode(self, latents_PCHW: Tensor) -> list[Image.Image]:
        """RGB pictures of finished latents."""
        with torch.no_grad():
            pixels = self.vae.decode(latents_PCHW / self.vae.config.scaling_factor, return_dict=False)[0]
        return images_of(pixels)

    def textures(self, images: Sequence[Image.Image]) -> Tensor:
        """How RGB pictures of one size are drawn, (P, T) float32: means and deviations of the channels that the VAE's
        encoder sees them in, from edges to forms. Where in the picture something stands counts for nothing."""
        encoder = self.vae.encoder
        seen: list[Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _block, _inputs, out: seen.append(out[0].float()))
            for block in (encoder.conv_in, *encoder.down_blocks)
        ]
        found = []
        try:
            for image in images:  # one at a time: the first channels of a large picture take much memory
                seen.clear()
                with torch.no_grad():
                    encoder(pixels_of([image]).to(self.device, self.vae.dtype))
                found.append(torch.cat([part for x in seen for part in (x.mean(dim=(1, 2)), x.std(dim=(1, 2)))]))
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack(found).cpu()

    def enlarge(self, images: Sequence[Image.Image]) -> list[Image.Image]:
        """RGB pictures of one size, as many times as large as the base's enlarger makes them."""
        assert self.enlarger is not None, f"base {self.spec.id!r} has no enlarger; plan() refuses such requests"
        return images_of(self.enlarger.enlarge(pixels_of(images)))

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

    def _load(self, kind: Any, part: str, dtype: torch.dtype) -> Any:
        model = kind.from_pretrained(self.spec.path / part, local_files_only=True, torch_dtype=dtype)
        return model.to(self.device).eval().requires_grad_(False)


def pixels_of(images: Sequence[Image.Image]) -> Tensor:
    """RGB pictures of one size as (P, 3, height, width) float32 from -1 to 1."""
    planes = [
        torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(image.height, image.width, 3)
        for image in images
    ]
    return torch.stack(planes).permute(0, 3, 1, 2).float() / 127.5 - 1


def images_of(pixels_P3HW: Tensor) -> list[Image.Image]:
    """The way back: RGB pictures of (P, 3, height, width) from -1 to 1; what is beyond is cut off."""
    levels = (pixels_P3HW.float() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return [Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()) for picture in levels]


def _noise_schedule(config: dict[str, Any]) -> Tensor:
    """Shares of signal (T,) by timestep; the last one is 0 where the base was trained down to pure noise."""
    from diffusers import DDIMScheduler

    schedule: Tensor = DDIMScheduler.from_config(config, clip_sample=False).alphas_cumprod
    return schedule.float()


def _read_json(spec: BaseSpec, name: str) -> dict[str, Any]:
    content = json.loads((spec.path / name).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{name} holds no settings")
    return content

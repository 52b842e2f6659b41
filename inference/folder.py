"""What the families of bases have in common: a pipeline folder with parts to load, a VAE, perhaps an enlarger.

Shapes: P pictures of one size, C latent channels, H x W latent, T numbers of a texture.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from inference.catalog import BaseSpec, Sampler, require_unchanged
from inference.enlarger import open_enlarger
from inference.errors import BaseUnusable
from inference.pixels import images_of, pixels_of


class PipelineFolder:
    """An open folder. Weights never change and need no gradient; latents are float32 whatever the weights are."""

    samplers: Mapping[str, Sampler]
    """Those of the family's kind."""
    vae: Any
    """Set by the family, as are the two numbers below."""
    latent_channels: int
    factor: int
    """Pixels per latent, along an edge."""

    def __init__(self, spec: BaseSpec, *, device: str) -> None:
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging

        logging.disable_progress_bar()
        diffusers_logging.disable_progress_bar()
        self.spec = spec
        if spec.sampler not in self.samplers:
            raise self._unusable(
                f"its sampler {spec.sampler!r} is not of the kind that its family draws with; "
                f"choose one of {', '.join(sorted(self.samplers))} in its entry"
            )
        self.sha256 = require_unchanged(spec)
        self.device = torch.device(device)
        self.enlarger = open_enlarger(spec.path, device=device)

    def encode_images(self, images: Sequence[Image.Image]) -> Tensor:
        """Latents (P, C, H, W) of RGB pictures of one size: the middle of what the VAE finds likely."""
        with torch.no_grad():
            encoded = self.vae.encode(pixels_of(images).to(self.device, self.vae.dtype))
            return self._latents_of(encoded.latent_dist.mode().float())

    def decode(self, latents_PCHW: Tensor) -> list[Image.Image]:
        """RGB pictures of finished latents."""
        with torch.no_grad():
            pixels = self.vae.decode(self._encoding_of(latents_PCHW).to(self.vae.dtype), return_dict=False)[0]
        return images_of(pixels)

    def noises(self, seed: int, *, width: int, height: int) -> Iterator[Tensor]:
        """Noise (C, H, W) of one picture, step by step: from its own generator, so nothing else can change it."""
        shape = (1, self.latent_channels, height // self.factor, width // self.factor)
        generator = torch.Generator("cpu").manual_seed(seed)
        while True:
            yield torch.randn(shape, generator=generator, dtype=torch.float32)[0].to(self.device)

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

    def finishing_blocks(self) -> list[nn.Module]:
        """The parts in which decoding and enlarging spend their time: between them a stop can still be heeded."""
        decoder = self.vae.decoder
        resnets = [part for block in decoder.up_blocks for part in block.resnets]
        return [*resnets, decoder.conv_out, *(self.enlarger.sub_blocks() if self.enlarger else ())]

    def _latents_of(self, encoding_PCHW: Tensor) -> Tensor:
        """The VAE's encoding, scaled so that its deviation is about 1."""
        config = self.vae.config
        return (encoding_PCHW - (config.get("shift_factor") or 0)) * config.scaling_factor  # type: ignore[no-any-return]

    def _encoding_of(self, latents_PCHW: Tensor) -> Tensor:
        """The way back."""
        config = self.vae.config
        return latents_PCHW / config.scaling_factor + (config.get("shift_factor") or 0)  # type: ignore[no-any-return]

    def _network(self, kind: Any, part: str, dtype: torch.dtype) -> Any:
        """A part with weights, frozen, on the device. Raises BaseUnusable."""
        network = self._part(kind, part, torch_dtype=dtype)
        return network.to(self.device).eval().requires_grad_(False)

    def _part(self, kind: Any, part: str, **options: Any) -> Any:
        """What `kind.from_pretrained` makes of a part of the folder. Raises BaseUnusable."""
        try:
            return kind.from_pretrained(self.spec.path / part, local_files_only=True, **options)
        except (OSError, ValueError, KeyError) as error:
            raise self._unusable(f"{error}; restore its folder {self.spec.path.name!r}") from error

    def _settings(self, file: str | Path) -> dict[str, Any]:
        """The content of a JSON file of the folder. Raises BaseUnusable."""
        try:
            content = json.loads((self.spec.path / file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self._unusable(f"{error}; restore its folder {self.spec.path.name!r}") from error
        if not isinstance(content, dict):
            raise self._unusable(f"{file} holds no settings; restore its folder {self.spec.path.name!r}")
        return content

    def _unusable(self, why: object) -> BaseUnusable:
        return BaseUnusable(f"base {self.spec.id!r} cannot be opened: {why}")

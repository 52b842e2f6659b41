"""Stable Diffusion 1.x and 2.x, and all that has the folder of a StableDiffusionPipeline: one CLIP encoder, a UNet.

Shapes: B rows, C latent channels, H x W latent, L text tokens, D text width.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inference.adapters.names import AdapterNames, Part, clip_part, dotted, flat
from inference.adapters.stack import RowAdapters, StackedAdapters, text_part
from inference.catalog import BaseSpec
from inference.prompts import fit_prompt
from inference.unet import UNetFolder


class StableDiffusion(UNetFolder):
    """An open base. A reading of a prompt is one tensor (L, D); a batch of readings is (B, L, D)."""

    names = AdapterNames(
        denoiser=Part(folder="unet", diffusers=dotted("unet."), kohya=flat("lora_unet_")),
        text=(clip_part("text_encoder", kohya="lora_te_"),),
    )

    def __init__(self, spec: BaseSpec, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        super().__init__(spec, device=device, dtype=dtype)
        # Imported here: it takes seconds, which a process that only names this class should not pay.
        from transformers import CLIPTextModel, CLIPTokenizer

        self.text_encoder = self._network(CLIPTextModel, "text_encoder", dtype)
        self.tokenizer: Any = self._part(CLIPTokenizer, "tokenizer")
        self.text_stack = StackedAdapters(nn.ModuleDict({"text_encoder": self.text_encoder}))

    def encode_prompts(self, prompts: Sequence[str], adapters: RowAdapters = ()) -> list[Tensor]:
        """What the UNet reads of each prompt, padded to the tokenizer's full length.

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
        states_BLD: Tensor = self.text_encoder(tokens)[0]
        self.text_stack.clear()
        return list(states_BLD.unbind(0))

    def fit_prompt(self, words: str, call: str) -> tuple[str, str]:
        """A prompt that the tokenizer reads to its end, and the words that had to be left out for it."""
        room = self.tokenizer.model_max_length - 2
        return fit_prompt(words, call, lambda prompt: self._num_tokens(prompt) <= room)

    def join_texts(self, texts: Sequence[Tensor]) -> Tensor:
        """One batch for `predict` of what `encode_prompts` gave."""
        return torch.stack(list(texts))

    def predict(self, latents_BCHW: Tensor, timesteps_B: Tensor, texts_BLD: Tensor) -> Tensor:
        """The UNet's prediction (B, C, H, W); every row has its own timestep. Keeps gradients."""
        return self._ask(latents_BCHW, timesteps_B, texts_BLD)

    def _num_tokens(self, prompt: str) -> int:
        return len(self.tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids)

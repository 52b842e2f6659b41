"""Stable Diffusion XL: two CLIP text encoders, a UNet that is also told a summary of the prompt and the picture's size.

Shapes: B rows, C latent channels, H x W latent, L text tokens, D width of both encoders together, E of the summary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from inference.adapters.names import AdapterNames, Part, clip_part, dotted, flat
from inference.adapters.stack import RowAdapters, StackedAdapters, text_part
from inference.catalog import BaseSpec
from inference.prompts import fit_prompt
from inference.unet import UNetFolder

LAYERS_PER_BLOCK = 2
"""Of every SDXL UNet; kohya's names count by it."""
SGM_HALVES = {"conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "conv2": "out_layers.3"}
SGM_HALVES |= {"conv_shortcut": "skip_connection"}
SGM_ENDS = {
    "conv_in": "input_blocks.0.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}


@dataclass(frozen=True, kw_only=True)
class Words:
    """What the UNet reads of a prompt, or with a leading B of a batch of prompts."""

    states: Tensor
    """(L, D) from both encoders."""
    summary: Tensor
    """(E,) from the second one."""


def sgm_name(name: str) -> str:
    """A layer of the UNet by the name that Stability's own code, and so kohya's tools, have for it."""
    if name in SGM_ENDS:
        return SGM_ENDS[name]
    block, _, rest = name.partition(".")
    if block == "mid_block":
        kind, number, inner = rest.split(".", 2)
        place = {("resnets", "0"): 0, ("attentions", "0"): 1, ("resnets", "1"): 2}[kind, number]
        return f"middle_block.{place}.{_sgm_inner(kind, inner)}"
    level, kind, number, inner = rest.split(".", 3)
    first = int(level) * (LAYERS_PER_BLOCK + 1)
    if block == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{first + 1 + LAYERS_PER_BLOCK}.0.op"
        return f"input_blocks.{first + 1 + int(number)}.{_sgm_place(kind)}.{_sgm_inner(kind, inner)}"
    if kind == "upsamplers":
        return f"output_blocks.{first + LAYERS_PER_BLOCK}.2.{inner}"
    return f"output_blocks.{first + int(number)}.{_sgm_place(kind)}.{_sgm_inner(kind, inner)}"


class StableDiffusionXL(UNetFolder):
    """An open base. A reading of a prompt, and of a batch of them, is `Words`."""

    names = AdapterNames(
        denoiser=Part(
            folder="unet",
            diffusers=dotted("unet."),
            kohya=flat("lora_unet_", sgm_name),
            others=(flat("lora_unet_"),),
        ),
        text=(clip_part("text_encoder", kohya="lora_te1_"), clip_part("text_encoder_2", kohya="lora_te2_")),
    )

    def __init__(self, spec: BaseSpec, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        super().__init__(spec, device=device, dtype=dtype)
        # Imported here: it takes seconds, which a process that only names this class should not pay.
        from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

        self.text_encoder = self._network(CLIPTextModel, "text_encoder", dtype)
        self.text_encoder_2 = self._network(CLIPTextModelWithProjection, "text_encoder_2", dtype)
        self.tokenizers: list[Any] = [self._part(CLIPTokenizer, part) for part in ("tokenizer", "tokenizer_2")]
        self.text_stack = StackedAdapters(
            nn.ModuleDict({"text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2})
        )
        self.is_empty_zero = bool(self._settings("model_index.json").get("force_zeros_for_empty_prompt", True))
        """An empty prompt is read as zeros, as in stock pipelines and as the base was trained."""

    def encode_prompts(self, prompts: Sequence[str], adapters: RowAdapters = ()) -> list[Words]:
        """What the UNet reads of each prompt: the states before the last layer of both encoders, padded to full length.

        Goes through the adapters' parts for the text encoders, if they have some. Keeps its gradients.
        """
        if not prompts:
            return []
        self.text_stack.bind([text_part(adapters)])
        first, second = (
            encoder(self._tokens(tokenizer, prompts), output_hidden_states=True)
            for encoder, tokenizer in zip((self.text_encoder, self.text_encoder_2), self.tokenizers, strict=True)
        )
        self.text_stack.clear()
        states_BLD = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
        read_B1 = torch.tensor(
            [[0.0] if self.is_empty_zero and not prompt else [1.0] for prompt in prompts],
            device=self.device,
            dtype=states_BLD.dtype,
        )
        states_BLD, summary_BE = states_BLD * read_B1[..., None], second.text_embeds * read_B1
        return [Words(states=states, summary=own) for states, own in zip(states_BLD, summary_BE, strict=True)]

    def fit_prompt(self, words: str, call: str) -> tuple[str, str]:
        """A prompt that both tokenizers read to its end, and the words that had to be left out for it."""
        return fit_prompt(words, call, lambda prompt: all(_fits(one, prompt) for one in self.tokenizers))

    def join_texts(self, texts: Sequence[Words]) -> Words:
        """One batch for `predict` of what `encode_prompts` gave."""
        return Words(
            states=torch.stack([text.states for text in texts]), summary=torch.stack([text.summary for text in texts])
        )

    def predict(self, latents_BCHW: Tensor, timesteps_B: Tensor, texts: Words) -> Tensor:
        """The UNet's prediction (B, C, H, W); every row has its own timestep. Keeps gradients.

        The picture is said to be as large as it is and not to be cut from a larger one: what one wants when drawing,
        and true of works in a training, which are scaled to the base's size or to a bucket of its area.
        """
        height, width = (edge * self.factor for edge in latents_BCHW.shape[2:])
        sizes_6 = latents_BCHW.new_tensor([height, width, 0, 0, height, width])
        told = {"text_embeds": texts.summary.to(self.unet.dtype), "time_ids": sizes_6.expand(len(latents_BCHW), -1)}
        return self._ask(latents_BCHW, timesteps_B, texts.states, added_cond_kwargs=told)

    def _tokens(self, tokenizer: Any, prompts: Sequence[str]) -> Tensor:
        length = tokenizer.model_max_length
        padded = partial(tokenizer, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return padded(list(prompts)).input_ids.to(self.device)  # type: ignore[no-any-return]


def _fits(tokenizer: Any, prompt: str) -> bool:
    room: int = tokenizer.model_max_length - 2
    return len(tokenizer(prompt, add_special_tokens=False, verbose=False).input_ids) <= room


def _sgm_place(kind: str) -> int:
    return {"resnets": 0, "attentions": 1}[kind]


def _sgm_inner(kind: str, inner: str) -> str:
    return SGM_HALVES[inner] if kind == "resnets" else inner

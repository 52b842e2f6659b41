"""FLUX.2 [klein], base: a flow-matching transformer that reads text and picture as one row of tokens.

The 4B weights are Apache-2.0. Only the undistilled ones ("base") are opened: the others answer as after guidance and in
four steps, so neither a guidance scale nor what an adapter learns means on them what it means elsewhere.

Shapes: B rows, C latent channels, H x W latent, L text tokens, D text width.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inference.adapters.names import AdapterNames, Part, dotted
from inference.adapters.stack import RowAdapters, StackedAdapters
from inference.catalog import FLOW_SAMPLERS, BaseSpec
from inference.folder import PipelineFolder
from inference.noising import FLOW_TIMESTEPS, flow_estimate, flow_levels
from inference.precision import large_weights_dtype
from inference.prompts import fit_prompt
from inference.samplers import Table, read_table

READ_LAYERS = (9, 18, 27)
"""Layers of the text encoder whose states the transformer was trained on, side by side (Flux2KleinPipeline)."""
MAX_TOKENS = 512
"""As many are read, the empty ones behind a short prompt included."""
PATCH = 2
"""Edge of the square of the VAE's places that one latent stands for."""


class Flux2Klein(PipelineFolder):
    """An open base. A reading of a prompt is (L, D) on the CPU, a batch of them (B, L, D) on the base's device."""

    samplers = FLOW_SAMPLERS
    names = AdapterNames(denoiser=Part(folder="transformer", diffusers=dotted("transformer.")))

    def __init__(self, spec: BaseSpec, *, device: str = "cpu", dtype: torch.dtype | None = None) -> None:
        super().__init__(spec, device=device)
        # Imported here: together they take seconds, which a process that only names this class should not pay.
        from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
        from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
        from transformers import AutoTokenizer, Qwen3ForCausalLM

        if self._settings("model_index.json").get("is_distilled"):
            raise self._unusable(
                "it is distilled, and styles can only be learnt over undistilled weights; take FLUX.2-klein-base-4B"
            )
        dtype = dtype or large_weights_dtype(self.device)
        self.denoiser = self._network(Flux2Transformer2DModel, "transformer", dtype)
        self.vae = self._network(AutoencoderKLFlux2, "vae", dtype)
        self.text_encoder = self._network(Qwen3ForCausalLM, "text_encoder", dtype)
        self.tokenizer: Any = self._part(AutoTokenizer, "tokenizer")
        self.text_stack = StackedAdapters(nn.ModuleDict())
        self.scheduler_config = self._settings("scheduler/scheduler_config.json")
        self.latent_channels = self.denoiser.config.in_channels
        self.factor = PATCH * 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.levels = flow_levels(self._mu(spec.steps, width=spec.size, height=spec.size))
        self.max_tokens = min(MAX_TOKENS, self.tokenizer.model_max_length)

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str], adapters: RowAdapters = ()) -> list[Tensor]:
        """What the transformer reads of each prompt: states of three layers of a language model.

        Adapters leave it alone. Kept on the CPU, because one takes 8 MB and a training holds hundreds.
        """
        found = []
        for prompt in prompts:
            asked = self._as_message(prompt)
            length = self.max_tokens
            tokens = self.tokenizer(
                asked, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            ).to(self.device)
            seen = self.text_encoder.model(
                input_ids=tokens.input_ids,
                attention_mask=tokens.attention_mask,
                output_hidden_states=True,
                use_cache=False,
            ).hidden_states
            found.append(torch.cat([seen[layer][0] for layer in READ_LAYERS], dim=-1).cpu())
        return found

    def fit_prompt(self, words: str, call: str) -> tuple[str, str]:
        """A prompt that the tokenizer reads to its end, and the words that had to be left out for it."""
        return fit_prompt(words, call, lambda prompt: self._num_tokens(prompt) <= self.max_tokens)

    def join_texts(self, texts: Sequence[Tensor]) -> Tensor:
        """One batch for `predict` of what `encode_prompts` gave."""
        return torch.stack(list(texts)).to(self.device)

    def table(self, sampler: str, *, steps: int, width: int, height: int, strength: float = 1.0) -> Table:
        """One run of a sampler for a picture of so many pixels: large ones spend more of it in noise.

        Raises InvalidRequest.
        """
        mu = self._mu(steps, width=width, height=height)
        return read_table(self.scheduler_config, sampler, steps=steps, strength=strength, mu=mu)

    def predict(self, latents_BCHW: Tensor, timesteps_B: Tensor, texts_BLD: Tensor) -> Tensor:
        """The transformer's answer (B, C, H, W) in float32; every row has its own timestep. Keeps gradients."""
        rows, channels, height, width = latents_BCHW.shape
        dtype = self.denoiser.dtype
        answer_BTC: Tensor = self.denoiser(
            hidden_states=latents_BCHW.to(dtype).flatten(2).transpose(1, 2),
            encoder_hidden_states=texts_BLD.to(dtype),
            timestep=timesteps_B.to(dtype) / FLOW_TIMESTEPS,
            img_ids=_places(1, height, width, 1, device=self.device),
            txt_ids=_places(1, 1, 1, texts_BLD.shape[1], device=self.device),
            guidance=None,
            return_dict=False,
        )[0]
        return answer_BTC.transpose(1, 2).reshape(rows, channels, height, width).float()

    def clean_estimate(self, latents_BCHW: Tensor, timesteps_B: Tensor, outputs_BCHW: Tensor) -> Tensor:
        """The finished latents that an answer points to, (B, C, H, W)."""
        return flow_estimate(latents_BCHW, timesteps_B, outputs_BCHW)

    def sub_blocks(self) -> list[nn.Module]:
        """The transformer's blocks: between them a stop can still be heeded."""
        return [*self.denoiser.transformer_blocks, *self.denoiser.single_transformer_blocks]

    def _latents_of(self, encoding_PCHW: Tensor) -> Tensor:
        mean_C11, deviation_C11 = self._moments()
        return (F.pixel_unshuffle(encoding_PCHW, PATCH) - mean_C11) / deviation_C11

    def _encoding_of(self, latents_PCHW: Tensor) -> Tensor:
        mean_C11, deviation_C11 = self._moments()
        return F.pixel_shuffle(latents_PCHW * deviation_C11 + mean_C11, PATCH)

    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each latent channel, as the VAE's own statistics have them."""
        statistics, least = self.vae.bn, self.vae.config.batch_norm_eps
        mean_C, variance_C = statistics.running_mean.float(), statistics.running_var.float()
        return mean_C.reshape(-1, 1, 1), (variance_C + least).sqrt().reshape(-1, 1, 1)

    def _mu(self, steps: int, *, width: int, height: int) -> float:
        return run_shift(steps, tokens=(width // self.factor) * (height // self.factor))

    def _as_message(self, prompt: str) -> str:
        """The prompt as a question to the language model, which is how it was read in the base's training."""
        said = [{"role": "user", "content": prompt}]
        text: str = self.tokenizer.apply_chat_template(
            said, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return text

    def _num_tokens(self, prompt: str) -> int:
        return len(self.tokenizer(self._as_message(prompt), verbose=False).input_ids)


def run_shift(steps: int, *, tokens: int) -> float:
    """How far a run of so many steps is moved towards noise, in the logit, for a picture of so many tokens.

    Two lines in the number of tokens, for 10 and for 200 steps, and between them in the number of steps; above 4300
    tokens the second one alone. Source: black-forest-labs/flux2, compute_empirical_mu.
    """
    at_200 = 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return at_200
    at_10 = 8.73809524e-05 * tokens + 1.89833333
    slope = (at_200 - at_10) / 190
    return at_200 + slope * (steps - 200)


def _places(*edges: int, device: torch.device) -> Tensor:
    """Every place of a grid, (places, 4): time, row, column, token."""
    return torch.cartesian_prod(*(torch.arange(edge, device=device) for edge in edges))

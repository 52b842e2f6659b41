"""Pictures in the making: rows that share a forward and nothing else.

Shapes: B rows of one size, C latent channels, H x W latent, K remembered outputs.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from inference.adapters.stack import RowAdapters, StackedAdapters
from inference.bases.sd import StableDiffusion
from inference.samplers import Table, known_state, start_state


@dataclass(kw_only=True)
class Row:
    """One picture: its numbers and where it stands. Only `advance` changes it, and only after a whole forward."""

    table: Table
    noise_CHW: Tensor
    texts: tuple[Tensor, ...]
    """What the prompt says, then what the negative prompt says; the second only with guidance."""
    guidance: float
    guidance_rescale: float = 0.0
    adapters: RowAdapters = ()
    clean_CHW: Tensor | None = None
    """Latent of the source picture."""
    mask_1HW: Tensor | None = None
    """1 where the picture is made anew, 0 where the source is kept."""
    kept: tuple[Image.Image, Image.Image] | None = None
    """Source picture and mask in pixels: outside the mask the drawn picture is the source, exactly."""
    kept_large: tuple[Image.Image, Image.Image] | None = None
    """The same at the size of an enlarged picture, where the source was sent at least as large."""
    index: int = 0
    """Model calls done."""
    latent_CHW: Tensor = field(init=False)
    outputs: deque[Tensor] = field(init=False)
    """The newest outputs, newest first."""
    estimate_CHW: Tensor | None = field(default=None, init=False)
    """The finished latent that the last output pointed to."""

    def __post_init__(self) -> None:
        self.latent_CHW = start_state(self.table, self.noise_CHW, self.clean_CHW)
        self.outputs = deque(maxlen=self.table.memory)
        if len(self.table) == 0:
            assert self.clean_CHW is not None
            self.latent_CHW = self.clean_CHW

    @property
    def is_finished(self) -> bool:
        return self.index >= len(self.table)

    @property
    def is_guided(self) -> bool:
        return len(self.texts) > 1


class Batch:
    """The rows of one size that run together. Made anew when a row joins or leaves."""

    def __init__(self, base: StableDiffusion, stack: StackedAdapters, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self._base = base
        self._stack = stack
        self._guided = [number for number, row in enumerate(rows) if row.is_guided]
        entries = [*rows, *(rows[number] for number in self._guided)]
        texts = [row.texts[0] for row in rows] + [rows[number].texts[1] for number in self._guided]
        self._texts = base.join_texts(texts)
        self._adapters = [row.adapters for row in entries]
        self._guidance_G111 = _column([rows[number].guidance for number in self._guided], like=rows[0].latent_CHW)
        self._rescale_G111 = _column(
            [rows[number].guidance_rescale for number in self._guided], like=rows[0].latent_CHW
        )

    @property
    def num_forward_rows(self) -> int:
        """Rows of one model call: guided pictures count twice."""
        return len(self._adapters)

    def bind(self) -> None:
        """Gather this batch's adapters and lay them over the base."""
        self._stack.bind(self._adapters)

    def step(self) -> None:
        """One model call for every row. A row changes only if the whole call succeeds."""
        rows, guided = self.rows, self._guided
        timesteps_B = torch.stack([row.table.timesteps_S[row.index] for row in rows])
        scale_B111 = _column([row.table.scale_in_S[row.index].item() for row in rows], like=rows[0].latent_CHW)
        seen_BCHW = torch.stack([row.latent_CHW for row in rows]) * scale_B111
        timesteps_B = timesteps_B.to(seen_BCHW.device)
        with torch.no_grad():
            predicted = self._base.predict(
                torch.cat([seen_BCHW, seen_BCHW[guided]]), torch.cat([timesteps_B, timesteps_B[guided]]), self._texts
            )
        outputs_BCHW = predicted[: len(rows)].clone()
        if guided:
            outputs_BCHW[guided] = guide(
                outputs_BCHW[guided], predicted[len(rows) :], self._guidance_G111, self._rescale_G111
            )
        estimates_BCHW = self._base.clean_estimate(seen_BCHW, timesteps_B, outputs_BCHW)
        advance(rows, outputs_BCHW, estimates_BCHW)


def guide(wanted: Tensor, unwanted: Tensor, guidance_G111: Tensor, rescale_G111: Tensor) -> Tensor:
    """Classifier-free guidance: away from what the negative prompt predicts.

    A share `rescale` of the answer has its deviation set back to that of `wanted`, which keeps colours from
    oversaturating where the noise schedule ends in pure noise. All (G, C, H, W) or (G, 1, 1, 1).
    Source: Lin and others, arXiv 2305.08891, section 3.4.
    """
    guided = unwanted + guidance_G111 * (wanted - unwanted)
    if not rescale_G111.any():
        return guided
    deviation = guided.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-8)
    level = guided * (wanted.std(dim=(1, 2, 3), keepdim=True) / deviation)
    return rescale_G111 * level + (1 - rescale_G111) * guided


def advance(rows: Sequence[Row], outputs_BCHW: Tensor, estimates_BCHW: Tensor) -> None:
    """Move every row to its next state in one update, each by its own table."""
    depth = max(row.table.memory for row in rows)
    mix_BK = outputs_BCHW.new_zeros(len(rows), depth)
    recent_BKCHW = outputs_BCHW.new_zeros(len(rows), depth, *outputs_BCHW.shape[1:])
    for number, row in enumerate(rows):
        row.outputs.appendleft(outputs_BCHW[number])
        row.estimate_CHW = estimates_BCHW[number]
        mix_BK[number, : row.table.memory] = row.table.mix_SK[row.index]
        recent_BKCHW[number, : len(row.outputs)] = torch.stack(list(row.outputs))
    carry_B111 = _column([row.table.carry_S[row.index].item() for row in rows], like=outputs_BCHW)
    latents_BCHW = torch.stack([row.latent_CHW for row in rows])
    latents_BCHW = carry_B111 * latents_BCHW + torch.einsum("bk,bkchw->bchw", mix_BK, recent_BKCHW)
    for row, latent_CHW in zip(rows, latents_BCHW, strict=True):
        row.index += 1
        row.latent_CHW = latent_CHW if row.mask_1HW is None else _keep_outside(row, latent_CHW, row.mask_1HW)


def _keep_outside(row: Row, latent_CHW: Tensor, mask_1HW: Tensor) -> Tensor:
    assert row.clean_CHW is not None
    known_CHW = known_state(row.table, row.index, row.noise_CHW, row.clean_CHW)
    return mask_1HW * latent_CHW + (1 - mask_1HW) * known_CHW


def _column(values: Sequence[float], *, like: Tensor) -> Tensor:
    """Numbers as (len, 1, 1, 1), to scale rows by."""
    return torch.tensor(values, device=like.device, dtype=like.dtype).reshape(-1, 1, 1, 1)

"""Pictures in the making: rows that share a forward and nothing else.

Shapes: B rows of one size, A questions about them (K about one row), C latent channels, H x W latent.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image
from torch import Tensor

from inference.adapters.stack import StackedAdapters, side_by_side
from inference.bases import Base
from inference.guidance import Ask, blend
from inference.samplers import Table, known_state, start_state


@dataclass(kw_only=True)
class Row:
    """One picture: its numbers and where it stands. Once begun only `advance` changes it, after a whole forward."""

    table: Table
    noises: Iterator[Tensor]
    """What it starts from, then what a stochastic sampler adds, step by step: from a generator of its own."""
    asks: tuple[Ask, ...]
    guidance_rescale: float = 0.0
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
    noise_CHW: Tensor = field(init=False)
    """The first of the noises."""
    latent_CHW: Tensor = field(init=False)
    outputs: deque[Tensor] = field(init=False)
    """The newest outputs, newest first."""
    estimate_CHW: Tensor | None = field(default=None, init=False)
    """The finished latent that the last output pointed to."""

    def __post_init__(self) -> None:
        self.noise_CHW = next(self.noises)
        self.latent_CHW = start_state(self.table, self.noise_CHW, self.clean_CHW)
        self.outputs = deque(maxlen=self.table.memory)
        if len(self.table) == 0:
            assert self.clean_CHW is not None
            self.latent_CHW = self.clean_CHW

    @property
    def is_finished(self) -> bool:
        return self.index >= len(self.table)

    def go_on_from(self, index: int, latent_CHW: Tensor, outputs: Sequence[Tensor]) -> None:
        """Stand where another row of the same request stood after `index` model calls; outputs are newest first."""
        for added in self.table.fresh_S[:index].tolist():
            if added:
                # What was added up to there is drawn and dropped, so that what follows is the same noise.
                next(self.noises)
        self.index, self.latent_CHW = index, latent_CHW
        self.outputs.extend(outputs)


class Batch:
    """The rows of one size that run together. Made anew when a row joins or leaves."""

    def __init__(self, base: Base, stack: StackedAdapters, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self._base = base
        self._stack = stack
        asks = [(owner, ask) for owner, row in enumerate(rows) for ask in row.asks]
        order = side_by_side([ask.adapters for _, ask in asks])
        self._texts = base.join_texts([asks[place][1].text for place in order])
        self._gathered = stack.gather([asks[place][1].adapters for place in order])
        self._weights = [_column([ask.weight for ask in row.asks], like=rows[0].latent_CHW) for row in rows]
        device = rows[0].latent_CHW.device
        self._owner_A = torch.tensor([asks[place][0] for place in order], device=device)
        self._back_A = torch.tensor(order, device=device).argsort()
        """Where each row's answers are, in the order of the rows."""

    @property
    def num_forward_rows(self) -> int:
        """Rows of one model call: one for each question about each picture."""
        return len(self._owner_A)

    def bind(self) -> None:
        """Lay this batch's adapters over the base."""
        self._stack.lay(self._gathered)

    def step(self) -> None:
        """One model call for every row. A row changes only if the whole call succeeds."""
        rows, owner_A = self.rows, self._owner_A
        timesteps_B = torch.stack([row.table.timesteps_S[row.index] for row in rows])
        scale_B111 = _column([row.table.scale_in_S[row.index].item() for row in rows], like=rows[0].latent_CHW)
        seen_BCHW = torch.stack([row.latent_CHW for row in rows]) * scale_B111
        timesteps_B = timesteps_B.to(seen_BCHW.device)
        with torch.no_grad():
            answers_ACHW = self._base.predict(seen_BCHW[owner_A], timesteps_B[owner_A], self._texts)
        parts = torch.split(answers_ACHW[self._back_A], [len(row.asks) for row in rows])
        outputs_BCHW = torch.stack(
            [
                blend(part_KCHW, weights_K111, row.guidance_rescale)
                for part_KCHW, weights_K111, row in zip(parts, self._weights, rows, strict=True)
            ]
        )
        estimates_BCHW = self._base.clean_estimate(seen_BCHW, timesteps_B, outputs_BCHW)
        advance(rows, outputs_BCHW, estimates_BCHW)


def advance(rows: Sequence[Row], outputs_BCHW: Tensor, estimates_BCHW: Tensor) -> None:
    """Move every row to its next state in one update, each by its own table that mixes its K newest outputs."""
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
    for number, row in enumerate(rows):
        if added := row.table.fresh_S[row.index].item():
            latents_BCHW[number] += added * next(row.noises)
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

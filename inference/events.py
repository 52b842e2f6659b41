"""The engine as who serves people knows it: one picture asked for, what happens to it heard one by one. Thin: no torch.

`Draws` is what an engine must be able to do, in this process or another; `inference.engine.Engine` is the one in this.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from threading import Event as Flag
from typing import Protocol

from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Result, Step, Tier
from inference.pace import Speed

UNHEARD = "canceled"
"""Why a picture stopped whose events nobody wanted any more, where its own stop function gave no reason."""


class Draws(Protocol):
    """An open base."""

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        """Queue one picture; see `Engine.submit`. `stop` and `on_step` are called from a thread of the engine's."""

    def speed(self) -> Speed:
        """How fast it draws."""

    def prefetch(self, ref: AdapterRef) -> None:
        """Begin to read an adapter that a request will likely name soon."""

    def forget(self, sha256: str) -> None:
        """Drop an adapter that may no longer be used, and end the pictures that name it."""

    def adapter_tiers(self) -> dict[str, Tier]:
        """How often adapters were at hand when they were needed, by the place where they lie."""

    def close(self) -> None:
        """Stop what runs and waits, then end."""


async def submit(
    engine: Draws,
    request: ImageRequest,
    *,
    stop: Callable[[], str | None],
    turn: Turn | None = None,
    halfway: bytes | None = None,
) -> AsyncGenerator[Step | Result, None]:
    """Queue one picture, and yield its steps as they are made, then its one end.

    Who closes this, or is cancelled while waiting for it, ends the picture; wrap it in `contextlib.aclosing` where
    something else is awaited between two events. `stop` is called from the engine's thread, as `Engine.submit` says.
    Raises what that raises, and the picture's own InferenceError.
    """
    loop, heard, unheard = asyncio.get_running_loop(), asyncio.Queue[Step | Future[Result]](), Flag()

    def tell(event: "Step | Future[Result]") -> None:
        # Once nobody listens the loop may be gone as well.
        if not unheard.is_set():
            loop.call_soon_threadsafe(heard.put_nowait, event)

    def must_stop() -> str | None:
        return stop() or (UNHEARD if unheard.is_set() else None)

    end = engine.submit(request, stop=must_stop, on_step=tell, turn=turn, halfway=halfway)
    end.add_done_callback(tell)
    try:
        while isinstance(event := await heard.get(), Step):
            yield event
        yield event.result()
    finally:
        unheard.set()

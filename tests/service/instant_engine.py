"""An engine that draws nothing: it has a picture at hand for everybody."""

import io
from collections.abc import Callable
from concurrent.futures import Future

from PIL import Image

from inference.fairness import Turn
from inference.messages import AdapterRef, ImageRequest, Picture, Result, Step, Tier
from inference.pace import Speed


class InstantEngine:
    """Answers at once, without a step. `edge` in pixels; `steps` are those that its pictures claim."""

    def __init__(self, *, speed: Speed, steps: int = 1, edge: int = 32) -> None:
        file = io.BytesIO()
        Image.effect_noise((edge, edge), 40).convert("RGB").save(file, "PNG")
        self._png, self._edge, self._steps, self._speed = file.getvalue(), edge, steps, speed

    def submit(
        self,
        request: ImageRequest,
        *,
        stop: Callable[[], str | None],
        on_step: Callable[[Step], None] | None = None,
        turn: Turn | None = None,
        halfway: bytes | None = None,
    ) -> "Future[Result]":
        future: Future[Result] = Future()
        future.set_result(self.picture(request))
        return future

    def picture(self, request: ImageRequest) -> Picture:
        return Picture(
            request_id=request.id,
            png=self._png,
            width=self._edge,
            height=self._edge,
            seed=request.seed,
            steps=self._steps,
            seconds=0.1,
            receipt={},
        )

    def speed(self) -> Speed:
        return self._speed

    def prefetch(self, ref: AdapterRef) -> None:
        assert ref.sha256

    def adapter_tiers(self) -> dict[str, Tier]:
        return {}

    def forget(self, sha256: str) -> None:
        assert sha256

    def close(self) -> None:
        """It holds nothing."""

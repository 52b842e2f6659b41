"""How single pictures are drawn, for a worker that looks at them one by one. Needs torch, as `strokes` does."""

import io
import threading
from collections.abc import Sequence

from PIL import Image

from training.review.strokes import Network, Strokes, numbers_of


class Eye:
    """The network, loaded once. Threads that look at the same time wait for one another."""

    def __init__(self) -> None:
        self._network = Network()
        # What the network's blocks see is caught while it runs: two at once would catch each other's.
        self._lock = threading.Lock()

    def __call__(self, pictures: Sequence[bytes]) -> Strokes:
        """How each picture (the bytes of a file, upright) is drawn, (N, T + C) float32. Raises OSError for what is no
        picture."""
        images = []
        for content in pictures:
            with Image.open(io.BytesIO(content)) as opened:
                images.append(opened.convert("RGB"))
        with self._lock:
            return numbers_of(images, self._network)

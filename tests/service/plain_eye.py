"""What looks at pictures in tests, in place of a network."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.review.appearance import PLAIN


def see(pictures: Sequence[bytes]) -> NDArray[np.float32]:
    """An eye that knows nothing but the mean colour."""
    means = [np.asarray(Image.open(io.BytesIO(one)).convert("RGB"), np.float32).mean(axis=(0, 1)) for one in pictures]
    return np.pad(np.stack(means), ((0, 0), (8, PLAIN - 3))).astype(np.float32)

"""The content check by NudeNet: an optional extra, for it comes under the AGPL-3.0. Thin until one is opened.

The wheel's own metadata says MIT, but the licence text that lies in it is the AGPL-3.0's, and its model is a YOLOv8 of
Ultralytics, who publish theirs under the same. Whoever installs it agrees to that; nothing of it is part of Ownhand.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from PIL import Image

from inference.verdicts import Objection, Stage

NAME = "nudenet"
REFUSED = {
    "ANUS_EXPOSED",
    "BUTTOCKS_EXPOSED",
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
}
"""Of the parts of a body that it tells apart."""
SURE = 0.5
"""Score from which it is believed; it names nothing under 0.25. Not tuned: there are no pictures here to tune it on."""
SENTENCES: Mapping[Stage, str] = {
    "image": "the picture to start from shows nudity, as far as a classifier can tell; send another one",
    "preview": "the picture was about to show nudity, as far as a classifier can tell; change the words or the seed",
    "picture": "the picture came out showing nudity, as far as a classifier can tell; change the words or the seed",
}


class NudeNet:
    """Objects to nudity, from the picture that a variation starts from to the one that is finished. It takes a tenth of
    a second for a picture, on a CPU."""

    name = NAME
    licence = "AGPL-3.0-only"
    stages: frozenset[Stage] = frozenset({"image", "preview", "picture"})

    def __init__(self) -> None:
        """Raises ImportError where the package is not installed."""
        self._detector: Any = import_module("nudenet").NudeDetector()

    def check(self, image: Image.Image, stage: Stage) -> Objection | None:
        # It turns the channels round twice, so the model sees them in the order in which they come here: that of its
        # family's training. In the other one, which its readme gives it, it was less sure of what it saw.
        return objection_to(self._detector.detect(np.asarray(image)), stage)


def objection_to(found: Sequence[Mapping[str, Any]], stage: Stage) -> Objection | None:
    """What there is to object to in what the model found, a list of {class, score, box}."""
    if not any(one["class"] in REFUSED and one["score"] >= SURE for one in found):
        return None
    return Objection(checker=NAME, stage=stage, kind="content", sentence=SENTENCES[stage])

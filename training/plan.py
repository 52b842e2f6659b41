"""Which works are learnt from and which are held out to judge by, and what every step of a training looks at.

All of it follows from (seed, step, slot) alone: nothing about the order needs saving, so a resumed training sees what
an uninterrupted one sees.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from training.captions import with_trigger
from training.encode import Encoded
from training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Split:
    """Numbers of works, near-duplicates always on one side."""

    trained: tuple[tuple[int, ...], ...]
    """Clusters; each counts as one work, however many pictures it holds."""
    held_out: tuple[int, ...]

    @property
    def trained_works(self) -> tuple[int, ...]:
        return tuple(sorted(number for cluster in self.trained for number in cluster))


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one row of one step learns from."""

    work: int
    version: int
    prompt: str
    timestep: int
    """Number of a noise level of the base (`inference.noising.NoiseLevels`)."""
    noise_seed: int


def split_works(clusters: Sequence[Sequence[int]], recipe: Recipe, *, seed: int) -> Split:
    """Hold out about as many works as the recipe says, by whole clusters.

    Small clusters are held out first: a work that was saved many times belongs to what is learnt. The smallest is held
    out even where it is larger than that: without any nothing could be judged. There are at least two.
    """
    num_works = sum(len(cluster) for cluster in clusters)
    wanted = recipe.num_held_out(num_works)
    shuffled = sorted(clusters, key=lambda cluster: (len(cluster), _digest("hold out", seed, min(cluster))))
    held: list[int] = []
    kept: list[tuple[int, ...]] = []
    for place, cluster in enumerate(shuffled):
        is_needed = not held or len(held) + len(cluster) <= wanted
        if is_needed and place < len(shuffled) - 1:
            held += cluster
        else:
            kept.append(tuple(cluster))
    return Split(trained=tuple(sorted(kept)), held_out=tuple(sorted(held)))


def style_look(
    data: Encoded, split: Split, recipe: Recipe, *, seed: int, step: int, slot: int, rows: int, timesteps: int
) -> Look:
    """What style row `slot` of `rows` learns from in `step`: every cluster once before any comes twice."""
    place = step * rows + slot
    epoch, position = divmod(place, len(split.trained))
    order = list(range(len(split.trained)))
    random.Random(_digest("epoch", seed, epoch)).shuffle(order)
    draw = random.Random(_digest("style", seed, step, slot))
    work = draw.choice(split.trained[order[position]])
    caption = "" if draw.random() < recipe.caption_dropout else draw.choice(data.captions[work])
    return _look(data, draw, work, draw.choice(with_trigger(caption, data.trigger)), timesteps)


def prior_look(data: Encoded, split: Split, *, seed: int, step: int, slot: int, timesteps: int) -> Look:
    """What prior row `slot` is asked in `step`: a work with a caption that does not call the style, or with none."""
    draw = random.Random(_digest("prior", seed, step, slot))
    work = draw.choice(split.trained_works)
    every = [caption for captions in data.captions for caption in captions]
    return _look(data, draw, work, "" if draw.random() < 0.3 else draw.choice(every), timesteps)


def _look(data: Encoded, draw: random.Random, work: int, prompt: str, timesteps: int) -> Look:
    return Look(
        work=work,
        version=draw.randrange(len(data.latents_VCHW[work])),
        prompt=prompt,
        timestep=draw.randrange(timesteps),
        noise_seed=draw.getrandbits(53),
    )


def _digest(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(" ".join(map(str, parts)).encode()).digest()[:8])

"""What the works of a style look like, for whoever draws with it: near-copies are told by it."""

from PIL import Image

from inference.catalog import BaseSpec, size_step
from inference.likeness import Look, look_at
from training.buckets import bucket_for
from training.encode import versions
from training.works import Review

LOOKS = "looks.npy"


def looks_of(review: Review, spec: BaseSpec, *, crops: int, seed: int) -> list[list[Look]]:
    """Every work, repeats of one picture together, in every form in which it may have been learnt: moved and mirrored
    as trainings do it, as a square of the base and in a shape near its own.

    Held-out works are looked at in the same way: they are no less their creator's.
    """
    return [
        [look for number in cluster for look in _looks(review.good[number].image, spec, crops, f"{seed} {number}")]
        for cluster in review.clusters
    ]


def _looks(image: Image.Image, spec: BaseSpec, crops: int, seed: str) -> list[Look]:
    own = bucket_for(*image.size, size=spec.size, step=size_step(spec), max_size=spec.max_size)
    buckets = dict.fromkeys(((spec.size, spec.size), own))
    return [
        look_at(form)
        for bucket in buckets
        for form in versions(image, bucket=bucket, crops=crops, flips=True, seed=seed)
    ]

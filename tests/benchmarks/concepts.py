"""A probe that names everyday concepts in pictures, learnt from real pictures of the training sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from inference.pixels import images_of
from tests.benchmarks.features import Features, top_k, train_probe
from training.base.data import Pictures
from training.base.paper import lay_on

CONCEPTS = 60


@dataclass(frozen=True, kw_only=True)
class ConceptProbe:
    """A classifier of the everyday concepts and of "something else", so that a blob has a place to go."""

    concepts: tuple[str, ...]
    network: nn.Module
    seen_ND: Tensor
    """Features of the real pictures it learnt from."""
    unseen_ND: Tensor
    """Features of held-out real pictures of the concepts."""
    unseen_words: tuple[str, ...]

    def hits(self, features_ND: Tensor, words: Sequence[str], k: int) -> float:
        """Share of pictures, 0 to 1, whose word is among the k best guesses."""
        labels_N = torch.tensor([self.concepts.index(word) for word in words])
        return top_k(self.network(features_ND), labels_N, k)


def learn_concepts(pictures: Pictures, features: Features, *, seed: int) -> ConceptProbe:
    """The probe of the 60 everyday concepts that have the most held-out pictures."""
    concepts = everyday_concepts(pictures)
    train = _with_others(pictures, concepts, "train")
    held = [int(number) for number in pictures.of("held") if pictures.rows[number]["everyday"] in concepts]
    seen_ND, unseen_ND = features(real(pictures, train)), features(real(pictures, held))
    labels_N = torch.tensor([_label(pictures, number, concepts) for number in train])
    return ConceptProbe(
        concepts=concepts,
        network=train_probe(seen_ND, labels_N, CONCEPTS + 1, seed=seed),
        seen_ND=seen_ND,
        unseen_ND=unseen_ND,
        unseen_words=tuple(pictures.rows[number]["everyday"] for number in held),
    )


def everyday_concepts(pictures: Pictures) -> tuple[str, ...]:
    """In alphabetical order."""
    counts: dict[str, int] = {}
    for row in pictures.rows:
        if row["everyday"]:
            counts[row["everyday"]] = counts.get(row["everyday"], 0) + (row["split"] == "held")
    return tuple(sorted(sorted(counts, key=lambda word: (-counts[word], word))[:CONCEPTS]))


def real(pictures: Pictures, numbers: Sequence[int]) -> np.ndarray:
    """Plain layouts on white, (N, s, s, 3) uint8."""
    return on_white(pictures.pixels[list(numbers), 0])


def on_white(drawings: np.ndarray) -> np.ndarray:
    """RGBA drawings (N, s, s, 4) uint8 laid on white, (N, s, s, 3) uint8."""
    laid = lay_on(torch.from_numpy(np.ascontiguousarray(drawings)))
    return np.stack([np.asarray(picture) for picture in images_of(laid)])


def _with_others(pictures: Pictures, concepts: Sequence[str], split: str) -> list[int]:
    """Pictures of the concepts, and as many others again, for the probe's last class."""
    numbers = [int(number) for number in pictures.of(split)]
    wanted = [number for number in numbers if pictures.rows[number]["everyday"] in concepts]
    others = [number for number in numbers if not pictures.rows[number]["everyday"]]
    return sorted(wanted + others[:: max(1, len(others) // max(1, len(wanted)))])


def _label(pictures: Pictures, number: int, concepts: Sequence[str]) -> int:
    word = pictures.rows[number]["everyday"]
    return concepts.index(word) if word in concepts else CONCEPTS

"""A base's recipe: every number of its training, read from one TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """Which drawings, at which size, and how often each kind is seen."""

    size: int
    layouts: int
    held_everyday: float
    held_other: float
    one_colour: bool
    keywords: str
    weights: Mapping[str, float]
    sets: Mapping[str, str]
    one_colour_sets: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def styles(self) -> dict[str, str]:
        """Package name -> style word of every set that this recipe trains on."""
        return {**self.sets, **(self.one_colour_sets if self.one_colour else {})}


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """Shape and training of the autoencoder. `crop_share` is the first part of the steps, spent on crops."""

    channels: tuple[int, ...]
    latent_channels: int
    norm_groups: int
    crop_batch: int
    batch: int
    crop_share: float
    learning_rate: float
    matrix_factor: float
    warmup: int
    kl: float
    gradient: float
    colour: float
    half_size: float
    ema: float

    @property
    def factor(self) -> int:
        """Picture pixels per latent pixel, along one side."""
        return int(2 ** (len(self.channels) - 1))


@dataclass(frozen=True, kw_only=True)
class TextRecipe:
    """Shape of the tokenizer and the text encoder."""

    vocabulary: int
    length: int
    hidden: int
    layers: int
    heads: int


@dataclass(frozen=True, kw_only=True)
class DenoiserRecipe:
    """Shape and training of the denoiser. `gamma` caps the weight of low noise (min-SNR)."""

    channels: tuple[int, ...]
    layers: int
    heads: int
    norm_groups: int
    batch: int
    learning_rate: float
    matrix_factor: float
    warmup: int
    ema: float
    text_dropout: float
    gamma: float


@dataclass(frozen=True, kw_only=True)
class EnlargerRecipe:
    """Shape and training of the enlarger. A batch has `crops` squares of `crop` small pixels from each of `batch`
    pictures; `plain_share` of the pictures are spared the autoencoder, `noise` is the most its latents get."""

    factor: int
    channels: int
    blocks: int
    fine_channels: int
    pictures: int
    batch: int
    crops: int
    crop: int
    plain_share: float
    noise: float
    learning_rate: float
    matrix_factor: float
    warmup: int
    gradient: float
    ema: float


@dataclass(frozen=True, kw_only=True)
class BaseRecipe:
    """All of a base."""

    seed: int
    data: DataRecipe
    autoencoder: AutoencoderRecipe
    text: TextRecipe
    denoiser: DenoiserRecipe
    enlarger: EnlargerRecipe


def read_recipe(path: Path) -> BaseRecipe:
    """The recipe in the TOML file `path`; a missing or unknown key is a TypeError that names it."""
    raw = tomllib.loads(path.read_text())
    for part in ("autoencoder", "denoiser"):
        raw[part]["channels"] = tuple(raw[part]["channels"])
    return BaseRecipe(
        seed=raw["seed"],
        data=DataRecipe(**raw["data"]),
        autoencoder=AutoencoderRecipe(**raw["autoencoder"]),
        text=TextRecipe(**raw["text"]),
        denoiser=DenoiserRecipe(**raw["denoiser"]),
        enlarger=EnlargerRecipe(**raw["enlarger"]),
    )


def read_everyday(path: Path) -> dict[str, frozenset[str]]:
    """Everyday concept -> the drawing names and labels that show it."""
    concepts = tomllib.loads(path.read_text())["concepts"]
    return {word.replace("_", " "): frozenset(names) for word, names in concepts.items()}

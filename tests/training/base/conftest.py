"""A work folder with a handful of drawings, and a recipe that trains on it in a second."""

import json
from pathlib import Path

import pytest
import torch

from training.base.autoencoder import train_autoencoder
from training.base.collection import collect
from training.base.data import make_data
from training.base.denoiser import train_denoiser
from training.base.enlarger import train_enlarger
from training.base.latents import encode
from training.base.loop import Session
from training.base.recipe import AutoencoderRecipe, BaseRecipe, DataRecipe, DenoiserRecipe, EnlargerRecipe, TextRecipe

EVERYDAY = {"apple": frozenset({"red apple", "apple"})}
DRAWINGS = {
    "red-apple": '<circle cx="8" cy="9" r="6" fill="#d22"/>',
    "house": '<path d="M1 8 8 1 15 8V15H1z" fill="#369"/>',
    "apple-again": '<circle cx="8" cy="9" r="6" fill="#d22"/>',
    "person-waving": '<circle cx="8" cy="4" r="3" fill="#fc3"/>',
    "person-waving-dark": '<circle cx="8" cy="4" r="3" fill="#642"/>',
    "flag-france": '<rect width="5" height="12" fill="#00f"/>',
    "empty-thing": '<g fill="none"/>',
    "left-arrow": '<path d="M2 8 9 2V14z" fill="#555"/>',
    "fir-tree": '<path d="M8 1 14 14H2z" fill="#285"/>',
}
EMOJI = [
    {"label": "red apple", "hexcode": "1F34E", "tags": ["fruit", "red"], "group": 4, "subgroup": 42},
    {"label": "house", "hexcode": "1F3E0", "tags": ["home"], "group": 5, "subgroup": 51},
    {"label": "person waving", "hexcode": "1F44B", "tags": [], "group": 1, "subgroup": 23},
    {"label": "regional indicator A", "hexcode": "1F1E6", "tags": []},
]


@pytest.fixture(scope="session")
def recipe() -> BaseRecipe:
    return BaseRecipe(
        seed=5,
        data=DataRecipe(
            size=32,
            layouts=2,
            held_everyday=0.3,
            held_other=0.3,
            one_colour=False,
            keywords="emojibase-data",
            weights={"everyday": 4.0, "concrete": 2.0, "people": 0.7, "abstract": 0.5},
            sets={"drawn": "drawn"},
            one_colour_sets={},
            versions={"@iconify-json/drawn": "1.0.0", "emojibase-data": "1.0.0"},
        ),
        autoencoder=AutoencoderRecipe(
            channels=(8, 16, 16),
            latent_channels=4,
            norm_groups=2,
            crop_batch=2,
            batch=2,
            crop_share=0.0,
            learning_rate=1e-3,
            matrix_factor=10,
            warmup=2,
            kl=1e-4,
            gradient=1.0,
            colour=1.0,
            half_size=0.25,
            ema=0.9,
        ),
        text=TextRecipe(vocabulary=560, length=12, hidden=16, layers=1, heads=2),
        denoiser=DenoiserRecipe(
            channels=(16, 32),
            layers=1,
            heads=2,
            norm_groups=8,
            batch=4,
            learning_rate=1e-3,
            matrix_factor=10,
            warmup=2,
            ema=0.9,
            text_dropout=0.1,
            gamma=5.0,
        ),
        enlarger=EnlargerRecipe(
            factor=4,
            channels=16,
            blocks=1,
            fine_channels=16,
            pictures=8,
            batch=2,
            crops=2,
            crop=16,
            plain_share=0.3,
            noise=0.3,
            learning_rate=1e-2,
            matrix_factor=1,
            warmup=2,
            gradient=1.0,
            ema=0.9,
        ),
    )


def write_sources(folder: Path, licence: str = "MIT") -> None:
    """Two npm packages as their registry would have installed them: a drawing set and a keyword list."""
    package = folder / "node_modules" / "@iconify-json" / "drawn"
    package.mkdir(parents=True)
    info = {"name": "Drawn", "author": {"name": "A. Painter"}, "license": {"spdx": licence, "title": licence}}
    (package / "info.json").write_text(json.dumps(info))
    icons = {"width": 16, "height": 16, "icons": {name: {"body": body} for name, body in DRAWINGS.items()}}
    (package / "icons.json").write_text(json.dumps(icons))
    (package / "chars.json").write_text(json.dumps({"1f34e": "red-apple", "1f3e0": "house"}))
    keywords = folder / "node_modules" / "emojibase-data" / "en"
    keywords.mkdir(parents=True)
    for folder_of_package in (package, keywords.parent):
        (folder_of_package / "package.json").write_text(json.dumps({"version": "1.0.0"}))
    (keywords / "data.json").write_text(json.dumps(EMOJI))
    subgroups = [
        {"order": 42, "key": "food-fruit"},
        {"order": 51, "key": "place-building"},
        {"order": 23, "key": "person"},
    ]
    (keywords / "messages.json").write_text(json.dumps({"subgroups": subgroups}))


@pytest.fixture(scope="session")
def work(recipe, tmp_path_factory) -> Path:
    """A work folder after every stage, two steps each."""
    torch.set_num_threads(1)
    folder, two_steps = tmp_path_factory.mktemp("base"), Session(say=lambda line: None, steps=2)
    write_sources(folder / "npm")
    collect(recipe, EVERYDAY, folder, lambda line: None)
    make_data(recipe, folder, lambda line: None)
    train_autoencoder(recipe, folder, two_steps)
    encode(recipe, folder, "cpu", lambda line: None)
    train_denoiser(recipe, folder, two_steps)
    train_enlarger(recipe, folder, folder / "nowhere", two_steps)
    return folder

from pathlib import Path

import pytest
import torch

from inference.bases.sd import StableDiffusion
from inference.catalog import base_spec
from tests.inference.tiny_base import write_tiny_base
from tests.training.portfolio import write_portfolio

RECIPE = """\
base = "tiny"
rank = 2
learning_rate = 3e-3
steps = 12
batch = 4
crops = 1
heldout_every = 6
checkpoint_every = 4
patience = 0
text_targets = ["q_proj", "v_proj"]
[gate]
min_heldout_gain = -1.0
min_hand = -100.0
max_recall = 2.0
max_copies = 100
max_member_gap = 10.0
max_drift = 1.0
"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_entry(tmp_path_factory) -> Path:
    """The catalogue entry of a random base; beside it lies a recipe for it."""
    entry = write_tiny_base(tmp_path_factory.mktemp("bases"))
    (entry.parent / "tiny-style.toml").write_text(RECIPE)
    return entry


@pytest.fixture(scope="session")
def tiny_recipe(tiny_entry) -> str:
    return str(tiny_entry.parent / "tiny-style.toml")


@pytest.fixture
def tiny_base(tiny_entry) -> StableDiffusion:
    return StableDiffusion(base_spec(str(tiny_entry)))


@pytest.fixture(scope="session")
def portfolio(tmp_path_factory) -> Path:
    return write_portfolio(tmp_path_factory.mktemp("portfolio") / "works", 17)

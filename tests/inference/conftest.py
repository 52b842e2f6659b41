from pathlib import Path

import pytest
import torch

from inference.bases.sd import StableDiffusion
from inference.catalog import BaseSpec, base_spec
from tests.inference.tiny_base import write_tiny_base


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_entry(tmp_path_factory) -> Path:
    """The catalogue entry of a random base with zero terminal SNR."""
    return write_tiny_base(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="session")
def tiny_spec(tiny_entry) -> BaseSpec:
    return base_spec(str(tiny_entry))


@pytest.fixture(scope="session")
def enlarging_spec(tmp_path_factory) -> BaseSpec:
    """The same base with an enlarger beside it."""
    return base_spec(str(write_tiny_base(tmp_path_factory.mktemp("enlarging"), enlarger=True)))


@pytest.fixture
def tiny_base(tiny_spec) -> StableDiffusion:
    """Opened afresh: tests lay adapters over it."""
    return StableDiffusion(tiny_spec)

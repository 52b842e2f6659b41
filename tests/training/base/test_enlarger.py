"""The enlarger learns from worn pictures in the colours it sees, and training it goes on where it stopped."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from inference.enlarger import open_enlarger
from tests.training.base.resuming import check_resumes_exactly
from training.base import export as exporting
from training.base.autoencoder import load_autoencoder
from training.base.crew import Crew
from training.base.data import read_data
from training.base.enlarger import (
    LARGE,
    autoencoder_in_use,
    batch_at,
    chosen_drawings,
    enlarger_loss,
    large_pictures,
    load_enlarger,
    new_enlarger,
    train_enlarger,
)
from training.base.errors import StageMissing, WeightsTooLarge
from training.base.loop import Session, new_run
from training.base.wear import blurred, shift_of

NOWHERE = "nowhere"


def silent(line: str) -> None:
    """Progress nobody reads."""


def two_colours(left: tuple[float, ...], right: tuple[float, ...], side: int = 32) -> torch.Tensor:
    picture = torch.empty(3, side, side)
    picture[:, :, : side // 2] = torch.tensor(left)[:, None, None]
    picture[:, :, side // 2 :] = torch.tensor(right)[:, None, None]
    return picture


def test_a_batch_is_a_function_of_its_step_and_its_rows_of_their_slots(recipe, work):
    large, autoencoder = large_pictures(recipe, work, 1, silent), load_autoencoder(recipe, work)

    first, again, other = (batch_at(recipe, large, autoencoder, step, slice(None)) for step in (4, 4, 5))
    second_row = batch_at(recipe, large, autoencoder, 4, slice(1, None, 2))

    assert first.worn.shape == (4, 3, 16, 16)
    assert first.large.shape == (4, 3, 64, 64)
    assert torch.equal(first.worn, again.worn)
    assert torch.equal(first.large, again.large)
    assert not torch.equal(first.large, other.large)
    torch.testing.assert_close(second_row.large, first.large[2:])


def test_only_training_drawings_are_learnt_from(recipe, work):
    splits = {(row["set"], row["name"]): row["split"] for row in read_data(work).rows}

    for split in ("train", "held"):
        chosen = chosen_drawings(recipe, work, split, 100)
        assert chosen
        # What shows nothing was collected but made no picture.
        assert {splits.get((drawing.package, drawing.name), split) for drawing in chosen} == {split}


def test_large_pictures_are_rendered_once(recipe, work):
    before = (work / LARGE).stat().st_mtime_ns

    large = large_pictures(recipe, work, 1, silent)

    assert large.shape[1:] == (128, 128, 3)
    assert large.dtype == np.uint8
    assert (work / LARGE).stat().st_mtime_ns == before


def test_what_is_learnt_has_the_colours_that_were_seen_and_the_edges_of_the_drawing():
    white, pink, brown = (1.0, 1.0, 1.0), (0.8, -0.3, 0.1), (0.5, 0.2, -0.1)
    small, large = two_colours(white, pink), two_colours(white, pink, side=128)
    seen = blurred(two_colours(white, brown)[None], [1.0])[0]

    shifted = shift_of(small, seen).of(large)

    torch.testing.assert_close(shifted, two_colours(white, brown, side=128), atol=0.05, rtol=0)


def a_run(recipe, work, seed: int):
    large, autoencoder = large_pictures(recipe, work, 1, silent), load_autoencoder(recipe, work)
    torch.manual_seed(seed)
    network = new_enlarger(recipe.enlarger)

    def loss_of(step: int, rows: slice) -> torch.Tensor:
        return enlarger_loss(network, batch_at(recipe, large, autoencoder, step, rows), recipe.enlarger)

    return new_run(network, weight_decay=0.0), Crew(network, loss_of, 1)


def test_the_enlarger_resumes_to_the_very_same_weights(recipe, work, tmp_path):
    check_resumes_exactly(lambda seed: a_run(recipe, work, seed), tmp_path, steps=4, stop=2)


def test_the_enlarger_learns(recipe, work, tmp_path):
    # The autoencoder of these tests has seen two pictures; nothing can be learnt of what comes out of it.
    plain = replace(recipe, enlarger=replace(recipe.enlarger, plain_share=1.0))
    folder = shutil.copytree(work, tmp_path / "work", ignore=shutil.ignore_patterns("npm", "enlarger*"))
    large, autoencoder = large_pictures(plain, folder, 1, silent), load_autoencoder(plain, folder)
    batch = batch_at(plain, large, autoencoder, 1000, slice(None))

    def error(network) -> float:
        return float((network.enlarge(batch.worn) - batch.large).abs().mean())

    train_enlarger(plain, folder, tmp_path / NOWHERE, Session(say=silent, steps=150))

    assert error(load_enlarger(plain, folder)) < 0.8 * error(new_enlarger(plain.enlarger))


def test_the_autoencoder_of_the_base_serves_where_none_was_trained(recipe, work, tmp_path):
    exporting.export(recipe, work, tmp_path / "base")

    found = autoencoder_in_use(recipe, tmp_path, tmp_path / "base")

    assert found.config.latent_channels == recipe.autoencoder.latent_channels
    with pytest.raises(StageMissing, match=r"python -m training\.base encode"):
        autoencoder_in_use(recipe, tmp_path, tmp_path / NOWHERE)


def test_an_exported_base_has_its_enlarger_and_stock_diffusers_opens_it(recipe, work, tmp_path):
    exporting.export(recipe, work, tmp_path / "base")
    StableDiffusionPipeline.from_pretrained(tmp_path / "base", safety_checker=None)

    found, trained = open_enlarger(tmp_path / "base"), load_enlarger(recipe, work)
    assert found is not None
    assert all(
        torch.equal(value, trained.state_dict()[key].half().float()) for key, value in found.state_dict().items()
    )


def test_the_enlarger_alone_can_be_exported_into_a_base(recipe, work, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "model_index.json").write_text("{}")

    exporting.export_enlarger(recipe, work, tmp_path / "base")

    assert {path.name for path in (tmp_path / "base").iterdir()} == {"model_index.json", "enlarger"}


def test_an_enlarger_over_its_limit_is_refused(recipe, work, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "LARGEST_ENLARGER", 1000)

    with pytest.raises(WeightsTooLarge, match="Give it fewer channels"):
        exporting.export_enlarger(recipe, work, tmp_path / "base")

    assert not (tmp_path / "base").exists()

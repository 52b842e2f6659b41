"""The exported folder is a standard one: stock diffusers opens it and old text encoders find their weights."""

import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionPipeline
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer

from training.base import export as exporting
from training.base.denoiser import TextToLatents, token_ids
from training.base.errors import StageMissing, WeightsTooLarge
from training.base.loop import part
from training.base.sheet import draw_sheet
from training.base.tokens import load_tokenizer
from training.checkpoint import load_latest_checkpoint


@pytest.fixture(scope="module")
def base(recipe, work, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "openicons"
    exporting.export(recipe, work, folder)
    return folder


def test_text_weights_come_back_identical_in_half_precision(recipe, work, base):
    trained = TextToLatents(recipe, load_tokenizer(work))
    trained.load_state_dict(part(load_latest_checkpoint(work / "denoiser").tensors, "average."))

    opened = StableDiffusionPipeline.from_pretrained(base, safety_checker=None).text_encoder

    assert opened.dtype == torch.float32
    for key, value in trained.text.state_dict().items():
        assert torch.equal(opened.state_dict()[key], value.half().float())


def test_text_weights_carry_the_names_that_old_versions_read(base):
    names = load_file(base / "text_encoder" / "model.safetensors").keys()

    assert names
    assert all(name.startswith("text_model.") for name in names)
    assert "text_model.embeddings.token_embedding.weight" in names


def test_text_encoder_alone_opens_to_the_same_states_as_in_the_pipeline(base):
    ids = token_ids(CLIPTokenizer.from_pretrained(base / "tokenizer"), ["apple, drawn style"])

    alone = CLIPTextModel.from_pretrained(base / "text_encoder").eval()(ids)[0]
    within = StableDiffusionPipeline.from_pretrained(base, safety_checker=None).text_encoder(ids)[0]

    torch.testing.assert_close(alone.float(), within.float(), atol=1e-2, rtol=1e-2)


def test_stock_pipelines_draw_and_vary(base):
    text = StableDiffusionPipeline.from_pretrained(base, safety_checker=None)
    text.set_progress_bar_config(disable=True)
    image = StableDiffusionImg2ImgPipeline.from_pretrained(base, safety_checker=None)
    image.set_progress_bar_config(disable=True)

    drawn = text("apple", num_inference_steps=2, generator=torch.Generator().manual_seed(1)).images[0]
    varied = image("house", image=drawn, strength=0.6, num_inference_steps=4).images[0]

    assert drawn.size == varied.size == (32, 32)
    assert np.asarray(drawn).std() > 0


def test_sampling_settings_keep_white_paper_white(base):
    scheduler = json.loads((base / "scheduler" / "scheduler_config.json").read_text())

    assert scheduler["prediction_type"] == "v_prediction"
    assert scheduler["rescale_betas_zero_snr"] is True
    assert scheduler["timestep_spacing"] == "trailing"
    assert scheduler["clip_sample"] is False


def test_the_tokenizer_is_the_same_from_either_of_its_forms(work, base):
    fast = CLIPTokenizer.from_pretrained(base / "tokenizer")
    vocabulary = json.loads((base / "tokenizer" / "vocab.json").read_text())
    merges = [tuple(line.split()) for line in (base / "tokenizer" / "merges.txt").read_text().splitlines()[1:]]
    rebuilt = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=12)

    for prompt in ("red apple, drawn style", "Zebra! 42", "caf\u00e9 \u2603"):
        ids = fast(prompt).input_ids
        assert ids == rebuilt(prompt).input_ids
        assert ids[0] == fast.bos_token_id
        assert ids[-1] == fast.eos_token_id
        assert fast.eos_token_id not in ids[1:-1]


def test_preview_matrix_turns_latents_into_colours(recipe, base):
    preview = load_file(base / "preview.safetensors")

    assert preview["matrix"].shape == (recipe.autoencoder.latent_channels, 3)
    assert preview["bias"].shape == (3,)


def test_other_files_in_the_folder_stay_when_it_is_exported_again(recipe, work, base):
    (base / "MODEL.md").write_text("card")

    steps = exporting.export(recipe, work, base)

    assert steps == 2
    assert (base / "MODEL.md").read_text() == "card"
    assert not list(base.parent.glob(".*"))


def test_an_export_over_its_limit_is_refused(recipe, work, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "LARGEST_FOLDER", 1000)

    with pytest.raises(WeightsTooLarge, match="its limit is 1,000"):
        exporting.export(recipe, work, tmp_path / "base")

    assert not (tmp_path / "base").exists()


def test_an_export_before_training_names_the_stage_to_run(recipe, tmp_path):
    with pytest.raises(StageMissing, match=r"python -m training\.base denoiser"):
        exporting.export(recipe, tmp_path, tmp_path / "base")


def test_a_sheet_has_a_cell_for_every_concept_and_style(base, tmp_path):
    draw_sheet(
        base, ["apple", "house", "tree"], ["", "drawn"], tmp_path / "sheet.png", steps=2, guidance=3, device="cpu"
    )

    assert Image.open(tmp_path / "sheet.png").size == (3 * 32, 2 * (32 + 14))

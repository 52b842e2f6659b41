"""Adapter files: read whatever stock tools write, write what stock tools read, refuse the rest in a sentence."""

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save, save_file

from inference.adapters.cache import AdapterCache
from inference.adapters.files import diffusers_names, kohya_names
from inference.adapters.manifest import AdapterManifest, file_sha256, read_manifest
from inference.adapters.stack import StackedAdapters
from inference.bases.sdxl import StableDiffusionXL
from inference.errors import AdapterRefused, WrongBase
from inference.messages import AdapterRef, Tier
from tests.inference.random_adapters import random_adapter, write_adapter

ENDINGS = ("to_q", "to_out.0", "conv1")


@contextmanager
def stock_unet(tiny_spec, adapter_file):
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_spec.path, safety_checker=None)
    pipeline.load_lora_weights(str(adapter_file))
    yield pipeline.unet


def cache_of(base, host_bytes: int = 10**9) -> AdapterCache:
    return AdapterCache(base, StackedAdapters(base.unet), host_bytes=host_bytes)


def ref_of(path) -> AdapterRef:
    return AdapterRef(path=path, sha256=file_sha256(path))


def predict_with(base, adapter, latents, timesteps, texts):
    stack = StackedAdapters(base.unet)
    stack.bind([[(adapter, 1.0)]] * len(latents))
    return base.predict(latents, timesteps, texts)


@pytest.mark.parametrize("names", [diffusers_names, kohya_names], ids=["diffusers names", "kohya names"])
def test_a_file_means_the_same_to_us_and_to_stock_diffusers(tiny_base, tiny_spec, tmp_path, names):
    adapter = random_adapter(tiny_base.unet, ENDINGS, seed=1, rank=4)
    file = tmp_path / "style.safetensors"
    save_file(names(adapter, tiny_base.names), file, metadata={"format": "pt"})
    latents, timesteps, texts = torch.randn(2, 4, 8, 8), torch.tensor([900.0, 30.0]), torch.randn(2, 16, 16)

    read = cache_of(tiny_base).open(ref_of(file))
    ours = predict_with(tiny_base, read, latents, timesteps, texts)

    with stock_unet(tiny_spec, file) as unet, torch.no_grad():
        theirs = unet(latents, timesteps, texts, return_dict=False)[0]
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert set(read.layers) == set(adapter.layers)


@pytest.mark.parametrize("names", [diffusers_names, kohya_names], ids=["diffusers names", "kohya names"])
def test_a_file_makes_us_and_stock_diffusers_read_a_prompt_alike(tiny_base, tiny_spec, tmp_path, names):
    text_layers = random_adapter(tiny_base.text_stack.model, ("q_proj", "out_proj", "fc1"), seed=2, rank=4).layers
    adapter = replace(random_adapter(tiny_base.unet, ENDINGS, seed=1, rank=4), text_layers=text_layers)
    save_file(names(adapter, tiny_base.names), tmp_path / "style.safetensors", metadata={"format": "pt"})

    read = cache_of(tiny_base).open(ref_of(tmp_path / "style.safetensors"))
    ours = tiny_base.encode_prompts(["a red hat"], [(read, 1.0)])[0]
    halved = tiny_base.encode_prompts(["a red hat"], [(read, 0.5)])[0]
    plain = tiny_base.encode_prompts(["a red hat"])[0]

    pipeline = StableDiffusionPipeline.from_pretrained(tiny_spec.path, safety_checker=None)
    pipeline.load_lora_weights(str(tmp_path / "style.safetensors"))
    theirs = pipeline.encode_prompt("a red hat", "cpu", 1, do_classifier_free_guidance=False)[0][0]
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert (ours - plain).abs().max() > (halved - plain).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("layer", "stem"),
    [
        ("conv_in", "input_blocks_0_0"),
        ("down_blocks.0.downsamplers.0.conv", "input_blocks_3_0_op"),
        ("down_blocks.1.resnets.0.conv_shortcut", "input_blocks_4_0_skip_connection"),
        ("down_blocks.1.attentions.0.proj_in", "input_blocks_4_1_proj_in"),
        (
            "down_blocks.2.attentions.1.transformer_blocks.9.attn1.to_q",
            "input_blocks_8_1_transformer_blocks_9_attn1_to_q",
        ),
        ("mid_block.attentions.0.proj_out", "middle_block_1_proj_out"),
        ("mid_block.resnets.1.time_emb_proj", "middle_block_2_emb_layers_1"),
        ("up_blocks.0.attentions.2.transformer_blocks.0.ff.net.2", "output_blocks_2_1_transformer_blocks_0_ff_net_2"),
        ("up_blocks.0.upsamplers.0.conv", "output_blocks_2_2_conv"),
        ("up_blocks.2.resnets.2.conv2", "output_blocks_8_0_out_layers_3"),
        ("add_embedding.linear_2", "label_emb_0_2"),
        ("conv_out", "out_2"),
    ],
)
def test_layers_of_sdxl_have_the_names_that_kohyas_tools_give_them(layer, stem):
    assert StableDiffusionXL.names.denoiser.kohya(layer) == f"lora_unet_{stem}"


@pytest.mark.parametrize(
    ("layer", "diffusers", "kohya"),
    [
        (
            "text_model.encoder.layers.3.mlp.fc1",
            "text_model.encoder.layers.3.mlp.fc1",
            "text_model_encoder_layers_3_mlp_fc1",
        ),
        ("encoder.layers.3.mlp.fc1", "text_model.encoder.layers.3.mlp.fc1", "text_model_encoder_layers_3_mlp_fc1"),
        ("text_projection", "text_projection", "text_projection"),
    ],
)
def test_a_text_encoders_layers_have_one_name_in_files_whatever_they_are_called_here(layer, diffusers, kohya):
    part = StableDiffusionXL.names.text[1]

    assert part.diffusers(layer) == f"text_encoder_2.{diffusers}"
    assert part.kohya(layer) == f"lora_te2_{kohya}"


def test_alpha_scales_what_a_file_adds(tiny_base, tmp_path):
    adapter = random_adapter(tiny_base.unet, ("to_q",), seed=1, rank=4)
    tensors = kohya_names(adapter, tiny_base.names)
    halved = {key: torch.tensor(2.0) if key.endswith(".alpha") else value for key, value in tensors.items()}
    save_file(halved, tmp_path / "half.safetensors")

    read = cache_of(tiny_base).open(ref_of(tmp_path / "half.safetensors"))

    for name, change in adapter.layers.items():
        assert torch.allclose(read.layers[name].up, change.up / 2)


def test_a_manifest_survives_the_way_through_a_file(tmp_path):
    manifest = AdapterManifest(
        trigger="vozix",
        base="tiny",
        base_sha256="ab",
        rank=4,
        resolution="32x32",
        prediction_type="epsilon",
        style_guidance=4.9,
    )
    save_file({"t": torch.zeros(1)}, tmp_path / "a.safetensors", metadata=manifest.as_metadata(tensors_sha256="00"))

    assert read_manifest(tmp_path / "a.safetensors") == manifest


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"ownhand.base": "other"}, "'other'"),
        ({"ownhand.base": "tiny", "ownhand.base_sha256": "f00"}, "another version"),
    ],
)
def test_an_adapter_for_another_base_is_refused(tiny_base, tmp_path, metadata, reason):
    adapter = random_adapter(tiny_base.unet, ENDINGS, seed=1, rank=2)
    ref = write_adapter(tmp_path / "a.safetensors", adapter, metadata=metadata)

    with pytest.raises(WrongBase, match=reason):
        cache_of(tiny_base).open(ref)


DOWN, UP = "unet.conv_in.lora_A.weight", "unet.conv_in.lora_B.weight"


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        ({"unet.elsewhere.lora_A.weight": torch.zeros(2, 2)}, "does not have"),
        ({DOWN: torch.zeros(2, 9, 3, 3), UP: torch.zeros(16, 2, 1, 1)}, "shape"),
        ({DOWN: torch.zeros(2, 4, 3, 3)}, "half"),
        ({DOWN: torch.full((2, 4, 3, 3), torch.nan), UP: torch.zeros(16, 2, 1, 1)}, "not finite"),
        ({"lora_te_text_model_nowhere.lora_down.weight": torch.zeros(2, 2)}, "does not have"),
        ({"unet.conv_in.dora_scale": torch.zeros(2)}, "DoRA"),
        ({"something": torch.zeros(2)}, "no part of a LoRA"),
        ({}, "empty"),
    ],
)
def test_an_unusable_adapter_is_refused_in_a_sentence(tiny_base, tmp_path, tensors, reason):
    save_file(tensors, tmp_path / "a.safetensors")

    with pytest.raises(AdapterRefused, match=reason):
        cache_of(tiny_base).open(ref_of(tmp_path / "a.safetensors"))


@pytest.mark.parametrize("weight", ["nan", "1e300", "-3", "21", "much"])
def test_a_style_that_claims_an_impossible_weight_is_refused(tiny_base, tmp_path, weight):
    adapter = random_adapter(tiny_base.unet, ENDINGS, seed=1, rank=2)
    ref = write_adapter(tmp_path / "a.safetensors", adapter, metadata={"ownhand.style_guidance": weight})

    with pytest.raises(AdapterRefused, match="0 to 20 is possible"):
        cache_of(tiny_base).open(ref)


@pytest.mark.parametrize("content", [b"", b"not an adapter at all", save({"t": torch.zeros(9)})[:-5]])
def test_a_damaged_file_is_refused(tiny_base, tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)

    with pytest.raises(AdapterRefused):
        cache_of(tiny_base).open(ref_of(tmp_path / "a.safetensors"))


def test_a_file_with_another_hash_than_promised_is_refused(tiny_base, tmp_path):
    ref = write_adapter(tmp_path / "a.safetensors", random_adapter(tiny_base.unet, ENDINGS, seed=1, rank=2))
    write_adapter(ref.path, random_adapter(tiny_base.unet, ENDINGS, seed=2, rank=2))

    with pytest.raises(AdapterRefused, match="SHA-256"):
        cache_of(tiny_base).open(ref)


def test_the_adapters_used_longest_ago_make_room(tiny_base, tmp_path):
    refs = [
        write_adapter(tmp_path / f"{seed}.safetensors", random_adapter(tiny_base.unet, ENDINGS, seed=seed, rank=4))
        for seed in range(3)
    ]
    unlimited = cache_of(tiny_base)
    unlimited.open(refs[0])
    one = unlimited.tiers()["host"].num_bytes
    cache = cache_of(tiny_base, host_bytes=2 * one)
    first = cache.open(refs[0])
    second = cache.open(refs[1])
    cache.open(refs[0])

    cache.open(refs[2])

    assert cache.tiers() == {"host": Tier(hits=1, misses=3, num_bytes=2 * one)}
    assert cache.open(refs[0]) is first
    assert cache.open(refs[1]) is not second


def test_a_forgotten_adapter_is_read_from_its_file_again(tiny_base, tmp_path):
    ref = write_adapter(tmp_path / "a.safetensors", random_adapter(tiny_base.unet, ENDINGS, seed=1, rank=2))
    cache = cache_of(tiny_base)
    cache.open(ref)
    ref.path.unlink()
    cache.open(ref)

    cache.forget(ref.sha256)

    with pytest.raises(AdapterRefused, match="no adapter file"):
        cache.open(ref)

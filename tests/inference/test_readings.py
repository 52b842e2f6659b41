"""Prompts are read once while they are likely to come again, through the adapters that they are asked through."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from inference.adapters.stack import Adapter
from inference.bases.sd import StableDiffusion
from inference.engine import Engine
from inference.messages import ImageRequest, Picture
from inference.readings import Readings
from tests.inference.random_adapters import random_adapter, write_adapter

ENDINGS = ("to_q", "to_v")


class Reader:
    """The base's own reading, counted."""

    def __init__(self, base: StableDiffusion) -> None:
        self.read: list[str] = []
        self._read = base.encode_prompts

    def __call__(self, prompts: Sequence[str], adapters=()):
        self.read += prompts
        return self._read(prompts, adapters)


@pytest.fixture
def reader(tiny_base, monkeypatch) -> Reader:
    reader = Reader(tiny_base)
    monkeypatch.setattr(tiny_base, "encode_prompts", reader)
    return reader


def with_text(base: StableDiffusion, seed: int) -> Adapter:
    text_layers = random_adapter(base.text_stack.model, ("q_proj", "fc1"), seed=seed, rank=2).layers
    return replace(random_adapter(base.unet, ENDINGS, seed=seed, rank=3), text_layers=text_layers)


def test_a_prompt_is_read_once_for_every_way_in_which_it_is_read(tiny_base, reader):
    readings = Readings(tiny_base, most=8)
    one, other = with_text(tiny_base, 1), with_text(tiny_base, 2)
    silent = random_adapter(tiny_base.unet, ENDINGS, seed=3, rank=3)
    ways = [(), [(one, 1.0)], [(one, 0.5)], [(other, 1.0)], [(one, 1.0), (other, 1.0)]]

    first = [readings.read("a red hat", adapters) for adapters in ways]
    again = [readings.read("a red hat", adapters) for adapters in ways]

    assert len(reader.read) == len(ways)
    assert all(late is early for late, early in zip(again, first, strict=True))
    assert readings.read("a red hat", [(silent, 1.0)]) is first[0], "it leaves the text encoders alone"
    for number, reading in enumerate(first):
        assert torch.equal(reading, tiny_base.encode_prompts(["a red hat"], ways[number])[0])
        assert all((reading - earlier).abs().max() > 1e-4 for earlier in first[:number])


def test_the_readings_that_were_asked_for_last_are_kept(tiny_base, reader):
    readings = Readings(tiny_base, most=2)
    for prompt in ("a hat", "a cat", "a hat", "a bat", "a hat", "a cat"):
        readings.read(prompt)

    assert reader.read == ["a hat", "a cat", "a bat", "a cat"]

    readings.clear()
    readings.read("a hat")
    assert reader.read[4:] == ["a hat"]


def test_an_adapter_in_the_place_of_another_that_is_gone_is_read_anew(tiny_base, reader, monkeypatch):
    """Numbers of objects come again once their objects are gone; here they are all one."""
    monkeypatch.setattr("inference.readings.id", lambda _: 7, raising=False)
    readings = Readings(tiny_base, most=8)
    gone, here = with_text(tiny_base, 1), with_text(tiny_base, 2)
    readings.read("a red hat", [(gone, 1.0)])
    del gone

    reading = readings.read("a red hat", [(here, 1.0)])

    assert torch.equal(reading, tiny_base.encode_prompts(["a red hat"], [(here, 1.0)])[0])


def test_an_order_of_many_pictures_reads_its_words_once(tiny_spec, tmp_path, monkeypatch):
    with Engine(tiny_spec, max_rows=4) as engine:
        reader = Reader(engine._base)
        monkeypatch.setattr(engine._base, "encode_prompts", reader)
        ref = replace(write_adapter(tmp_path / "one.safetensors", with_text(engine._base, 1)), trigger="zq")
        requests = [
            ImageRequest(id=str(seed), base=tiny_spec.id, prompt="a red hat", seed=seed, steps=3, adapters=(ref,))
            for seed in range(6)
        ]
        ends = [engine.submit(request, stop=lambda: None) for request in requests]
        assert all(isinstance(end.result(60), Picture) for end in ends)
        before = list(reader.read)

        # What was read through an adapter that is off goes with it.
        engine.forget(ref.sha256)
        engine.submit(requests[0], stop=lambda: None).result(60)

    assert len(before) == len(set(before)) > 1
    assert reader.read[len(before) :] == before

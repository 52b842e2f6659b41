"""Adapters are read aside and kept within budgets; what is switched off is wiped, also what comes late."""

from dataclasses import replace

import pytest
import torch

from inference.adapters.cache import AdapterCache
from inference.adapters.flat import lay_flat
from inference.adapters.kept import KeptAdapters
from inference.adapters.manifest import file_sha256
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import StackedAdapters
from inference.bases import open_base
from inference.errors import AdapterRefused
from inference.messages import AdapterRef, Tier
from tests.inference.random_adapters import random_adapter, write_adapter
from tests.inference.slow_path import slow


@pytest.fixture
def ref(tiny_base, tmp_path) -> AdapterRef:
    return write_adapter(tmp_path / "a.safetensors", random_adapter(tiny_base.unet, ("to_q",), seed=1, rank=2))


@pytest.fixture
def cache(tiny_base):
    opened = AdapterCache(tiny_base, StackedAdapters(tiny_base.unet))
    yield opened
    opened.close()


def flat(name: str, *, seed: int = 0):
    adapter = random_adapter(torch.nn.ModuleDict({"to_q": torch.nn.Linear(32, 32)}), ("to_q",), seed=seed, rank=1)
    return lay_flat(adapter, sha256=name)


def test_who_asks_while_an_adapter_is_read_waits_for_the_same_load(cache, ref):
    path = slow(ref.path)
    first = cache.want(replace(ref, path=path))
    assert path.is_asked.wait(60)

    second = cache.want(ref)

    assert second is first
    assert not first.done()
    path.go_on.set()
    assert first.result(60).sha256 == ref.sha256
    assert cache.want(ref).result(0) is first.result()
    assert cache.tiers()["host"].misses == 1


def test_a_load_that_began_before_the_adapter_was_forgotten_is_refused_when_it_comes(cache, ref):
    path = slow(ref.path)
    late = cache.want(replace(ref, path=path))
    assert path.is_asked.wait(60)

    cache.forget(ref.sha256)
    path.go_on.set()

    with pytest.raises(AdapterRefused, match="switched off while it was read; nothing of it is kept"):
        late.result(60)
    assert cache.tiers()["host"].num_bytes == 0
    assert cache.want(ref).result(60).sha256 == ref.sha256, "who asks after it was switched on again"


def test_a_late_load_does_not_stand_in_for_the_one_that_was_asked_for_since(cache, ref):
    paths = [slow(ref.path), slow(ref.path)]
    late = cache.want(replace(ref, path=paths[0]))
    assert paths[0].is_asked.wait(60)
    cache.forget(ref.sha256)

    anew = cache.want(replace(ref, path=paths[1]))
    paths[0].go_on.set()

    assert isinstance(late.exception(60), AdapterRefused)
    assert not anew.done()
    paths[1].go_on.set()
    assert anew.result(60).sha256 == ref.sha256


def test_nothing_is_left_of_the_numbers_of_a_forgotten_adapter(cache, ref):
    held = cache.want(ref).result(60)
    worn = cache.open(ref)
    assert held.numbers_N.abs().max() > 0

    cache.forget(ref.sha256)
    cache.wipe_forgotten()

    assert held.numbers_N.abs().max() == 0
    assert all(change.up.abs().max() == 0 for change in worn.layers.values())
    assert cache.tiers()["host"].num_bytes == 0


def test_on_a_cpu_an_adapter_is_not_kept_twice(cache, ref):
    loaded = cache.want(ref).result(60)

    assert cache.on_device(loaded) is loaded
    assert list(cache.tiers()) == ["host"]


def test_a_device_of_its_own_gets_one_copy_within_a_budget_of_its_own(tiny_base, tmp_path):
    refs = [
        write_adapter(tmp_path / f"{seed}", random_adapter(tiny_base.unet, ("to_q",), seed=seed, rank=2))
        for seed in range(3)
    ]
    # A device without memory stands in for a GPU: shapes and places are all that is looked at.
    tiny_base.device = torch.device("meta")
    cache = AdapterCache(tiny_base, StackedAdapters(tiny_base.unet), device_bytes=1)
    loaded = [cache.want(ref).result(60) for ref in refs]

    worn = cache.on_device(loaded[0])
    others = [cache.on_device(flat) for flat in loaded[1:]]

    assert {factor.device.type for change in worn.adapter.layers.values() for factor in (change.down, change.up)} == {
        "meta"
    }
    assert loaded[0].numbers_N.device.type == "cpu"
    assert cache.on_device(loaded[0]) is worn, "what is worn is not copied again"
    assert cache.tiers()["device"] == Tier(hits=1, misses=3, num_bytes=worn.num_bytes)
    assert cache.tiers()["host"].num_bytes == sum(flat.num_bytes for flat in loaded)
    cache.forget(refs[1].sha256)
    assert cache.on_device(loaded[1]) is not others[0]
    cache.close()


@pytest.mark.gpu
def test_on_a_gpu_both_kinds_of_file_lie_alike_and_are_wiped(tiny_spec, tmp_path):
    base = open_base(tiny_spec, device="cuda")
    own = write_adapter(tmp_path / "own.safetensors", random_adapter(base.denoiser, ("to_q", "conv1"), seed=1, rank=2))
    path = tmp_path / "own.flat"
    path.write_bytes(AdapterReader(base, StackedAdapters(base.denoiser)).flat_file(own.path.read_bytes(), "own"))
    numbers = []

    for ref in (own, replace(own, path=path, flat_sha256=file_sha256(path))):
        cache = AdapterCache(base, StackedAdapters(base.denoiser))
        slot = cache.on_device(cache.want(ref).result(60))
        numbers.append(slot.numbers_N.cpu())
        cache.forget(ref.sha256)
        cache.wipe_forgotten()
        assert slot.numbers_N.device.type == "cuda"
        assert slot.numbers_N.abs().max() == 0
        cache.close()

    assert torch.equal(*numbers)


def test_adapters_that_are_asked_for_ahead_of_their_turn_are_read_a_few_at_a_time(cache, ref):
    paths = [slow(ref.path) for _ in range(20)]
    for number, path in enumerate(paths):
        cache.prefetch(replace(ref, sha256=f"{number}", path=path))

    assert paths[0].is_asked.wait(60)
    assert cache.want(replace(ref, sha256="19")) is not None
    for path in paths:
        path.go_on.set()
    cache.want(ref).result(60)
    assert sum(path.is_asked.is_set() for path in paths) < 10


def test_a_file_that_cannot_be_read_fails_those_who_wait_and_is_tried_again(cache, ref):
    content = ref.path.read_bytes()
    ref.path.unlink()

    with pytest.raises(AdapterRefused, match="no adapter file"):
        cache.open(ref)

    ref.path.write_bytes(content)
    assert cache.open(ref).layers


def test_what_is_worn_is_found_though_others_took_its_room():
    kept = KeptAdapters(budget_bytes=1)
    worn, other = flat("worn", seed=1), flat("other", seed=2)
    kept.put(worn)
    kept.put(other)

    assert kept.num_bytes == other.num_bytes
    assert kept.find("worn") is worn
    assert kept.num_bytes == worn.num_bytes
    kept.put(other)
    del worn
    assert kept.find("worn") is None


def test_one_that_is_larger_than_the_whole_budget_is_kept_alone():
    kept = KeptAdapters(budget_bytes=1)
    kept.put(flat("small"))
    kept.put(flat("large"))

    assert kept.find("small") is None
    assert kept.find("large") is not None
    assert kept.tier.misses == 2

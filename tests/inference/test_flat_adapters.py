"""Flat files: the same numbers as the adapter's own file, read at once; whatever is not just that is refused."""

import json
import struct
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from inference.adapters.files import diffusers_names, kohya_names
from inference.adapters.flat import ALIGNED, START
from inference.adapters.manifest import file_sha256, read_manifest
from inference.adapters.reading import AdapterReader
from inference.adapters.stack import StackedAdapters
from inference.errors import AdapterRefused, WrongBase
from inference.messages import AdapterRef
from tests.inference.random_adapters import random_adapter, write_adapter

ENDINGS = ("to_q", "to_out.0", "conv1")
WORDS = {"modelspec.trigger_phrase": "vozix", "ownhand.rank": "3", "ownhand.style_guidance": "4.9"}


def reader_of(base) -> AdapterReader:
    return AdapterReader(base, StackedAdapters(base.unet))


def whole_adapter(base, *, seed: int = 1):
    text_layers = random_adapter(base.text_stack.model, ("q_proj", "fc1"), seed=seed, rank=2).layers
    return replace(random_adapter(base.unet, ENDINGS, seed=seed, rank=3), text_layers=text_layers)


@pytest.fixture
def own(tiny_base, tmp_path) -> AdapterRef:
    """The file of an adapter over denoiser and text encoder."""
    return write_adapter(tmp_path / "style.safetensors", whole_adapter(tiny_base), metadata=WORDS)


def flat_of(base, own: AdapterRef) -> AdapterRef:
    path = own.path.with_suffix(".flat")
    path.write_bytes(reader_of(base).flat_file(own.path.read_bytes(), own.path.name))
    return replace(own, path=path, flat_sha256=file_sha256(path))


def rewritten(ref: AdapterRef, change) -> AdapterRef:
    """The flat file with another header, under its own new hash."""
    content = ref.path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    changed = json.dumps(header).encode()
    changed += b" " * (-len(changed) % 8)
    ref.path.write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])
    return replace(ref, flat_sha256=file_sha256(ref.path))


def assert_same(one, other) -> None:
    for ours, theirs in ((one.layers, other.layers), (one.text_layers, other.text_layers)):
        assert list(ours) == list(theirs)
        for name, change in ours.items():
            assert torch.equal(change.down, theirs[name].down)
            assert torch.equal(change.up, theirs[name].up)
    assert one.style_guidance == other.style_guidance


def halves(base, adapter):
    return {name: tensor.to(torch.float16) for name, tensor in diffusers_names(adapter, base.names).items()}


def scaled(base, adapter):
    tensors = kohya_names(adapter, base.names)
    return {key: torch.tensor(2.0) if key.endswith(".alpha") else value for key, value in tensors.items()}


@pytest.mark.parametrize(
    ("write", "numbers"),
    [(halves, "F16"), (scaled, "F32"), (lambda base, adapter: diffusers_names(adapter, base.names), "F32")],
    ids=["float16, as trained", "a scale by kohya's names", "float32"],
)
def test_a_flat_file_holds_the_numbers_of_the_adapters_own_file_bit_for_bit(tiny_base, tmp_path, write, numbers):
    file = tmp_path / "style.safetensors"
    save_file(write(tiny_base, whole_adapter(tiny_base)), file, metadata=WORDS)
    own = AdapterRef(path=file, sha256=file_sha256(file))

    flat = flat_of(tiny_base, own)

    read = reader_of(tiny_base)
    assert_same(read.read(flat).adapter, read.read(own).adapter)
    assert read.read(flat).sha256 == own.sha256
    assert f'"dtype":"{numbers}"'.encode() in flat.path.read_bytes()


def test_a_flat_file_says_of_itself_what_the_adapters_own_file_says_and_names_its_base(tiny_base, own):
    flat = flat_of(tiny_base, own)

    said = replace(read_manifest(own.path), base="tiny", base_sha256=tiny_base.sha256)
    assert read_manifest(flat.path) == said


def test_the_same_adapter_makes_the_same_flat_file(tiny_base, own):
    content = own.path.read_bytes()

    assert reader_of(tiny_base).flat_file(content, "a") == reader_of(tiny_base).flat_file(content, "b")


def test_factors_lie_in_one_buffer_where_processors_like_to_read(tiny_base, own):
    flat = flat_of(tiny_base, own)
    read = reader_of(tiny_base).read(flat)

    factors = [half for change in read.adapter.layers.values() for half in (change.down, change.up)]
    assert len({factor.untyped_storage().data_ptr() for factor in factors}) == 1
    assert all(factor.storage_offset() % ALIGNED == read.numbers_N.storage_offset() % ALIGNED for factor in factors)
    assert (8 + struct.unpack("<Q", flat.path.read_bytes()[:8])[0]) % START == 0


@pytest.mark.parametrize("kept", [0, 7, 100, -1, -5000], ids=lambda kept: f"[:{kept}]")
def test_a_flat_file_that_was_cut_off_is_refused(tiny_base, own, kept):
    flat = flat_of(tiny_base, own)
    flat.path.write_bytes(flat.path.read_bytes()[:kept])

    for ref in (flat, replace(flat, flat_sha256=file_sha256(flat.path))):
        with pytest.raises(AdapterRefused):
            reader_of(tiny_base).read(ref)


def test_a_flat_file_of_which_one_bit_changed_is_refused(tiny_base, own):
    flat = flat_of(tiny_base, own)
    content = bytearray(flat.path.read_bytes())
    content[-1000] ^= 1
    flat.path.write_bytes(content)

    with pytest.raises(AdapterRefused, match=r"SHA-256 .*expected was .*get it again"):
        reader_of(tiny_base).read(flat)


def test_a_flat_file_for_another_version_of_the_base_is_refused(tiny_base, own):
    flat = flat_of(tiny_base, own)
    tiny_base.sha256 = "f00"

    with pytest.raises(WrongBase, match="another version of the base 'tiny'"):
        reader_of(tiny_base).read(flat)


def test_a_flat_file_of_another_adapter_is_refused(tiny_base, own, tmp_path):
    other = write_adapter(tmp_path / "other.safetensors", whole_adapter(tiny_base, seed=2), metadata=WORDS)
    flat = flat_of(tiny_base, own)

    with pytest.raises(AdapterRefused, match="was made from the adapter"):
        reader_of(tiny_base).read(replace(flat, sha256=other.sha256))


def test_neither_kind_of_file_is_taken_for_the_other(tiny_base, own):
    flat = flat_of(tiny_base, own)

    with pytest.raises(AdapterRefused, match="is no flat adapter file"):
        reader_of(tiny_base).read(replace(own, flat_sha256=own.sha256))
    with pytest.raises(AdapterRefused, match="'numbers', which is no part of a LoRA"):
        reader_of(tiny_base).read(AdapterRef(path=flat.path, sha256=file_sha256(flat.path)))


def table_of(header) -> list:
    return json.loads(header["__metadata__"]["ownhand.layers"])


def told(**words):
    return lambda header: header["__metadata__"].update({f"ownhand.{name}": word for name, word in words.items()})


def entry(*changes):
    """A change of the first layer's entry: (place in it, what stands there then)."""

    def change(header):
        table = table_of(header)
        for place, value in changes:
            table[0][place] = value
        told(layers=json.dumps(table))(header)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (told(flat="2"), "of the form '2', form '1' is read here"),
        (told(layers="[]"), "numbers that it does not hold"),
        (told(layers="nonsense"), "damaged table"),
        (lambda header: header["__metadata__"].pop("ownhand.layers"), "damaged table"),
        (entry((0, "unet.nowhere")), "'unet.nowhere', which this base does not have"),
        (entry((1, 10**9)), "numbers that it does not hold"),
        (entry((1, -64)), "numbers that it does not hold"),
        (entry((3, 1.5)), "damaged table"),
        (entry((2, [3])), "damaged table"),
        (entry((2, [0, 16])), "damaged table"),
        (entry((2, [3, 2]), (4, [2, 3])), "shape"),
        (lambda header: header["numbers"].update(dtype="F64"), "damaged table"),
        (lambda header: header["numbers"].update(data_offsets=[0, 8]), "damaged table"),
        (lambda header: header.pop("numbers"), "damaged table"),
    ],
)
def test_a_flat_file_that_says_what_cannot_be_is_refused_in_a_sentence(tiny_base, own, change, reason):
    flat = rewritten(flat_of(tiny_base, own), change)

    with pytest.raises(AdapterRefused, match=reason):
        reader_of(tiny_base).read(flat)


def test_no_flat_file_is_made_of_numbers_that_are_not_finite(tiny_base, tmp_path):
    adapter = whole_adapter(tiny_base)
    next(iter(adapter.layers.values())).up[0, 0] = torch.inf
    own = write_adapter(tmp_path / "style.safetensors", adapter)

    with pytest.raises(AdapterRefused, match="not finite in the layer 'down_blocks"):
        flat_of(tiny_base, own)

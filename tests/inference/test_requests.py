"""What is asked is checked before anything is opened, and refused with the value and the way out."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from inference.catalog import base_spec, fingerprint, list_bases, require_unchanged, size_step
from inference.errors import BaseUnusable, ImageRefused, InvalidRequest
from inference.messages import MAX_IMAGE_BYTES, AdapterRef, ImageRequest, call_of, plan, with_call
from inference.pictures import open_picture


def asked(**changes) -> ImageRequest:
    return ImageRequest(**{"id": "gen_1", "base": "tiny", "prompt": "an apple", "seed": 1, **changes})


def ref(tmp_path, **changes) -> AdapterRef:
    return AdapterRef(path=tmp_path, sha256="00", **changes)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def test_a_bare_request_takes_the_bases_own_settings(tiny_spec):
    planned = plan(asked(), tiny_spec)

    assert (planned.width, planned.height, planned.steps, planned.guidance) == (32, 32, 6, 3.0)
    assert (planned.sampler, planned.strength, planned.call) == ("ddim", 1.0, "")


@pytest.mark.parametrize(
    ("changes", "row_steps"),
    [
        ({}, 6 * 2),
        ({"steps": 10, "guidance": 1.0}, 10),
        ({"width": 64, "height": 48, "steps": 10}, 10 * 2 * 3),
        ({"image": b"any", "strength": 0.55, "steps": 10}, 5 * 2),
    ],
)
def test_work_is_steps_times_questions_times_pixels(tiny_spec, changes, row_steps):
    assert plan(asked(**changes), tiny_spec).row_steps(tiny_spec) == row_steps


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"base": "other"}, "for the base 'other'"),
        ({"prompt": "  "}, "empty"),
        ({"prompt": "x" * 1001}, "1001 characters"),
        ({"negative_prompt": "x" * 1001}, "negative prompt has 1001"),
        ({"steps": 0}, "1 to 100"),
        ({"steps": 101}, "1 to 100"),
        ({"guidance": 0.5}, "guidance 0.5"),
        ({"guidance": float("nan")}, "guidance nan"),
        ({"width": 33}, "choose 32"),
        ({"height": 4096}, "8 to 64"),
        ({"width": 0}, "width 0"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**53}, "seed"),
        ({"sampler": "magic"}, "no sampler 'magic'"),
        ({"image": b"x", "strength": 1.5}, "strength 1.5"),
        ({"strength": 0.5}, "without an image"),
        ({"mask": b"x"}, "without an image"),
        ({"image": b"x" * (MAX_IMAGE_BYTES + 1)}, "20 MiB"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_value(tiny_spec, changes, reason):
    with pytest.raises(InvalidRequest, match=reason):
        plan(asked(**changes), tiny_spec)


def test_too_many_or_too_strong_adapters_are_refused(tiny_spec, tmp_path):
    with pytest.raises(InvalidRequest, match="at most 4"):
        plan(asked(adapters=(ref(tmp_path),) * 5), tiny_spec)
    with pytest.raises(InvalidRequest, match=r"strength 3\.0"):
        plan(asked(adapters=(ref(tmp_path, strength=3.0),)), tiny_spec)


def test_triggers_are_put_behind_the_prompt_once(tiny_spec, tmp_path):
    adapters = (ref(tmp_path, trigger="vozix"), ref(tmp_path, trigger="quxaj"), ref(tmp_path))

    assert with_call("an apple", call_of("an apple", adapters)) == "an apple, vozix style, quxaj style"
    assert with_call("vozix apple", call_of("vozix apple", adapters)) == "vozix apple, quxaj style"
    assert plan(asked(adapters=adapters), tiny_spec).call == "vozix style, quxaj style"


def test_sizes_follow_from_the_bases_own_files(tiny_spec):
    assert size_step(tiny_spec) == 8


@pytest.mark.parametrize(
    ("vae", "transformer", "step"),
    [
        ({"patch_size": [2, 2]}, {"patch_size": 1}, 16),
        ({}, {"patch_size": 2}, 16),
        ({"patch_size": None}, {}, 8),
    ],
)
def test_a_transformer_cuts_pictures_into_patches(tiny_spec, tmp_path, vae, transformer, step):
    parts = {"vae": {"block_out_channels": [128, 256, 512, 512], **vae}, "transformer": transformer}
    for part, content in parts.items():
        (tmp_path / part).mkdir()
        (tmp_path / part / "config.json").write_text(json.dumps(content))

    assert size_step(replace(tiny_spec, path=tmp_path)) == step
    assert size_step(replace(tiny_spec, path=tmp_path, size_step=64)) == 64


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        ("colour = 1", "unknown entry 'colour'"),
        ("size = 8", "lacks"),
        ("size = ", "not valid TOML"),
    ],
)
def test_a_broken_entry_of_the_catalogue_is_named(tmp_path, listing, reason):
    (tmp_path / "odd.toml").write_text(listing)

    with pytest.raises(BaseUnusable, match=reason):
        base_spec("odd", folder=tmp_path)


@pytest.mark.parametrize("name", ["nowhere", "../secret", "/etc/passwd"])
def test_an_unknown_base_is_answered_with_the_known_ones(tiny_entry, name):
    with pytest.raises(BaseUnusable, match="tiny"):
        base_spec(name, folder=tiny_entry.parent)
    assert [spec.id for spec in list_bases(folder=tiny_entry.parent)] == ["tiny"]


def test_a_base_whose_files_changed_is_refused(tiny_entry, tmp_path):
    entry = tmp_path / "tiny.toml"
    entry.write_text(tiny_entry.read_text().replace('"tiny"', f'"{tiny_entry.parent / "tiny"}"') + 'sha256 = "f00"\n')

    with pytest.raises(BaseUnusable, match="restore the folder"):
        require_unchanged(base_spec(str(entry)))
    assert len(fingerprint(base_spec(str(entry)))) == 64


def test_the_shipped_base_is_the_one_that_its_entry_promises():
    spec = base_spec("openicons")

    assert require_unchanged(spec) == spec.sha256
    assert spec.styles.is_file()


def test_pictures_of_every_form_become_rgb_on_white():
    transparent = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    deep = Image.new("I;16", (4, 4), 65535)
    palette = Image.new("P", (4, 4))
    press = Image.new("CMYK", (4, 4), (0, 0, 0, 0))

    opened = [open_picture(encoded(image)) for image in (transparent, deep, palette)]
    opened.append(open_picture(encoded(press, "JPEG")))

    assert {picture.image.mode for picture in opened} == {"RGB"}
    assert opened[0].image.getpixel((0, 0)) == (255, 255, 255)
    assert opened[0].forms == {"transparent"}
    assert opened[1].image.getpixel((0, 0)) == (255, 255, 255)
    assert opened[3].image.getpixel((0, 0)) == (255, 255, 255)


def test_an_animated_picture_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    opened = open_picture(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))

    assert opened.forms == {"animated"}
    assert opened.image.getpixel((0, 0)) == (255, 0, 0)


def test_a_turned_photograph_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6

    assert open_picture(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).image.size == (4, 8)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a picture"),
        (b"<svg/>", "not a picture"),
        (encoded(Image.effect_noise((64, 64), 50))[:-2000], "damaged or cut off"),
        (
            encoded(Image.new("1", (20000, 20000))),
            "has 400 million pixels, and at most 40 million are read; save it smaller",
        ),
        (encoded(Image.new("1", (8000, 8000))), "has 64 million pixels, and at most 40 million"),
    ],
    ids=["nothing", "not an image", "truncated", "decompression bomb", "too many pixels"],
)
def test_an_unusable_picture_is_refused_in_a_sentence(content, reason):
    with pytest.raises(ImageRefused, match=reason) as refusal:
        open_picture(content)

    assert "(" not in str(refusal.value), "the library's own words are no help to anybody"

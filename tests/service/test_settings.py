"""Settings: read once, wrong ones named, all of them documented."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from service.ids import new_id
from service.settings import PREFIX, ROOT, Settings, read_settings, to_environ

EXAMPLE = ROOT / "configs" / "example.env"


def example() -> dict[str, str]:
    """Every setting the example names; those commented out have no value."""
    lines = EXAMPLE.read_text().splitlines()
    assigned = dict(line.split("=", 1) for line in lines if line.startswith(PREFIX))
    commented = re.findall(rf"^#({PREFIX}[A-Z_]+)=", EXAMPLE.read_text(), re.MULTILINE)
    return {**dict.fromkeys(commented, ""), **assigned}


def test_the_example_names_every_setting_and_no_other():
    assert set(example()) == {PREFIX + field.name.upper() for field in fields(Settings)}


def test_the_example_holds_the_defaults():
    read = read_settings(example())

    assert read == read_settings({})


def test_what_the_command_line_gives_wins_over_the_environment():
    settings = read_settings({"OWNHAND_PORT": "9000", "OWNHAND_HOST": "::"}, port=9001, host=None)

    assert settings.port == 9001
    assert settings.host == "::"


def test_a_secret_can_lie_in_a_file(tmp_path: Path):
    (tmp_path / "pepper").write_text("very secret\n")

    assert read_settings({"OWNHAND_PEPPER_FILE": str(tmp_path / "pepper")}).pepper == "very secret"


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"OWNHAND_PROT": "1"}, "did you mean OWNHAND_PORT"),
        ({"OWNHAND_PORT": "many"}, "'many'; it must be a int"),
        ({"OWNHAND_PORT": "70000"}, "ports end at 65535"),
        ({"OWNHAND_MAX_ROWS": "0"}, "must be above 0"),
        ({"OWNHAND_ENGINE": "cloud"}, "write one of here, ray"),
        ({"OWNHAND_RAY_GPUS": "-1"}, "must be 0 or above"),
        ({"OWNHAND_SUPERVISED": "perhaps"}, "true or false"),
        ({"OWNHAND_SMTP_URL": "mail.example.org"}, "OWNHAND_SMTP_URL: the scheme"),
        ({"OWNHAND_SMTP_URL": "smtp://mail.example.org"}, "OWNHAND_MAIL_FROM: '' is no address"),
        ({"OWNHAND_SMTP_URL": "smtp://mail.example.org", "OWNHAND_MAIL_FROM": "Office"}, "no address"),
    ],
)
def test_a_wrong_setting_is_named_with_the_way_out(environ: dict[str, str], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        read_settings(environ)


def test_a_child_reads_the_same_settings(tmp_path: Path):
    settings = read_settings({}, home=tmp_path, database_url="postgresql://x/y", supervised=True, port=9009)

    assert read_settings(to_environ(settings)) == settings


def test_ids_sort_by_the_time_they_were_made():
    ids = [new_id("gen") for _ in range(50)]

    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"gen_[0-9a-hjkmnp-tv-z]{26}", one) for one in ids)
    assert [one[:14] for one in ids] == sorted(one[:14] for one in ids)

"""Whether what a base makes may be sold, by its licence and by what its file says."""

from pathlib import Path

import pytest

from inference.base_licences import sale_of
from inference.catalog import base_spec
from inference.errors import BaseUnusable
from tests.inference.tiny_base import write_tiny_base


@pytest.mark.parametrize(
    "licence", ["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "FLUX.1-dev Non-Commercial", "noncommercial", "For research only"]
)
def test_a_licence_that_says_so_by_its_name_is_never_for_sale(licence: str):
    assert not sale_of(licence, None).is_allowed
    assert not sale_of(licence, True).is_allowed


@pytest.mark.parametrize("licence", ["Apache-2.0", "MIT", "CC-BY-4.0", "CreativeML-OpenRAIL++-M"])
def test_a_known_licence_is_for_sale_unless_the_file_forbids_it(licence: str):
    assert sale_of(licence, None).is_allowed
    assert not sale_of(licence, False).is_allowed


def test_an_unknown_licence_is_for_sale_only_where_the_file_says_so():
    assert not sale_of("Ours-1.0", None).is_allowed
    assert sale_of("Ours-1.0", True).is_allowed
    assert not sale_of("Ours-1.0", False).is_allowed


def test_a_file_that_says_otherwise_than_its_licence_is_refused(tmp_path: Path):
    write_tiny_base(tmp_path)
    file = tmp_path / "tiny.toml"
    file.write_text(file.read_text().replace('licence = "MIT"', 'licence = "CC-BY-NC-4.0"\ncommercial = true'))

    with pytest.raises(BaseUnusable, match=r"its licence, CC-BY-NC-4\.0, says otherwise"):
        base_spec("tiny", folder=tmp_path)


def test_every_base_that_is_shipped_may_be_sold():
    for file in (Path(__file__).resolve().parents[2] / "configs" / "bases").glob("**/*.toml"):
        spec = base_spec(str(file))
        assert sale_of(spec.licence, spec.commercial).is_allowed, file.name

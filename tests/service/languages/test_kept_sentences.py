"""What a review said in English is known again, so that pages say it in another language."""

import io
from string import Formatter

import pytest
from PIL import Image

from licensing.sentence import known_again
from service.languages import gettext, speaking, translate
from tests.service.conftest import draw
from training.review.wording import SAID, TEMPLATES
from training.works import inspect_upload


@pytest.mark.parametrize("template", sorted({text for pair in SAID.values() for text in pair}))
def test_a_sentence_of_the_review_is_known_again_with_its_values(template: str):
    names = [name for _, name, *_ in Formatter().parse(template) if name]
    values = {name: f"{name} (7), “of 8” works" for name in names}

    found = known_again(template.format(**values), TEMPLATES)

    assert (found.template, found.values) == (template, values)
    with speaking("de"):
        assert gettext(template) != template
        assert all(value in translate(found) for value in values.values())


def test_what_is_said_of_a_file_that_does_not_open_is_known_again():
    large = io.BytesIO()
    Image.new("1", (8000, 6000)).save(large, format="PNG")

    for content in (b"no picture", draw(size=200)[:300], large.getvalue()):
        opened, [finding] = inspect_upload("wrk_1", content, size=48)
        assert opened is None
        assert {known_again(text, TEMPLATES).template for text in (finding.why, finding.fix)} <= set(TEMPLATES)


def test_what_is_known_of_nothing_stays_as_it_is():
    said = known_again("A worker of {another} version said this.", TEMPLATES)
    with speaking("de"):
        assert said == translate(said) == "A worker of {another} version said this."

"""The report of a training, which a trainer writes in English, in the language of whoever reads it."""

import re
from dataclasses import replace
from html import unescape

import pytest
from PIL import Image

from licensing.sentence import known_again
from service.api.versions import OF_REPORTS
from service.kept_sentences import of_training
from service.languages import speaking, translate
from service.languages.retold import retell
from tests.training.test_gate import scores
from training import wording
from training.gate import Tried, judge
from training.recipe import Gate
from training.report import CopyShown, Pair, Report, render_report
from training.review import sentences

SMALL = Image.new("RGB", (8, 8), "#336699")
JUDGED = scores(copies=2, hand=0.1)
REPORT = Report(
    verdict=judge(JUDGED, Gate()),
    scores=JUDGED,
    trigger="with",
    num_trained=32,
    num_held_out=8,
    steps=480,
    tried=(
        Tried(name=wording.say("after", step=480), passed=False, broken=("copies", "hand")),
        Tried(name=wording.say("smaller", step=480, rank=4, before=16), passed=False, broken=("recall",)),
        Tried(name=wording.say("weaker", step=480, share="70%"), passed=True, broken=()),
    ),
    pairs=(Pair(caption="a <red> boat", work=SMALL, without=SMALL, with_style=SMALL),),
    samples=(("without", SMALL),),
    copies=(CopyShown(sample=SMALL, work=SMALL, name="Result"),),
    curve=((240, 0.123, 0.01), (480, 0.2, 0.01)),
    findings=(sentences.same_file("work_1", earlier_name="copies works"), sentences.too_few(3, 5)),
    names={"work_1": "passed"},
)
_TEXT = re.compile(r"<([^>]*)>([^<]*)")


def texts_of(page: str) -> list[tuple[str, str]]:
    """What can be read: the tag before it, and the text."""
    found = [(tag, unescape(text.strip())) for tag, text in _TEXT.findall(page) if not tag.startswith("style")]
    return [(tag, text) for tag, text in found if text]


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        replace(REPORT, verdict=judge(scores(), Gate()), pairs=(replace(REPORT.pairs[0], caption=""),)),
        replace(REPORT, verdict=judge(scores(), Gate()), scores=None, tried=()),
    ],
    ids=["refused", "passed", "nothing trained"],
)
def test_everything_that_a_report_says_can_be_said_in_another_language(report: Report):
    said = [text for tag, text in texts_of(render_report(report)) if 'translate="no"' not in tag]

    for text in said:
        is_figure = re.fullmatch(r"[\d.]+( %)?", text) is not None
        assert is_figure or known_again(text, OF_REPORTS).template in OF_REPORTS, text


def test_a_report_is_read_in_german_and_what_creators_wrote_stays():
    english = render_report(REPORT)
    with speaking("de"):
        german = retell(english, OF_REPORTS)

    assert '<html lang="de">' in german
    assert "Noch nicht zur Veröffentlichung bereit." in german
    assert "Es kopiert: 2 von 26 Testbildern waren Beinahe-Kopien" in german
    assert "der Adapter nach 480 Schritten mit 70\N{NO-BREAK SPACE}% seiner Stärke" in german
    assert "gehen 10\N{NO-BREAK SPACE}% des Weges" in german
    assert ">12,3\N{NO-BREAK SPACE}%</text>" in german
    assert 'alt="mit dem Stil: a &lt;red&gt; boat"' in german
    # Names and words that happen to be texts of ours are nobody's to translate.
    kept = [text for tag, text in texts_of(german) if 'translate="no"' in tag]
    assert kept == ["with", "a <red> boat", "Result", "without", "passed"]
    assert german.count("data:image/png;base64,") == english.count("data:image/png;base64,")


def test_a_report_in_english_is_as_it_was_written():
    page = render_report(REPORT)

    assert retell(page, OF_REPORTS) == page


def test_what_broke_and_what_is_tried_instead_are_both_said():
    why, name = judge(scores(member_gap=0.6), Gate()).sentences[0], wording.say("after", step=120)
    with speaking("de"):
        said = translate(of_training(wording.TRYING.format(why=why, name=name)))

    assert said.startswith("Es hat Werke auswendig gelernt: Die gesehenen werden 60,0\N{NO-BREAK SPACE}%")
    assert said.endswith("Versucht wird jetzt der Adapter nach 120 Schritten.")

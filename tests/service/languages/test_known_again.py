"""Sentences that come as plain English, from the database or an older row, are known again."""

import copy
import pickle
import re
from pathlib import Path

import pytest

import licensing
from inference.checkers import near_copies, nudenet
from licensing.errors import refuse
from licensing.money import Money
from licensing.said_in_sql import SENTENCES, of_sql
from licensing.sentence import Sentence, known_again, say
from service.kept_sentences import OF_ORDERS, OF_TRAININGS, OF_TRIES
from service.languages import speaking, translate
from service.orders import NOT_LOOKED_AT, UNPAID_SENTENCES
from service.pages.render import environment
from service.trainings import SORRY
from tests.training.test_gate import scores
from training.gate import judge
from training.recipe import Gate

SQL = " ".join(path.read_text() for path in (Path(licensing.__file__).parent / "sql").glob("*.sql")).replace("''", "'")


def test_a_sentence_of_the_database_has_its_values_again():
    said = "Output out_1 is disputed already; wait until that is closed"
    found = of_sql(said)

    assert (found, found.values) == (said, {"output": "out_1"})
    with speaking("de"):
        assert translate(found) == "Zum Bild out_1 läuft schon ein Streitfall; warten Sie, bis er abgeschlossen ist"


def test_what_is_none_of_them_stays_as_it_is():
    said = "Nobody says {this} here"

    assert of_sql(said) == said
    with speaking("de"):
        assert translate(of_sql(said)) == said


@pytest.mark.parametrize("template", SENTENCES)
def test_the_database_says_them(template: str):
    parts = [part.strip(" ;:,") for part in re.split(r"\{\w+\}|;", template)]
    parts = [part for part in parts if len(part) > len("Payout")]

    # A part that is put together from two, as why a coupon does not count, is not in one piece.
    assert any(part in SQL for part in parts), template


def test_rows_keep_what_is_known_again():
    checks = [near_copies.SENTENCE, *nudenet.SENTENCES.values()]
    whole = [f"{said[:1].upper()}{said[1:]}; nothing was charged." for said in checks]
    some = [
        f"1 of 4 pictures left out and not charged: {said}." for said in checks if said != nudenet.SENTENCES["image"]
    ]
    for said in (*UNPAID_SENTENCES.values(), NOT_LOOKED_AT, *whole, *some):
        assert known_again(said, OF_ORDERS).template in OF_ORDERS, said
    for said in checks:
        if said != nudenet.SENTENCES["image"]:
            assert known_again(f"{said[:1].upper()}{said[1:]}.", OF_TRIES).template in OF_TRIES, said
    assert known_again(SORRY, OF_TRAININGS).template == SORRY


@pytest.mark.parametrize(
    "changes",
    [
        {"heldout_gain": 0.001},
        {"hand": 0.1},
        {"hand": 0.1, "other_styles": 1},
        {"member_gap": 0.6},
        {"recalled": 8},
        {"copies": 2},
        {"drift": 0.5},
    ],
)
def test_why_a_training_was_refused_is_known_again(changes: dict[str, float]):
    said = judge(scores(**changes), Gate()).sentences[0]

    assert known_again(said, OF_TRAININGS).template in OF_TRAININGS, said


def test_sentences_are_copied_and_packed_with_what_they_were_made_of():
    made = say("{name} costs {price}", name="It", price=Money(120, "EUR"))
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert isinstance(other, Sentence)
        assert (other, other.template, other.values) == (made, made.template, made.values)


def test_money_and_days_in_a_sentence_are_written_as_its_reader_writes_them():
    refusal = refuse("payment_required", amount=123_450, available=5, currency="EUR")
    assert refusal.message.startswith("This costs 1234.50 EUR and 0.05 EUR of prepaid money is free")
    taken = refuse("style_exclusive", style_id="sty_1", until="2026-11-30T10:00:00+00:00")
    assert "until 2026-11-30;" in taken.message
    with speaking("de"):
        assert translate(refusal.message).startswith("Das kostet 1.234,50\N{NO-BREAK SPACE}EUR, und vom Guthaben sind")
        assert "bis zum 30. November 2026" in translate(taken.message)


def test_a_page_says_every_sentence_in_its_readers_language():
    page = environment().from_string("<p>{{ said }}</p>")
    said = say("{what}.", what=say("it is decided"))

    assert page.render(said=said) == "<p>it is decided.</p>"
    with speaking("de"):
        assert page.render(said=said) == "<p>es ist entschieden.</p>"

"""Which language somebody is answered in, and that what is marked comes out in it."""

import pytest

from licensing.sentence import say
from service.languages import ENGLISH, choose, ngettext, speaking, spoken, translate
from tests.service.conftest import Place, connect


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", ENGLISH),
        (None, "de-AT,de;q=0.9,en;q=0.5", "de"),
        (None, "en;q=0.4,de;q=0.8", "de"),
        (None, "de;q=0,en", ENGLISH),
        (None, "fr,nl;q=0.7", ENGLISH),
        (None, "fr,de;q=0.2", "de"),
        (None, "de;q=lots, *", ENGLISH),
        ("en", "de", ENGLISH),
        ("de", "en", "de"),
        ("tlh", "de", "de"),
    ],
)
def test_the_language_is_what_was_chosen_else_what_the_browser_asks_for(
    chosen: str | None, accepted: str, language: str
):
    assert choose(chosen, accepted) == language


def test_a_sentence_is_english_until_it_is_read_in_another_language():
    sentence = say("There are no pages in {name}; {rest}", name="fr", rest=say("Sign in"))
    assert sentence == "There are no pages in fr; Sign in"
    with speaking("de"):
        assert translate(say("Sign in")) == "Anmelden"
        assert translate(sentence).endswith("; Anmelden"), "what a sentence holds is said in it, too"
        assert translate("No catalogue has this") == "No catalogue has this"
        assert ngettext("nowhere", "anywhere", 2) == "anywhere"
    assert spoken() == ENGLISH


async def test_pages_come_in_the_browsers_language_and_in_the_chosen_one(place: Place):
    async with connect(place.app) as http:
        german = await http.get("/verify", headers={"Accept-Language": "de-DE,de;q=0.9"})
        assert '<html lang="de">' in german.text
        assert "Ein Bild prüfen" in german.text

        chosen = await http.post("/language", data={"language": "en", "then": "/verify"})
        assert (chosen.status_code, chosen.headers["location"]) == (303, "/verify")
        english = await http.get("/verify", headers={"Accept-Language": "de"})
        assert '<html lang="en">' in english.text

        refused = await http.post("/language", data={"language": "tlh"})
        assert refused.status_code == 422
        assert "en, de" in refused.text
        elsewhere = await http.post("/language", data={"language": "de", "then": "//elsewhere.example"})
        assert elsewhere.headers["location"] == "/"


async def test_programs_are_answered_in_english(place: Place):
    async with connect(place.app) as http:
        headers = {"Authorization": "Bearer nonsense", "Accept-Language": "de"}
        assert (await http.get("/v1/account", headers=headers)).json()["title"] == "Sign in first"

"""The office and an account, as somebody reads them whose browser asks for German."""

import pytest

from service.api.payments import GiveBackBody
from service.devices import device_said
from service.errors import Problem
from service.languages import speaking
from service.pages.forms import checked
from tests.service.market import Market
from tests.service.pages.conftest import Sit, words_of

GERMAN = {"Accept": "text/html", "Accept-Language": "de"}
SAID = {
    "/office": "Was Sie zuerst braucht",
    "/office/money": "Von der Kundschaft zu zahlen",
    "/office/dues": "Wer was schuldet",
    "/office/payments": "Erwartete Überweisungen",
    "/office/payouts": "An Kreative zu zahlen",
    "/office/disputes": "Jemand von außen beansprucht ein Recht",
    "/office/letters": "Wartend und nicht gesendet",
    "/office/claims": "Einen Anspruch notieren",
    "/office/machines": "Die Regeln des Hauptbuchs",
    "/office/bases": "Darf verkauft werden",
    "/office/audit": "Wessen Verzeichnis",
    "/office/setup": "Selbsttest starten",
    "/account": "Wo Sie angemeldet sind",
    "/account/second-factor": "Einrichten",
    "/inbox": "Hier ist nichts.",
}
"""By page, something that stands on it."""


async def test_the_office_and_an_account_are_read_in_german(market: Market, sit: Sit):
    office = await sit(await market.person("operator"))
    for path, said in SAID.items():
        answer = await office.http.get(path, headers=GERMAN)
        assert answer.status_code == 200, path
        assert said in words_of(answer.text), path


async def test_what_does_not_fit_a_form_is_said_in_german(market: Market, sit: Sit):
    office = await sit(await market.person("operator"))
    fields = {"csrf": office.csrf, "client": "nobody@example.org", "amount": "much", "reference": "R-1"}
    answer = await office.http.post("/office/credits", data=fields, headers=GERMAN)
    assert "Betrag: 'much' ist kein Betrag; schreiben Sie ihn wie 1,20." in words_of(answer.text)


def test_what_does_not_fit_a_shape_is_said_in_german():
    with speaking("de"), pytest.raises(Problem) as raised:
        checked(GiveBackBody, amount=1, why="")
    assert raised.value.document["detail"] == "Warum: zu kurz; 1 Zeichen oder mehr."
    with pytest.raises(Problem) as raised:
        checked(GiveBackBody, amount=1, why="")
    assert raised.value.document["detail"] == "Why: string should have at least 1 character."


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("Firefox on Linux", "Firefox auf Linux"),
        ("Safari on an iPhone", "Safari auf einem iPhone"),
        ("A program on a Mac", "Ein Programm auf einem Mac"),
        ("Opera", "Opera"),
        ("", ""),
    ],
)
def test_a_device_is_named_in_german(kept: str, said: str):
    assert device_said(kept) == kept
    with speaking("de"):
        assert device_said(kept) == said

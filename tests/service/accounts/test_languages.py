"""Which language an account is told things in: learned when its person first signs in, then chosen."""

from service.ids import new_id
from service.languages import LANGUAGE_COOKIE
from tests.service.accounts.conftest import PASSWORD, Browser, Sit, hidden, letters_to, stranger, with_password, words
from tests.service.conftest import Person, Place


async def language(place: Place, email: str) -> str | None:
    async with place.owner() as conn:
        found: str | None = await conn.fetchval("SELECT language FROM service.accounts WHERE email = $1", email)
        return found


def german(place: Place) -> Browser:
    seat = stranger(place)
    seat.http.headers["Accept-Language"] = "de-AT,de;q=0.9,en;q=0.4"
    return seat


async def test_who_signs_up_in_german_is_written_to_and_kept_in_german(place: Place):
    email = f"{new_id('new')}@example.org"
    form = {"role": "client", "name": "Anna", "email": email, "terms": str(place.gateway.ownership.version)}
    seat = german(place)
    await seat.send("/sign-up", **form)
    (letter,) = await letters_to(place, email)
    assert letter["subject"].startswith("Bestätigen Sie Ihre Adresse für ")

    page = await seat.read(letter["link"])
    sent = {name: hidden(page, name) for name in ("word", "terms")}
    made = await seat.send("/sign-up/confirm", **sent, name="Anna", password=PASSWORD)

    assert made.status_code == 303
    assert await language(place, email) == "de"


async def test_a_choice_is_kept_with_the_account_and_goes_along_to_a_new_browser(
    place: Place, client: Person, sit: Sit
):
    email = client.account.email
    seat = await with_password(sit, client.account)
    assert await language(place, email) == "en"

    chosen = await seat.send("/language", language="de", then="/account")

    assert chosen.headers["location"] == "/account"
    assert await language(place, email) == "de"
    other = stranger(place)
    await other.send("/sign-in/password", email=email, password=PASSWORD)
    assert other.http.cookies[LANGUAGE_COOKIE] == "de"
    assert '<html lang="de">' in (await other.read("/account")).text


async def test_what_a_browser_chose_before_stays_its_own(place: Place, client: Person, sit: Sit):
    seat = await with_password(sit, client.account)
    await seat.send("/language", language="de")
    shared = stranger(place)
    await shared.send("/language", language="en")

    await shared.send("/sign-in/password", email=client.account.email, password=PASSWORD)

    assert shared.http.cookies[LANGUAGE_COOKIE] == "en"
    assert await language(place, client.account.email) == "de"


async def test_letters_are_in_the_language_of_who_reads_them_whoever_makes_them_written(
    place: Place, client: Person, sit: Sit
):
    email = client.account.email
    seat = await with_password(sit, client.account)
    await seat.send("/language", language="de")
    english = stranger(place)

    await english.send("/sign-in/send", email=email)

    *_, letter = await letters_to(place, email)
    assert letter["kind"] == "sign_in.link"
    assert letter["subject"].startswith("Ihr Link zum Anmelden bei ")
    assert "Er gilt einmal, bis " in letter["words"]


async def test_problems_are_said_in_the_readers_language_and_to_programs_in_english(place: Place, client: Person):
    answer = await german(place).read("/styles/sty_nowhere")
    assert "Das gibt es hier nicht" in words(answer)

    headers = {"Accept-Language": "de"}
    problem = (await client.http.get("/v1/generations/gen_nowhere", headers=headers)).json()
    assert problem["detail"] == "There is no generation 'gen_nowhere' here; check the id."

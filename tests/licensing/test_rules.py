"""Prompts and clients judged by creators' rules: a table of cases, and what holds for any text."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licensing.errors import Refusal, RulesInvalid
from licensing.rules import Category, Rules, judge_client, judge_prompt, load_categories, objections, plain, unsound

FILE = Path(__file__).parents[2] / "configs" / "categories.toml"
CATEGORIES = load_categories(FILE)
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=8)


def terms_in(prompt: str, *refuse: str, categories: tuple[str, ...] = ()) -> list[str]:
    found = objections(Rules(refuse=refuse, categories=categories), CATEGORIES, prompt)
    return [objection.term for objection in found]


@pytest.mark.parametrize(
    ("term", "prompt"),
    [
        ("gun", "a gun"),
        ("gun", "A GUN, smoking"),
        ("gun", "\N{FULLWIDTH LATIN SMALL LETTER G}\N{FULLWIDTH LATIN SMALL LETTER U}n"),
        ("gun", "a gu\N{ZERO WIDTH SPACE}n"),
        ("gun", "a gu\N{SOFT HYPHEN}n"),
        ("gun", "a “gun”"),
        ("GUN", "gun"),
        ("café", "a cafe"),
        ("cafe", "a cafe\N{COMBINING ACUTE ACCENT} at night"),
        ("Straße", "eine STRASSE"),
        ("whisky", "wh1sky"),
        ("assault", "a$$ault"),
        ("leet", "a l33t hat"),
        ("vote for", "please VOTE,  for\tme"),
        ("self harm", "self-harm"),
        ("gun*", "guns"),
        ("gun*", "a gun"),
        ("vote for*", "votes; vote forever"),
        ("ak 47", "an AK-47"),
        ("\N{CYRILLIC SMALL LETTER SHORT I}од", "\N{CYRILLIC CAPITAL LETTER SHORT I}ОД"),
        ("4", "room 4"),
    ],
)
def test_a_term_is_met_however_it_is_written(term: str, prompt: str):
    assert terms_in(prompt, term) == [term]


@pytest.mark.parametrize(
    ("term", "prompt"),
    [
        ("gun", "a gunter"),
        ("gun", "begun"),
        ("gun", "g un"),
        ("gun*", "begun"),
        ("vote for", "for a vote"),
        ("vote for", "vote, then wait for it"),
        ("4", "room 45"),
        ("one", "0"),
        ("कमल", "कमाल"),
    ],
)
def test_other_words_are_not_met(term: str, prompt: str):
    assert terms_in(prompt, term) == []


@given(before=st.lists(WORDS), term=WORDS, after=st.lists(WORDS), data=st.data())
def test_no_way_of_writing_hides_a_term(before: list[str], term: str, after: list[str], data: st.DataObject):
    disguises = {"o": "o0O", "e": "e3éE", "s": "s5$S", "a": "a4@à", "i": "i1I", "t": "t7T"}
    written = "".join(data.draw(st.sampled_from(disguises.get(letter, letter + letter.upper()))) for letter in term)
    # A word of nothing but digits and signs is a number, or a price.
    written = written if any(letter.isalpha() for letter in written) else term
    blank = data.draw(st.sampled_from([" ", ", ", " - ", "\n", "; "]))

    assert terms_in(blank.join([*before, written, *after]), term) == [term]


@given(prompt=st.text(), refuse=st.lists(st.text(max_size=60), max_size=5), more=st.text(max_size=60))
def test_any_text_can_be_judged_and_a_further_term_allows_nothing(prompt: str, refuse: list[str], more: str):
    rules = Rules(refuse=tuple(refuse))
    sound = replace(rules, refuse=tuple(term for term in refuse if not unsound(Rules(refuse=(term,)), {})))

    fewer = objections(sound, CATEGORIES, prompt)
    further = objections(replace(sound, refuse=(*sound.refuse, more)), CATEGORIES, prompt)

    assert further[: len(fewer)] == fewer
    assert "  " not in plain(prompt)


def test_every_term_that_is_met_is_named_the_creators_own_first():
    found = objections(Rules(refuse=("boat",), categories=("weapons",)), CATEGORIES, "two pistols and a gun on a boat")

    assert [(objection.term, objection.rule) for objection in found] == [
        ("boat", "boat"),
        ("gun", "weapons"),
        ("pistol*", "weapons"),
    ]


def test_a_refusal_names_the_term_and_the_rule_and_says_that_it_costs_nothing():
    rules = Rules(refuse=("dragon*",), categories=("weapons",))

    own = judge_prompt(rules, CATEGORIES, style="Ink", prompt="Dragons!")
    listed = judge_prompt(rules, CATEGORIES, style="Ink", prompt="a rifle")

    assert own is not None
    assert own.slug == "prompt_refused"
    assert own.message == (
        "The creator of Ink does not have words that begin with 'dragon' drawn; leave that out. Nothing was charged."
    )
    assert listed is not None
    assert "words that begin with 'rifle' (weapons)" in listed.message
    assert (listed.detail["rule"], listed.detail["term"], listed.detail["whose"]) == ("weapons", "rifle*", "creator")
    assert judge_prompt(rules, CATEGORIES, style="Ink", prompt="a tree") is None


@pytest.mark.parametrize(
    ("rules", "may_order"),
    [
        (Rules(), True),
        (Rules(only_clients=("acc_1",)), True),
        (Rules(only_clients=("ANNA@example.org", "acc_9")), True),
        (Rules(only_clients=("acc_9",)), False),
        (Rules(blocked_clients=("acc_9",)), True),
        (Rules(blocked_clients=("acc_1",)), False),
        (Rules(only_clients=("acc_1",), blocked_clients=("anna@example.org",)), False),
    ],
)
def test_clients_are_let_in_by_their_id_or_address(rules: Rules, may_order: bool):
    answer = judge_client(rules, style="Ink", client=("acc_1", "anna@example.org"))

    assert (answer is None) == may_order


def test_whoever_may_not_order_does_not_learn_by_which_list():
    blocked = judge_client(Rules(blocked_clients=("acc_1", "acc_2")), style="Ink", client=("acc_1",))
    left_out = judge_client(Rules(only_clients=("acc_2",)), style="Ink", client=("acc_1",))

    assert isinstance(blocked, Refusal)
    assert blocked == left_out
    assert blocked.slug == "style_not_offered"
    assert "acc_" not in blocked.message


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        (Rules(refuse=("***",)), "is no term"),
        (Rules(refuse=("g*n",)), "is no term"),
        (Rules(refuse=("x" * 61,)), "61 characters"),
        (Rules(refuse=("word",) * 201), "at most 200 terms"),
        (Rules(only_clients=("a",) * 150, blocked_clients=("b",) * 51), "200 clients"),
        (Rules(categories=("weather",)), "no category 'weather'"),
    ],
)
def test_rules_that_cannot_judge_are_named(rules: Rules, complaint: str):
    assert complaint in str(unsound(rules, CATEGORIES))
    assert unsound(Rules(refuse=("gun*",), categories=("weapons",)), CATEGORIES) is None


def test_a_category_that_was_taken_away_objects_to_nothing():
    assert objections(Rules(categories=("weapons",)), {}, "a rifle") == []


@pytest.mark.parametrize(
    "prompt",
    [
        "a red apple",
        "a cat with an umbrella",
        "a hot air balloon over mountains",
        "a glass of water",
        "a tank of fish",
        "a shot of espresso",
        "a party with balloons",
        "a bow tie",
        "a poster of a bird",
        "grapes on a vine",
        "a swordfish",
        "chicken breast with rice",
        "a rummage sale",
        "a classic car in Essex",
        "a wine-red dress",
        "bullet points",
        "a knife and fork",
        "a bartender",
        "a bombastic hat",
        "a smoke detector",
    ],
)
def test_everyday_prompts_pass_all_shipped_categories_or_are_known_not_to(prompt: str):
    known = {"a wine-red dress": ["wine"]}

    assert terms_in(prompt, categories=tuple(CATEGORIES)) == known.get(prompt, [])


@pytest.mark.parametrize(
    ("category", "prompt"),
    [
        ("politics", "a poster: Vote for Smith"),
        ("weapons", "a soldier with an AK-47"),
        ("violence", "a bloody murder scene"),
        ("adult", "a n@ked person"),
        ("gambling", "a CASINO at night"),
        ("alcohol_tobacco", "a pint of beer"),
        ("drugs", "a cannabis leaf"),
    ],
)
def test_each_shipped_category_meets_what_it_is_about(category: str, prompt: str):
    assert terms_in(prompt, categories=(category,))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a", "cannot be read"),
        ("a = 1", "must have name and meaning"),
        ('[a]\nname = "A"\nmeaning = "B"\nterms = ["x"]\nmore = 1', "must have name and meaning"),
        ('[a]\nname = "A"\nmeaning = "B"\nterms = ["x*y"]', "'x*y' in [a] is no term"),
        ('[a]\nname = "A"\nmeaning = "B"\nterms = [1]', "1 in [a] is no term"),
    ],
)
def test_a_file_of_categories_that_is_wrong_is_named(tmp_path: Path, text: str, complaint: str):
    wrong = tmp_path / "categories.toml"
    wrong.write_text(text)

    with pytest.raises(RulesInvalid) as caught:
        load_categories(wrong)

    assert complaint in str(caught.value)
    assert str(wrong) in str(caught.value)


def test_a_file_of_categories_is_read():
    assert CATEGORIES["weapons"] == Category(
        id="weapons",
        name="Weapons",
        meaning="Guns, ammunition, bombs and blades made for fighting.",
        terms=CATEGORIES["weapons"].terms,
    )

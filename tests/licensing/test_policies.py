"""Terms as other programs read them: every word is one of ODRL's, of the own profile, or of RSL 1.0."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from licensing.policies import CONTEXT, PROFILE, RSL, Subject, odrl, rsl
from licensing.prices import load_prices
from licensing.terms import Offer, Permissions, StyleTerms
from licensing.wording import in_words
from tests.licensing.world import PRICES, eur

SUBJECT = Subject(
    style_name="Ink & wash",
    creator_name="Ada <Lovelace>",
    url="https://example.org/v1/styles/sty_1/licence/3",
    page="https://example.org/styles/sty_1",
)
# https://www.w3.org/TR/odrl-vocab/: those of its terms that are used here.
KEYS = {"uid", "profile", "conflict", "assigner", "assignee", "target", "permission", "prohibition", "obligation"}
KEYS |= {"action", "refinement", "constraint", "duty", "leftOperand", "operator", "rightOperand", "unit"}
KEYS |= {"compensatedParty", "attributedParty"}
KEYS |= {"@context", "@graph", "@type", "@id", "@value", "rdf:value"}
ACTIONS = {"use", "reproduce", "derive", "attribute", "odrl:compensate", "ensureExclusivity", "own:train"}
LEFT_OPERANDS = {"purpose", "count", "elapsedTime", "payAmount"}
OPERATORS = {"eq", "gt", "lteq"}
TYPES = {"Offer", "AssetCollection", "xsd:integer", "xsd:decimal", "xsd:duration"}
# https://rslstandard.org/rsl, version 1.0
RSL_TAGS = {"rsl", "content", "license", "permits", "prohibits", "payment", "custom", "amount", "copyright", "terms"}
STRICT = Permissions(attribution=True, derivatives=False, ceiling=500, expiry_days=365)


def terms(**permissions: Any) -> StyleTerms:
    """The shipped prices with an offer to have the style alone."""
    usual = load_prices(PRICES).default_terms(style_id="sty_1", creator_id="acc_1")
    tiers = dict(usual.tiers)
    tiers["exclusive"] = replace(tiers["exclusive"], offer=Offer(price=eur(90_000), units=40, months=3))
    return replace(usual, tiers=tiers, permissions=Permissions(**permissions), version=3)


def offers_of(style: StyleTerms) -> dict[str, Any]:
    return {offer["uid"].partition("#")[2]: offer for offer in odrl(style, SUBJECT)["@graph"]}


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a document, but the context."""
    if isinstance(value, dict):
        yield value
        value = [inner for key, inner in value.items() if key != "@context"]
    if isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def actions(rules: list[dict[str, Any]]) -> list[Any]:
    return [rule["action"] for rule in rules]


@pytest.mark.parametrize("permissions", [{}, vars(STRICT), {"training": True}])
def test_every_word_of_a_policy_is_odrls_or_the_profiles(permissions: dict[str, Any]):
    document = odrl(terms(**permissions), SUBJECT)

    assert document["@context"] == CONTEXT
    for node in nodes(document):
        own = {key for key in node if key not in KEYS}
        assert {key.partition(":")[0] for key in own} <= {"dct", "own"}, own
        assert node.get("@type", "Offer") in TYPES
        assert node.get("leftOperand", "purpose") in LEFT_OPERANDS
        assert node.get("operator", "eq") in OPERATORS
        named = [node["action"]] if isinstance(node.get("action"), str) else []
        named += [node["rdf:value"]["@id"]] if "rdf:value" in node else []
        assert set(named) <= ACTIONS


def test_an_offer_has_what_odrl_asks_of_one():
    for offer in odrl(terms(), SUBJECT)["@graph"]:
        assert offer["@type"] == "Offer"
        assert offer["uid"].startswith(f"{SUBJECT.url}#")
        assert offer["assigner"] == "https://ownhand.invalid/creators/acc_1"
        assert offer["profile"] == PROFILE
        assert offer["target"]
        assert offer["permission"]
        assert offer["dct:description"]


def test_each_tier_says_its_purpose_and_its_price():
    offers = offers_of(terms())

    assert list(offers) == [
        *("draft", "personal", "personal-licence", "commercial", "commercial-licence"),
        *("exclusive", "exclusive-licence"),
    ]
    use = offers["personal"]["permission"][0]
    assert use["constraint"] == [{"leftOperand": "purpose", "operator": "eq", "rightOperand": {"@id": "own:personal"}}]
    (price,) = use["duty"][0]["action"][0]["refinement"]
    assert price["rightOperand"] == {"@value": "0.60", "@type": "xsd:decimal"}
    assert price["unit"] == "urn:iso:std:iso:4217:EUR"


def test_limits_and_duties_stand_where_the_terms_have_them():
    loose, strict = offers_of(terms())["commercial"], offers_of(terms(**vars(STRICT)))["commercial"]

    assert actions(loose["permission"]) == ["use", "derive"]
    assert actions(loose["prohibition"]) == ["own:train"]
    assert [duty["action"] for duty in loose["permission"][0]["duty"]][1:] == []
    assert actions(strict["prohibition"]) == ["reproduce", "derive", "own:train"]
    assert strict["prohibition"][0]["constraint"][0]["rightOperand"]["@value"] == "500"
    assert strict["permission"][0]["constraint"][1]["rightOperand"] == {"@value": "P365D", "@type": "xsd:duration"}
    assert strict["permission"][0]["duty"][1]["action"] == "attribute"
    assert "prohibition" not in offers_of(terms(training=True))["personal"]


def test_what_is_one_clients_alone_is_the_makers_duty():
    offers = offers_of(terms())

    for name, offer in offers.items():
        assert ("obligation" in offer) == name.startswith("exclusive")
    alone = offers["exclusive-licence"]
    count, time = alone["permission"][0]["constraint"]
    assert alone["obligation"] == [{"action": "ensureExclusivity", "assignee": alone["assigner"]}]
    assert (count["rightOperand"]["@value"], time["rightOperand"]["@value"]) == ("40", "P3M")
    assert alone["target"] == SUBJECT.page


@pytest.mark.parametrize("training", [False, True])
def test_the_rsl_file_has_rsls_elements_and_the_terms_prices(training: bool):
    root = ElementTree.fromstring(rsl(terms(training=training), SUBJECT))
    space = {"r": RSL}

    assert {element.tag for element in root.iter()} <= {f"{{{RSL}}}{tag}" for tag in RSL_TAGS}
    (content,) = root.findall("r:content", space)
    assert content.get("url") == SUBJECT.page
    licences = content.findall("r:license", space)
    assert [licence.findtext("r:permits[@type='user']", namespaces=space) for licence in licences] == [
        *("non-commercial", "commercial", "commercial")
    ]
    for licence in licences:
        what = "permits" if training else "prohibits"
        assert licence.findtext(f"r:{what}[@type='usage']", namespaces=space) == "ai-train"
        assert licence.find("r:payment", space).get("type") == "purchase"
    amounts = [(amount.text, amount.get("currency")) for amount in root.iter(f"{{{RSL}}}amount")]
    assert amounts == [("0.60", "EUR"), ("4.50", "EUR"), ("29.00", "EUR")]
    assert content.findtext("r:copyright", namespaces=space) == "Ada <Lovelace>"
    assert content.findtext("r:terms", namespaces=space) == SUBJECT.url


def test_words_say_each_limit():
    strict = " ".join(in_words(STRICT))

    assert "not change" in strict
    assert "Name the maker" in strict
    assert "At most 500 copies" in strict
    assert "365 days" in strict
    assert "At most 1 copy of each" in " ".join(in_words(Permissions(ceiling=1)))
    assert "stays yours" in " ".join(in_words(Permissions()))

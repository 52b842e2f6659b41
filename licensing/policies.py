"""A style's terms as other programs read licences: ODRL policies (W3C, JSON-LD) and an RSL 1.0 file (XML).

Only what the gateway enforces or what the terms say in words is written down. What ODRL has no word for is of an own
profile, `PROFILE`, and carries its prefix.
"""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any

from licensing.money import Money
from licensing.terms import EXCLUSIVE, Offer, StyleTerms, Tier
from licensing.wording import in_words

PROFILE = "https://ownhand.invalid/odrl/"
"""The own profile. `own:train` is to train models on a picture; `own:` before a tier's name is that tier's purpose."""
CONTEXT = ["http://www.w3.org/ns/odrl.jsonld", {"dct": "http://purl.org/dc/terms/", "own": PROFILE}]
RSL = "https://rslstandard.org/rsl"
# What RSL calls those who may use something. A draft is for looking at, so it is not offered to machines.
_RSL_USERS = {"personal": "non-commercial", "commercial": "commercial", EXCLUSIVE: "commercial"}

Node = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose terms they are, with the addresses under which they are found. `url` is that of this version's policies,
    `page` the style's for people."""

    style_name: str
    creator_name: str
    url: str
    page: str


def odrl(terms: StyleTerms, subject: Subject) -> Node:
    """One Offer for a picture of each tier, and one for each licence that may be bought instead."""
    offers = []
    for name, tier in terms.tiers.items():
        offers.append(_offer(terms, subject, name, tier))
        if tier.offer is not None:
            offers.append(_licence_offer(terms, subject, name, tier, tier.offer))
    return {"@context": CONTEXT, "@graph": offers}


def rsl(terms: StyleTerms, subject: Subject) -> str:
    """What may be done with a style's public page and what a picture of each tier costs, as an RSL file."""
    root = ElementTree.Element("rsl", xmlns=RSL)
    content = ElementTree.SubElement(root, "content", url=subject.page)
    for name, tier in terms.tiers.items():
        if name not in _RSL_USERS:
            continue
        licence = ElementTree.SubElement(content, "license")
        _add(licence, "permits", _RSL_USERS[name], type="user")
        _add(licence, "permits" if terms.permissions.training else "prohibits", "ai-train", type="usage")
        payment = ElementTree.SubElement(licence, "payment", type="purchase")
        _add(payment, "custom", subject.page)
        _add(payment, "amount", _decimal(tier.price), currency=tier.price.currency)
    _add(content, "copyright", subject.creator_name, type="person")
    _add(content, "terms", subject.url)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def creator_iri(creator_id: str) -> str:
    """The public name of a creator among other programs' parties."""
    return f"https://ownhand.invalid/creators/{creator_id}"


def _offer(terms: StyleTerms, subject: Subject, name: str, tier: Tier) -> Node:
    limits = [_constraint("purpose", "eq", {"@id": f"own:{name}"})]
    if terms.permissions.expiry_days is not None:
        limits.append(_constraint("elapsedTime", "lteq", _typed(f"P{terms.permissions.expiry_days}D", "duration")))
    duties: list[Node] = [_compensate(terms, tier.price)]
    if terms.permissions.attribution:
        duties.append({"action": "attribute", "attributedParty": creator_iri(terms.creator_id)})
    permissions: list[Node] = [{"action": "use", "constraint": limits, "duty": duties}]
    prohibitions: list[Node] = []
    if terms.permissions.ceiling is not None:
        more = _constraint("count", "gt", _typed(str(terms.permissions.ceiling), "integer"))
        prohibitions.append({"action": "reproduce", "constraint": [more]})
    (permissions if terms.permissions.derivatives else prohibitions).append({"action": "derive"})
    (permissions if terms.permissions.training else prohibitions).append({"action": "own:train"})
    words = " ".join([tier.use, *in_words(terms.permissions)])
    return _policy(terms, subject, name, words) | {
        "permission": permissions,
        **({"prohibition": prohibitions} if prohibitions else {}),
        **({"obligation": [_alone(terms)]} if name == EXCLUSIVE else {}),
    }


def _licence_offer(terms: StyleTerms, subject: Subject, name: str, tier: Tier, offer: Offer) -> Node:
    """So many pictures of the tier, each under the tier's own policy."""
    limits = [
        _constraint("count", "lteq", _typed(str(offer.units), "integer")),
        _constraint("elapsedTime", "lteq", _typed(f"P{offer.months}M", "duration")),
    ]
    # To make a picture is to derive it from the style.
    permission = {"action": "derive", "constraint": limits, "duty": [_compensate(terms, offer.price)]}
    words = f"{offer.units} pictures within {offer.months} months."
    if name == EXCLUSIVE:
        words += " Nobody else may order of the style meanwhile."
    return _policy(terms, subject, f"{name}-licence", words) | {
        "target": subject.page,
        "dct:relation": {"@id": f"{subject.url}#{name}"},
        "permission": [permission],
        **({"obligation": [_alone(terms)]} if name == EXCLUSIVE else {}),
    }


def _policy(terms: StyleTerms, subject: Subject, name: str, words: str) -> Node:
    return {
        "@type": "Offer",
        "uid": f"{subject.url}#{name}",
        "profile": PROFILE,
        "conflict": "prohibit",
        "assigner": creator_iri(terms.creator_id),
        # Every picture that is made in the style and sold at the tier.
        "target": {"@type": "AssetCollection", "uid": f"{subject.page}#{name}"},
        "dct:title": f"{subject.style_name} by {subject.creator_name}: {name}",
        "dct:description": words,
        "own:termsVersion": terms.version,
    }


def _alone(terms: StyleTerms) -> Node:
    return {"action": "ensureExclusivity", "assignee": creator_iri(terms.creator_id)}


def _compensate(terms: StyleTerms, price: Money) -> Node:
    amount = _constraint("payAmount", "eq", _typed(_decimal(price), "decimal"))
    amount["unit"] = f"urn:iso:std:iso:4217:{price.currency}"
    return {
        "action": [{"rdf:value": {"@id": "odrl:compensate"}, "refinement": [amount]}],
        "compensatedParty": creator_iri(terms.creator_id),
    }


def _constraint(left: str, operator: str, right: Any) -> Node:
    return {"leftOperand": left, "operator": operator, "rightOperand": right}


def _typed(value: str, kind: str) -> Node:
    return {"@value": value, "@type": f"xsd:{kind}"}


def _decimal(price: Money) -> str:
    """`0.60` for 60 cents."""
    return str(price).partition(" ")[0]


def _add(parent: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = text

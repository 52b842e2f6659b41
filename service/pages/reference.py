"""The reference of the API as pages: what `/openapi.json` says, one page for each noun. No script, nothing from
elsewhere."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

from service.errors import SLUGS, not_found
from service.pages.examples import ANSWERS
from service.pages.render import page
from service.pages.visits import Visitor

router = APIRouter(include_in_schema=False)

_SUCCESS = "2"
_ARRAY_OF = "list of "
_LENGTHS = {"minLength": "at least {} characters", "maxLength": "at most {} characters"}
_LIMITS = {
    "minimum": "from {}",
    "maximum": "up to {}",
    "exclusiveMinimum": "above {}",
    "maxItems": "at most {} of them",
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """What a call takes or answers with: of which kind it is, and what is said of it."""

    name: str
    kind: str
    words: str = ""
    is_required: bool = False
    place: str = "body"
    """Where it stands: `path`, `query`, `header`, or the body."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call. `answers` are what comes where all goes well; `problems` are slugs by status."""

    method: str
    path: str
    words: list[str]
    fields: list[Field]
    body_kinds: list[str]
    answers: list[str]
    problems: dict[int, list[str]]
    curl: str
    example: str = ""
    """An answer, as JSON; empty where none is shown."""

    @property
    def id(self) -> str:
        """Its place on the page."""
        return f"{self.method}-{self.path}".lower().replace("/", "-").replace("{", "").replace("}", "")


@dataclass(frozen=True, kw_only=True)
class Noun:
    """Calls of one kind of thing."""

    name: str
    calls: list[Call] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"/reference/{self.name.replace(' ', '-')}"


@router.get("/reference")
async def reference(visit: Visitor) -> HTMLResponse:
    """All nouns with their calls, how one begins, what limits there are and what may go wrong."""
    settings = visit.web.settings
    return page(
        visit,
        "reference.html",
        nouns=_nouns_of(visit.request.app, settings.origin),
        slugs=SLUGS,
        settings=settings,
        origin=settings.origin,
    )


@router.get("/reference/{noun}")
async def reference_of(visit: Visitor, noun: str) -> HTMLResponse:
    """The calls of one noun, with all that they take."""
    nouns = _nouns_of(visit.request.app, visit.web.settings.origin)
    found = next((one for one in nouns if one.url == f"/reference/{noun}"), None)
    if found is None:
        raise not_found("page of the reference", noun)
    return page(visit, "reference_noun.html", noun=found, nouns=nouns)


@lru_cache(maxsize=4)
def _nouns_of(app: FastAPI, origin: str) -> tuple[Noun, ...]:
    return tuple(read_nouns(app.openapi(), origin))


def read_nouns(document: Mapping[str, Any], origin: str) -> list[Noun]:
    """The nouns of an OpenAPI document, in its order; every call of it stands under one of them."""
    nouns: dict[str, Noun] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            noun = nouns.setdefault(operation["tags"][0], Noun(name=operation["tags"][0]))
            noun.calls.append(_call(document, method.upper(), path, operation, origin))
    return list(nouns.values())


def _call(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any], origin: str) -> Call:
    bodies = operation.get("requestBody", {}).get("content", {})
    fields = [_parameter(document, one) for one in operation.get("parameters", ())]
    shapes = [shape for content in bodies.values() if (shape := _resolved(document, content.get("schema", {})))]
    fields += [found for shape in shapes[:1] for found in _members(document, shape)]
    answers = {status: said for status, said in operation["responses"].items() if status.startswith(_SUCCESS)}
    problems = {
        int(status): said["description"].split(", ")
        for status, said in sorted(operation["responses"].items())
        if not status.startswith(_SUCCESS)
    }
    example = ANSWERS.get(f"{method} {path}")
    return Call(
        method=method,
        path=path,
        words=operation.get("description", "").split("\n\n"),
        fields=fields,
        body_kinds=list(bodies),
        answers=[f"{status}: {', '.join(said.get('content', {})) or 'nothing'}" for status, said in answers.items()],
        problems=problems,
        curl=_curl(method, path, fields, list(bodies), origin),
        example=json.dumps(example, indent=2, ensure_ascii=False) if example else "",
    )


def _parameter(document: Mapping[str, Any], one: Mapping[str, Any]) -> Field:
    shape = _resolved(document, one["schema"])
    is_required = bool(one.get("required"))
    words = one.get("description") or _said_of(shape)
    return Field(name=one["name"], kind=_kind(document, shape), words=words, is_required=is_required, place=one["in"])


def _members(document: Mapping[str, Any], shape: Mapping[str, Any]) -> Iterator[Field]:
    required = shape.get("required", ())
    for name, member in shape.get("properties", {}).items():
        found = _resolved(document, member)
        yield Field(name=name, kind=_kind(document, found), words=_said_of(found), is_required=name in required)


def _said_of(shape: Mapping[str, Any]) -> str:
    """Its own words, its limits and what it is where it is left out."""
    parts = [shape["description"]] if "description" in shape else []
    of = [shape, *(part for part in shape.get("anyOf", ()) if part.get("type") != "null")]
    for limits in (_LIMITS, _LENGTHS):
        parts += [words.format(part[name]) for part in of for name, words in limits.items() if name in part]
    if shape.get("default") is not None:
        parts.append(f"else {json.dumps(shape['default'])}")
    return "; ".join(parts)


def _kind(document: Mapping[str, Any], shape: Mapping[str, Any]) -> str:
    """A word for what it is: `text`, `whole number`, `"draft" or "personal"`, `list of text`."""
    shape = _resolved(document, shape)
    if "enum" in shape or "const" in shape:
        return " or ".join(json.dumps(one) for one in shape.get("enum", [shape.get("const")]))
    if "anyOf" in shape:
        kinds = [_kind(document, part) for part in shape["anyOf"]]
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null")) or "null"
    if shape.get("type") == "array":
        parts = shape.get("prefixItems", [shape.get("items", {})])
        return _ARRAY_OF + ", ".join(dict.fromkeys(_kind(document, part) for part in parts))
    if shape.get("format") == "binary":
        return "file"
    kind: str = shape.get("type", "anything")
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def _resolved(document: Mapping[str, Any], shape: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in shape:
        shape = document["components"]["schemas"][shape["$ref"].rsplit("/", 1)[-1]]
    return shape


def _curl(method: str, path: str, fields: list[Field], body_kinds: list[str], origin: str) -> str:
    """The call as somebody types it, with what it must be given."""
    way = "" if method == "GET" else f" -X {method}"
    lines = [f"curl -sS{way} {origin}{path}", '-H "Authorization: Bearer $OWNHAND_KEY"']
    needed = [one for one in fields if one.place == "body" and one.is_required]
    if "application/json" in body_kinds:
        body = {one.name: _sample(one) for one in needed}
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(body, ensure_ascii=False)}'"]
    elif "multipart/form-data" in body_kinds:
        lines += [f"-F {one.name}=@picture.png" for one in needed if "file" in one.kind]
    return " \\\n  ".join(lines)


def _sample(one: Field) -> Any:
    """A value of the field's kind."""
    if one.kind.startswith('"'):
        return json.loads(one.kind.split(" or ", 1)[0])
    if one.kind.startswith(_ARRAY_OF):
        return []
    return {"whole number": 1, "number": 1.0, "true or false": True, "object": {}}.get(one.kind, "…")

"""Every text that is marked for translation, found where it stands: in templates and in Python."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from babel.messages.extract import extract

from licensing.rules import load_categories
from training import wording
from training.review import wording as of_works

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("service", "licensing")
_WORDINGS = {of_works: "training/review/wording.py", wording: "training/wording.py"}
"""Where a room that shows nothing itself keeps what it says."""
CATEGORIES = "configs/categories.toml"
"""What creators leave out of their pictures, as it is shipped."""
_JINJA = "jinja2"
"""The name that Jinja's own extractor goes by."""
_OPTIONS = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
_KEYWORDS: Mapping[str, tuple[int | tuple[int, str], ...] | None] = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "count": (2, 3),
}
"""Of templates: which arguments are texts, counted from 1; "c" is the context."""
_ARGUMENTS = {"say": 0, "gettext": 0, "Said": 0, "About": 0, "not_found": 0, "ngettext": 0, "count": 1}
"""Of functions in Python: the first argument that is a text. Said and About have up to two, ngettext and count
one of a plural."""
_PLURALS = ("ngettext", "count")

Id = str | tuple[str, str]
"""A text, or the two of a plural."""


@dataclass(frozen=True, kw_only=True)
class Marked:
    """One place: `context` tells apart what the same text means there."""

    id: Id
    path: str
    line: int
    context: str | None = None


def find_marked() -> Iterator[Marked]:
    """All of them, by file; the same text may come several times."""
    for path in sorted((ROOT / "service" / "templates").glob("*.html")):
        yield from _of_template(path)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield from _of_module(path)
    for module, where in _WORDINGS.items():
        for text in module.TEMPLATES:
            yield Marked(id=text, path=where, line=1)
    for category in load_categories(ROOT / CATEGORIES).values():
        for text in (category.name, category.name.lower(), category.meaning):
            yield Marked(id=str(text), path=CATEGORIES, line=1)


def _of_template(path: Path) -> Iterator[Marked]:
    with path.open("rb") as file:
        found = extract(_JINJA, file, keywords=_KEYWORDS, options=_OPTIONS)
        for line, message, _, context in found:
            yield Marked(
                id=message if isinstance(message, str) else (message[0], message[1]),
                path=_shown(path),
                line=line,
                context=context,
            )


def _of_module(path: Path) -> Iterator[Marked]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            for message in _texts(node):
                yield Marked(
                    id=message if isinstance(message, str) else (message[0], message[1]),
                    path=_shown(path),
                    line=node.lineno,
                )


def _texts(call: ast.Call) -> list[Id]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("Words", "templates"):
        return [text for table in call.args for text in _constants(_texts_of(table))]
    if name not in _ARGUMENTS:
        return []
    first = _ARGUMENTS[name]
    texts = _constants(call.args[first : first + (1 if name in ("say", "gettext", "not_found") else 2)])
    if name in _PLURALS:
        return [(texts[0], texts[1])] if len(texts) == 2 else []
    return list(texts)


def _texts_of(table: ast.expr) -> list[ast.expr]:
    """What is in a table or a list, also where a part of it is written as a list of its own."""
    if isinstance(table, ast.Dict):
        return table.values
    listed = table.elts if isinstance(table, ast.Tuple) else []
    return [one for part in listed for one in (_texts_of(part.value) if isinstance(part, ast.Starred) else [part])]


def _constants(nodes: list[ast.expr]) -> list[str]:
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str) and value]


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()

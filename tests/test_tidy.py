"""Properties of the code itself, kept by a test and not by goodwill (ARCHITECTURE.md, "Bars").

Counts follow one rule: a function's lines are its source lines without its docstring; a module's lines are all of them.
"""

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("service", "training", "inference", "licensing")
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_P95 = 40
MODULE_LINES_MAX = 600
MODULE_LINES_MEDIAN = 150
BANNED_STEMS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
BANNED_CLASS_ENDINGS = ("Repository", "Service", "Manager")
LEFTOVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|Not" + r"ImplementedError)\b")


def tracked(*suffixes: str) -> list[Path]:
    """Files of the project that git knows or would take, with one of the suffixes, in a stable order."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    paths = [ROOT / name for name in listing if name.endswith(suffixes)]
    return sorted({path for path in paths if path.is_file()})


def product_modules() -> list[Path]:
    """The rooms' modules; migrations are dated documents and count neither for nor against."""
    return [
        path
        for path in tracked(".py")
        if path.relative_to(ROOT).parts[0] in ROOMS and "versions" not in path.relative_to(ROOT).parts
    ]


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def functions(paths: list[Path]) -> dict[str, int]:
    """`path:line name` -> lines, for every function and method."""
    found = {}
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = function_lines(node)
    return found


def test_no_function_is_longer_than_a_screen():
    too_long = {name: lines for name, lines in functions(tracked(".py")).items() if lines > FUNCTION_LINES_MAX}

    assert not too_long, f"over {FUNCTION_LINES_MAX} lines, split them: {too_long}"


def test_nearly_all_functions_are_short():
    lines = sorted(functions(product_modules()).values())

    p95 = lines[int(len(lines) * 0.95)]

    assert p95 <= FUNCTION_LINES_P95, f"p95 of {len(lines)} functions is {p95} lines"


def test_modules_stay_small():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in product_modules()
        if path.name != "__init__.py"
    }

    too_long = {name: lines for name, lines in sizes.items() if lines > MODULE_LINES_MAX}

    assert not too_long, f"over {MODULE_LINES_MAX} lines: {too_long}"
    assert statistics.median(sizes.values()) <= MODULE_LINES_MEDIAN


def test_no_module_is_a_warehouse():
    offenders = [
        str(path.relative_to(ROOT))
        for path in tracked(".py")
        if path.stem in BANNED_STEMS or BANNED_STEMS & set(path.relative_to(ROOT).parts)
    ]

    assert not offenders, f"name these after what they hold: {offenders}"


def test_no_class_is_a_layer_without_content():
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in product_modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name.endswith(BANNED_CLASS_ENDINGS)
    ]

    assert not offenders, offenders


def test_no_exception_is_swallowed():
    offenders = []
    for path in tracked(".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
                offenders.append(f"{path.relative_to(ROOT)}:{node.lineno}")

    assert not offenders, f"use contextlib.suppress with the one expected error and say why: {offenders}"


def test_only_settings_reads_the_environment():
    # The second sets what a library reads when it is loaded, and takes nothing from it.
    allowed = {"service/settings.py", "inference/__init__.py"}

    readers = {
        str(path.relative_to(ROOT))
        for path in product_modules()
        if re.search(r"\bos\.environ\b|\bos\.getenv\b", path.read_text())
    }

    assert readers <= allowed, f"take the value as an argument: {sorted(readers - allowed)}"


def test_creators_files_are_opened_by_the_data_use_ledger_alone():
    # The ledger names the storage behind the closed one; the others read what is no creator's file, as their keys say:
    # clients' pictures and images, what lies under pending/, pieces of files that are no works yet, examples for
    # anybody, checkpoints of the ledger, and what the doctor and a self test have put there. A backup copies whatever
    # lies there without looking at it, encrypted, and a restore puts it back.
    behind = {"service/data_use.py", "service/storage/closed.py"}
    readers = {
        "service/api/approvals.py",
        "service/api/bundles.py",
        "service/api/catalogue.py",
        "service/api/export.py",
        "service/api/outputs.py",
        "service/appearances.py",
        "service/arriving.py",
        "service/auditing.py",
        "service/backups/drill.py",
        "service/backups/taking.py",
        "service/doctor.py",
        "service/generation.py",
        "service/images.py",
        "service/pages/drafts.py",
        "service/rendering.py",
        "service/self_testing.py",
    }
    backups = {f"service/backups/{name}.py" for name in ("drill", "restoring", "taking")}
    openers = {"service/doctor.py", "service/resources.py", "service/storage/__init__.py"} | backups

    offenders = []
    for path in product_modules():
        name = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "unlocked" and name not in behind:
                offenders.append(f"{name}:{node.lineno} reaches behind the closed storage")
            if isinstance(node, ast.Attribute) and node.attr in {"get", "open", "copy", "move"}:
                held = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                if held.lstrip("_") == "storage" and name not in behind | readers:
                    offenders.append(f"{name}:{node.lineno} reads from storage by itself")
            if isinstance(node, ast.Name) and node.id == "open_storage" and name not in openers:
                offenders.append(f"{name}:{node.lineno} opens a storage of its own")

    assert not offenders, f"open creators' files by service.data_use: {offenders}"


def test_nothing_unfinished_is_left_behind():
    offenders = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked(".py", ".md", ".toml", ".sql", ".html", ".css", ".js", ".sh")
        if "node_modules" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if LEFTOVERS.search(line)
    ]

    assert not offenders, offenders


def test_every_page_of_prose_has_exactly_one_title():
    for path in tracked(".md"):
        in_code, titles = False, 0
        for line in path.read_text().splitlines():
            in_code ^= line.startswith("```")
            titles += line.startswith("# ") and not in_code

        assert titles == 1, f"{path.relative_to(ROOT)} has {titles} titles"


def test_every_template_and_stylesheet_is_used():
    sources = "\n".join(
        path.read_text() for path in tracked(".py", ".html") if path.relative_to(ROOT).parts[0] == "service"
    )

    unused = [
        str(path.relative_to(ROOT))
        for path in tracked(".html", ".css", ".js")
        if path.relative_to(ROOT).parts[0] == "service" and path.name not in sources
    ]

    assert not unused, f"no page names these: {unused}"


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_says_what_it_is(room):
    readme = ROOT / room / "README.md"

    assert readme.is_file(), f"{room}/README.md is missing"
    assert len(readme.read_text().split()) > 80

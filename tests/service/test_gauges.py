"""What Prometheus is told, and that every rule asks for something that is told and has a page that says what to do."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import ROOT
from tests.service.conftest import Person, Place, make_style

MONITORING = ROOT / "configs" / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
_METRIC = re.compile(r"\bownhand_[a-z_]+")
# Of any process that Prometheus reads.
_SUFFIXES = ("_bucket", "_count", "_sum")


async def told(place: Place) -> str:
    return (await place.stranger.get("/metrics")).text


def names_in(text: str) -> set[str]:
    return {name for line in text.splitlines() if line.startswith("# TYPE ") for name in [line.split()[2]]}


def asked(expression: str) -> set[str]:
    return {re.sub(f"({'|'.join(_SUFFIXES)})$", "", name) for name in _METRIC.findall(expression)}


async def test_what_rules_and_the_dashboard_ask_for_is_told(place: Place):
    there = names_in(await told(place))
    panels = json.loads((MONITORING / "grafana" / "place.json").read_text())["panels"]
    wanted = {rule["alert"]: asked(rule["expr"]) for rule in RULES}
    wanted |= {panel["title"]: asked(" ".join(target["expr"] for target in panel["targets"])) for panel in panels}
    assert {what: names - there for what, names in wanted.items() if names - there} == {}
    unused = there - set().union(*wanted.values())
    created = {name for name in unused if name.endswith("_created")}
    assert {name for name in unused - created if name.startswith("ownhand_")} == set(), "told, and nobody looks at it"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_every_rule_has_a_page_that_is_about_it(rule: dict[str, Any]):
    page = ROOT / rule["annotations"]["runbook"]
    text = page.read_text()
    assert text.startswith(
        f"# {rule['alert']}\n\n{rule['annotations']['summary']}. Severity: {rule['labels']['severity']}."
    )
    assert rule["expr"] in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## What it means",
        "## Where to look",
        "## What to do",
    ]


def test_every_page_is_of_a_rule():
    pages = {Path(rule["annotations"]["runbook"]).name for rule in RULES}
    assert {path.name for path in (MONITORING / "runbook").iterdir()} == pages


async def test_what_waits_is_told_with_its_age(place: Place, creator: Person):
    style_id = await make_style(creator)
    async with place.gateway.house() as conn:
        await conn.execute(
            "UPDATE service.styles SET destroyed_at = now() - interval '3 hours' WHERE id = $1", style_id
        )
        text = await told(place)
        await conn.execute("UPDATE service.styles SET destroyed_at = NULL WHERE id = $1", style_id)
    age = re.search(r'ownhand_oldest_wait_seconds\{of="destruction"\} ([\d.]+)', text)
    assert age
    assert float(age[1]) == pytest.approx(3 * 3600, abs=60)
    assert 'ownhand_oldest_wait_seconds{of="letter"}' in text
    free = re.search(r"ownhand_home_free_bytes ([\d.e+]+)", text)
    assert free
    assert float(free[1]) > 0


async def test_metrics_are_named_as_prometheus_has_it(place: Place):
    find = ["bash", ROOT / "tests" / "find_promtool.sh"]
    promtool = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    done = subprocess.run([promtool, "check", "metrics"], input=await told(place), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_no_metric_names_anybody(place: Place, creator: Person):
    text = await told(place)
    assert creator.account.id not in text
    assert "@" not in text

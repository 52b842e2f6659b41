"""Rules for Prometheus, by Prometheus' own tool: they are well-formed, and each wakes somebody when it should and only
then. What they ask for is held against what is told in `tests/service/test_gauges.py`.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import ROOT

MONITORING = ROOT / "configs" / "monitoring"
RULES: list[dict[str, Any]] = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"][0]["rules"]
FIND = Path(__file__).parent / "find_promtool.sh"


@dataclass(frozen=True, kw_only=True)
class Case:
    """What Prometheus read once a minute, in promtool's notation (`0+60x9`: ten values, each 60 more), and which alerts
    of a rule there are at a time, by the labels that they take from what was read."""

    alert: str
    at: str
    read: Mapping[str, str] = field(default_factory=dict)
    fires: tuple[Mapping[str, str], ...] = ()


_WEB = {"job": "ownhand", "instance": "web-1"}
_UP = 'up{job="ownhand",instance="web-1"}'
_REQUESTS = 'ownhand_http_requests_total{status="%s"}'
_SLOW = 'ownhand_http_request_seconds_bucket{route="%s",le="%s"}'


def of(metric: str, **labels: str) -> str:
    named = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"ownhand_{metric}{{{named}}}"


CASES = (
    Case(alert="NoAnswer", at="2m", read={_UP: "1 0 0 0"}, fires=(_WEB,)),
    Case(alert="NoAnswer", at="5m", read={_UP: "1 0 1 0 1 1"}),
    Case(alert="NoWorker", at="5m", read={of("executors", role="web"): "1x9"}, fires=({},)),
    Case(alert="NoWorker", at="5m", read={of("executors", role="worker"): "1 0 1 1 1 1"}),
    Case(alert="NoWorker", at="5m", read={of("executors", role="both"): "1x9"}),
    Case(
        alert="OrdersWait",
        at="20m",
        read={of("oldest_wait_seconds", of="generation"): "0+60x30"},
        fires=({"of": "generation"},),
    ),
    Case(alert="OrdersWait", at="20m", read={of("oldest_wait_seconds", of="training"): "0+60x30"}),
    Case(alert="OrdersWait", at="14m", read={of("oldest_wait_seconds", of="generation"): "0+60x30"}),
    Case(
        alert="TrainingsWait",
        at="20m",
        read={of("oldest_wait_seconds", of="training"): "14401x30"},
        fires=({"of": "training"},),
    ),
    Case(alert="TrainingsWait", at="20m", read={of("oldest_wait_seconds", of="training"): "14400x30"}),
    Case(
        alert="SwitchSlow",
        at="1m",
        read={of("switch_off_seconds", of="fence"): "1.1x9", of("switch_off_seconds", of="workers"): "5.1x9"},
        fires=({"of": "fence"}, {"of": "workers"}),
    ),
    Case(
        alert="SwitchSlow",
        at="1m",
        read={of("switch_off_seconds", of="fence"): "0.9x9", of("switch_off_seconds", of="workers"): "4x9"},
    ),
    Case(
        alert="ClockWrong",
        at="6m",
        read={
            of("clock_difference_seconds", executor="worker-1"): "300x9",
            of("clock_difference_seconds", executor="w2"): "0x9",
        },
        fires=({"executor": "worker-1"},),
    ),
    Case(alert="LedgerBroken", at="1m", read={of("ledger_problems"): "1x9"}, fires=({},)),
    Case(alert="LedgerBroken", at="1m", read={of("ledger_problems"): "0x9"}),
    Case(alert="AuditMissing", at="31m", fires=({},)),
    Case(alert="AuditMissing", at="31m", read={of("ledger_audit_age_seconds"): "108001x40"}, fires=({},)),
    Case(alert="AuditMissing", at="31m", read={of("ledger_audit_age_seconds"): "86400x40"}),
    Case(alert="BackupOld", at="31m", fires=({},)),
    Case(alert="BackupOld", at="31m", read={of("backup_age_seconds"): "86400x40"}),
    Case(alert="DiskFull", at="6m", read={of("home_free_bytes"): "2e9x9"}, fires=({},)),
    Case(alert="DiskFull", at="6m", read={of("home_free_bytes"): "2.2e9x9"}),
    Case(
        alert="MailStuck",
        at="16m",
        read={of("oldest_wait_seconds", of="letter"): "3601x20"},
        fires=({"of": "letter"},),
    ),
    Case(
        alert="DestructionStuck",
        at="16m",
        read={of("oldest_wait_seconds", of="destruction"): "7201x20"},
        fires=({"of": "destruction"},),
    ),
    Case(alert="DestructionStuck", at="16m", read={of("oldest_wait_seconds", of="destruction"): "0+60x20"}),
    Case(
        alert="ErrorsAnswered",
        at="20m",
        read={_REQUESTS % 200: "0+900x30", _REQUESTS % 404: "0+80x30", _REQUESTS % 503: "0+20x30"},
        fires=({},),
    ),
    Case(
        alert="ErrorsAnswered",
        at="20m",
        read={_REQUESTS % 200: "0+900x30", _REQUESTS % 404: "0+95x30", _REQUESTS % 503: "0+5x30"},
    ),
    Case(
        alert="AnswersSlow",
        at="30m",
        read={
            _SLOW % ("/studio", 1): "0+97x40",
            _SLOW % ("/studio", 2): "0+100x40",
            _SLOW % ("/studio", "+Inf"): "0+100x40",
        },
        fires=({},),
    ),
    Case(
        # An order that is waited for, and a stream, take as long as they take.
        alert="AnswersSlow",
        at="30m",
        read={
            _SLOW % ("/v1/generations", 1): "0+0x40",
            _SLOW % ("/v1/generations", "+Inf"): "0+100x40",
            _SLOW % ("/studio", 1): "0+100x40",
            _SLOW % ("/studio", "+Inf"): "0+100x40",
        },
    ),
    Case(
        alert="DecisionOverdue",
        at="61m",
        read={of("operator_overdue_seconds", kind="claims"): "1+60x70"},
        fires=({"kind": "claims"},),
    ),
    Case(
        alert="MessagesGivenUp",
        at="150m",
        read={of("messages", state="failed"): "0+1x150"},
        fires=({"state": "failed"},),
    ),
    Case(alert="MessagesGivenUp", at="150m", read={of("messages", state="failed"): "7x150"}),
)


@pytest.fixture(scope="module")
def promtool() -> str:
    return subprocess.run(["bash", FIND], check=True, capture_output=True, text=True).stdout.strip()


def checked(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_what_is_read_are_well_formed(promtool: str):
    checked(promtool, "check", "config", MONITORING / "prometheus.yaml")
    checked(promtool, "check", "rules", "--lint-fatal", MONITORING / "alerts.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.alert}-{'fires' if case.fires else 'rests'}")
def test_a_rule_wakes_somebody_when_it_should(promtool: str, tmp_path: Path, case: Case):
    [rule] = [rule for rule in RULES if rule["alert"] == case.alert]
    expected = [
        {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": rule["annotations"]} for labels in case.fires
    ]
    document = {
        "rule_files": [str(MONITORING / "alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in case.read.items()],
                "alert_rule_test": [{"eval_time": case.at, "alertname": case.alert, "exp_alerts": expected}],
            }
        ],
    }
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(document))
    checked(promtool, "test", "rules", path)


def test_every_rule_is_seen_to_fire():
    assert {rule["alert"] for rule in RULES} == {case.alert for case in CASES if case.fires}

"""Lines of JSON that a collector reads."""

import json
import logging
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.logs import json_formatter
from service.settings import Settings


def test_a_line_is_one_object_with_its_time_in_utc():
    record = logging.LogRecord("ownhand.web", logging.WARNING, "web.py", 1, "two %s\nand more", ("lines",), None)
    line = json_formatter().format(record)
    assert "\n" not in line
    said = json.loads(line)
    at = datetime.fromisoformat(said.pop("at"))
    assert at.utcoffset() == timedelta()
    assert at.timestamp() == pytest.approx(record.created, abs=0.001)
    assert said == {
        "level": "WARNING",
        "logger": "ownhand.web",
        "message": "two lines\nand more",
        "process": record.process,
    }


def test_a_traceback_stays_in_its_line():
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("ownhand", logging.ERROR, "x.py", 1, "broke", (), sys.exc_info())
    line = json_formatter().format(record)
    assert "\n" not in line
    assert "ValueError: no" in json.loads(line)["exc_info"]


PROGRAM = """
import logging
from service.__main__ import settings_for
settings_for()
logging.getLogger("ownhand.web").info("here")
"""


def test_commands_log_as_the_setting_says(tmp_path: Path):
    environ = {"OWNHAND_LOG_FORMAT": "json", "OWNHAND_HOME": str(tmp_path), "PATH": "/usr/bin"}
    ended = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=True)
    assert json.loads(ended.stderr)["message"] == "here"


def test_another_format_is_refused():
    with pytest.raises(ValueError, match="OWNHAND_LOG_FORMAT is 'xml'; write one of text, json"):
        Settings(log_format="xml")

"""What is said where there is no cluster to draw on."""

import importlib.util

import pytest

from service.errors import NotStarted
from service.fleet.cluster import open_fleet
from service.settings import Settings


def test_where_ray_is_not_installed_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(NotStarted, match=r"pip install \"ownhand\[gpu,ray\]\""), open_fleet(_nowhere(), ""):
        raise AssertionError("there is no fleet")


def test_a_cluster_that_does_not_answer_is_named():
    ray = pytest.importorskip("ray")
    if ray.is_initialized():
        pytest.skip("this run draws on a cluster itself")
    with pytest.raises(NotStarted, match=r"127\.0\.0\.1:1.*OWNHAND_RAY_ADDRESS"), open_fleet(_nowhere(), ""):
        raise AssertionError("there is no fleet")


def _nowhere() -> Settings:
    return Settings(engine="ray", ray_address="127.0.0.1:1")

"""The files that run a place in containers: whole, of one mind with the settings, and with commands that start."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.__main__ import main
from service.settings import PREFIX, ROOT, Settings

CONFIGS = ROOT / "configs"
COMPOSE: dict[str, Any] = yaml.safe_load((CONFIGS / "compose" / "compose.yaml").read_text())
SETTINGS = {PREFIX + field.name.upper() for field in fields(Settings)}
OURS = ("ownhand-gateway", "ownhand-worker")


def manifests() -> list[dict[str, Any]]:
    paths = sorted((CONFIGS / "kubernetes").glob("*.yaml"))
    return [document for path in paths for document in yaml.safe_load_all(path.read_text())]


def of_fleet() -> dict[str, dict[str, Any]]:
    """The manifests of `kuberay/`, by their files' names."""
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONFIGS / "kuberay").glob("*.yaml"))}


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and spec of every pod that a manifest makes."""
    for one in manifests():
        spec = one.get("spec", {})
        if one["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield one["metadata"]["name"], spec["template"]["spec"]


def our_services() -> list[str]:
    return [name for name, one in COMPOSE["services"].items() if one.get("image") in OURS]


def commands() -> list[list[str]]:
    """Of the Dockerfile, of compose, of the cluster: as words."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    found = [yaml.safe_load(line) for line in re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)]
    found = [
        shlex.split(part)
        for words in found
        for part in (words[2].split("&&") if words[0] == "sh" else [" ".join(words)])
    ]
    found = [words[1:] if words[0] == "exec" else words for words in found]
    found += [COMPOSE["services"][name]["command"] for name in our_services()]
    return found + [container["command"] for _, pod in pods() for container in pod["containers"]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_is_one_that_there_is(words: list[str]):
    assert words[0] == "ownhand"
    command = main.commands[words[1]]
    # Parsed as it stands, and not run.
    context = command.make_context(words[1], [str(word) for word in words[2:]])
    assert context.params


def kubernetes_objects() -> list[Any]:
    """What Kubernetes itself knows: without `kustomization.yaml`, which is for a tool, and with the pods of the fleet's
    nodes in place of the cluster that KubeRay makes of them."""
    fleet = of_fleet()
    cluster = fleet.pop("cluster")["spec"]
    nodes = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    found = [one for one in [*manifests(), *fleet.values()] if one["kind"] != "Kustomization"]
    found += [{"apiVersion": "v1", "kind": "Pod", **node["template"]} for node in nodes]
    return [
        pytest.param(one, id=f"{one['kind']}-{one['metadata'].get('name', number)}") for number, one in enumerate(found)
    ]


@pytest.mark.parametrize("one", kubernetes_objects())
def test_kubernetes_knows_every_field_of_its_manifests(one: dict[str, Any]):
    kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found():
    web = next(one for one in manifests() if one["kind"] == "Deployment")
    wrong = {**web, "spec": {**web["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, kubernetes_validate.latest_version(), strict=True)


def test_compose_knows_every_field_of_its_file():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, CONFIGS / "compose" / "compose.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_they_set_are_settings():
    named = set(COMPOSE["x-service"]["environment"])
    kustomizations = CONFIGS.glob("*/kustomization.yaml")
    for path in [*(CONFIGS / "kubernetes").glob("*.env"), *kustomizations]:
        named |= set(re.findall(r"\b[A-Z]+_[A-Z_0-9]+(?==)", path.read_text()))
    assert {name for name in named if name.startswith(PREFIX)} - SETTINGS == set()
    assert {name for name in named if not name.startswith(PREFIX)} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_our_processes_may_do_as_little_as_they_can():
    for name in our_services():
        service = COMPOSE["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    for name, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert pod["automountServiceAccountToken"] is False, name
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"], name
            assert rights["allowPrivilegeEscalation"] is False, name
            assert container["resources"]["limits"]["memory"], name


def test_workers_see_no_keys():
    worker = next(pod for name, pod in pods() if name == "worker")
    assert not [volume for volume in worker["volumes"] if "persistentVolumeClaim" in volume]
    assert worker["containers"][0]["envFrom"][1] == {"secretRef": {"name": "ownhand-worker"}}
    assert COMPOSE["services"]["worker"]["volumes"] == ["cache:/data"]


def test_what_is_mounted_and_named_is_there():
    volumes = set(COMPOSE["volumes"])
    for name, service in COMPOSE["services"].items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            is_there = (CONFIGS / "compose" / source).exists() if source.startswith(".") else source in volumes
            assert is_there, f"{name} mounts {source}"
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name
    claims = {one["metadata"]["name"] for one in manifests() if one["kind"] == "PersistentVolumeClaim"}
    for name, pod in pods():
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}, name
        used = {
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["volumes"]
            if len(volume) > 1 and "persistentVolumeClaim" in volume
        }
        assert used <= claims, name
    kustomization = next(one for one in manifests() if one["kind"] == "Kustomization")
    there = {path.name for path in (CONFIGS / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there


def test_a_fleet_is_whole_and_may_do_as_little_as_it_can():
    fleet = of_fleet()
    kustomization, cluster = fleet.pop("kustomization"), fleet["cluster"]["spec"]
    assert set(kustomization["resources"]) == {"../kubernetes", *(f"{name}.yaml" for name in fleet)}
    settings = dict(line.split("=", 1) for line in kustomization["configMapGenerator"][0]["literals"])
    assert settings["OWNHAND_RAY_ADDRESS"] == f"{fleet['cluster']['metadata']['name']}-head-svc:6379"
    gpus = cluster["workerGroupSpecs"][0]
    # Else trainings would wait for ever.
    assert int(settings["OWNHAND_RAY_REPLICAS_MAX"]) < gpus["maxReplicas"]
    nodes = [cluster["headGroupSpec"]["template"], gpus["template"]]
    selected = fleet["network"]["spec"]["podSelector"]["matchLabels"]
    for node in nodes:
        assert selected.items() <= node["metadata"]["labels"].items()
        pod = node["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        [container] = pod["containers"]
        rights = container["securityContext"]
        assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
        assert container["image"] == "ownhand-worker"
        assert container["resources"]["limits"]["memory"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert "envFrom" not in container
        assert {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"} in container["env"]
    claims = [one.get("persistentVolumeClaim", {}).get("claimName") for one in gpus["template"]["spec"]["volumes"]]
    assert fleet["scratch"]["metadata"]["name"] in claims
    assert cluster["rayVersion"] == re.search(r"^ray==(.*)$", (ROOT / "requirements.lock").read_text(), re.M)[1]

"""The manifests against Kubernetes' own schemas, and against what Notifier is."""

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from notifier import __version__
from notifier.settings.sections import DatabaseSettings
from tests.deploy.files import (
    DRAINS_S,
    KUBERNETES,
    bare_secrets,
    is_command,
    manifests,
    of_kind,
    unknown,
)

OBJECTS = [found for _, found in manifests() if found["kind"] != "Kustomization"]
RUNNING = of_kind("Deployment")
PODS = {name: found["spec"]["template"] for name, found in of_kind("Deployment", "Job").items()}
SETTINGS = of_kind("ConfigMap")["notifier-settings"]["data"]
SECRET = of_kind("Secret")["notifier-secrets"]["stringData"]
VERSIONS = ["1.30", kubernetes_validate.latest_version()]
"""`preStop.sleep` is on by default from 1.30."""


def container(name: str) -> dict[str, Any]:
    (found,) = PODS[name]["spec"]["containers"]
    return dict(found)


def budget_s(probe: dict[str, Any]) -> int:
    """How long it takes until so many failures have been seen."""
    return int(probe["periodSeconds"] * probe["failureThreshold"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("found", OBJECTS, ids=lambda found: found["kind"])
def test_an_object_is_valid_in_the_strict_sense(found: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(found, version, strict=True)


def test_kustomize_takes_every_file_but_the_example() -> None:
    (kustomization,) = (found for name, found in manifests() if name == "kustomization.yaml")
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml", "secrets.example.yaml"}
    assert kustomization["images"][0]["newTag"] == __version__


def test_there_are_two_apis_two_workers_and_one_migration() -> None:
    replicas = {name: found["spec"]["replicas"] for name, found in RUNNING.items()}
    assert replicas == {"notifier-api": 2, "notifier-worker": 2}
    assert PODS.keys() - RUNNING.keys() == {f"notifier-migrate-{__version__}"}


def test_no_object_says_in_which_namespace_it_lives() -> None:
    assert [found["kind"] for found in OBJECTS if "namespace" in found["metadata"]] == []


def test_every_variable_is_a_setting_and_secrets_are_files_only() -> None:
    for name in PODS:
        variables = {one["name"]: one["value"] for one in container(name).get("env", [])}
        assert unknown(variables | SETTINGS) == []
        assert bare_secrets(variables | SETTINGS) == []


@pytest.mark.parametrize("name", PODS)
def test_every_secret_file_is_mounted(name: str) -> None:
    pod, one = PODS[name]["spec"], container(name)
    variables = SETTINGS if "envFrom" in one else {v["name"]: v["value"] for v in one["env"]}
    (folder,) = (m["mountPath"] for m in one["volumeMounts"] if m["name"] == "secrets")
    (volume,) = (v["secret"] for v in pod["volumes"] if v["name"] == "secrets")
    given = {item["key"] for item in volume.get("items", [])} or set(SECRET)
    wanted = {path for key, path in variables.items() if key.endswith("_FILE")}
    assert wanted == {f"{folder}/{key}" for key in given}
    assert (volume["secretName"], volume["defaultMode"]) == ("notifier-secrets", 0o440)


@pytest.mark.parametrize("name", PODS)
def test_a_container_runs_a_command_of_this_release(name: str) -> None:
    assert is_command(container(name)["args"])
    assert container(name)["image"] == f"notifier:{__version__}"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_may_do_nothing_but_its_work(name: str) -> None:
    pod, rights = PODS[name]["spec"], container(name)["securityContext"]
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (rights["readOnlyRootFilesystem"], rights["allowPrivilegeEscalation"]) == (True, False)
    assert rights["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", PODS)
def test_what_is_writable_is_empty_at_first_and_bounded(name: str) -> None:
    volumes = {one["name"]: one for one in PODS[name]["spec"]["volumes"]}
    writable = {one["mountPath"]: one["name"] for one in container(name)["volumeMounts"]}
    assert all(volumes[writable[path]]["emptyDir"]["sizeLimit"] for path in ("/tmp", "/data"))
    assert container(name)["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", RUNNING)
def test_probes_ask_the_ops_port_for_paths_that_exist(name: str) -> None:
    one = container(name)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert ports["ops"] == int(SETTINGS["NOTIFIER_OPS__PORT"])
    asked = {probe: one[probe]["httpGet"] for probe in one if probe.endswith("Probe")}
    assert asked == {
        "startupProbe": {"path": "/healthz", "port": "ops"},
        "livenessProbe": {"path": "/healthz", "port": "ops"},
        "readinessProbe": {"path": "/readyz", "port": "ops"},
    }


@pytest.mark.parametrize("name", RUNNING)
def test_a_pod_has_time_to_wait_for_the_schema_and_to_stop(name: str) -> None:
    waits_s = DatabaseSettings().migrate_wait_s
    assert waits_s == float(SETTINGS["NOTIFIER_DATABASE__MIGRATE_WAIT_S"])
    assert budget_s(container(name)["startupProbe"]) >= waits_s + 10
    pause = container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    spec = PODS[name]["spec"]
    assert spec["terminationGracePeriodSeconds"] > pause.get("seconds", 0) + DRAINS_S


def test_only_who_is_called_pauses_before_it_stops() -> None:
    assert "lifecycle" in container("notifier-api")
    assert "lifecycle" not in container("notifier-worker")


@pytest.mark.parametrize("name", RUNNING)
def test_prometheus_finds_the_metrics(name: str) -> None:
    told = PODS[name]["metadata"]["annotations"]
    assert told["prometheus.io/scrape"] == "true"
    assert told["prometheus.io/port"] == SETTINGS["NOTIFIER_OPS__PORT"]
    assert told["prometheus.io/path"] == "/metrics"


@pytest.mark.parametrize("name", RUNNING)
def test_selectors_find_the_pods_they_are_for(name: str) -> None:
    labels = PODS[name]["metadata"]["labels"]
    assert RUNNING[name]["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("PodDisruptionBudget")[name]["spec"]["selector"]["matchLabels"] == labels
    (spread,) = PODS[name]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels


def test_the_service_leads_to_the_api_alone() -> None:
    service = of_kind("Service")["notifier"]["spec"]
    found = [name for name in PODS if service["selector"] == PODS[name]["metadata"]["labels"]]
    assert found == ["notifier-api"]
    names = {port["name"] for port in container("notifier-api")["ports"]}
    assert {port["targetPort"] for port in service["ports"]} <= names


def test_the_network_policy_holds_for_all_pods() -> None:
    chosen = of_kind("NetworkPolicy")["notifier"]["spec"]["podSelector"]["matchLabels"].items()
    assert all(chosen <= pod["metadata"]["labels"].items() for pod in PODS.values())

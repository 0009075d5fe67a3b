"""compose.yaml as far as it can be judged without an engine; `test_scale_profile` runs it."""

import re
import subprocess
import sys
from typing import Any

import pytest

from notifier import __version__
from tests.deploy.files import (
    COMPOSE,
    DRAINS_S,
    ROOT,
    SCALE,
    bare_secrets,
    is_command,
    unknown,
)

OURS = {name: found for name, found in SCALE.items() if "build" in found}
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
PROXY = (ROOT / "deploy" / "haproxy.cfg").read_text("utf-8")


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s", text)
    assert found is not None
    return int(found[1])


def test_it_is_what_the_compose_specification_calls_valid() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*checker, "compose.yaml"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_docker_compose_up_alone_is_dev() -> None:
    (name,) = COMPOSE["services"].keys() - SCALE.keys()
    assert (name, COMPOSE["services"][name]["command"]) == ("notifier", ["dev"])
    assert {"secrets", "depends_on"} & COMPOSE["services"][name].keys() == set()


def test_scale_is_two_apis_and_two_workers() -> None:
    assert SCALE.keys() == {"postgres", "migrate", "api", "worker", "proxy"}
    assert {name: SCALE[name]["deploy"]["replicas"] for name in ("api", "worker")} == {
        "api": 2,
        "worker": 2,
    }


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_command_is_one_of_notifiers(service: dict[str, Any]) -> None:
    assert is_command(service["command"])


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_every_variable_is_a_setting_and_no_secret_is_among_them(service: dict[str, Any]) -> None:
    ours = {name: at for name, at in service.get("environment", {}).items() if "NOTIFIER" in name}
    assert unknown(ours) == []
    assert bare_secrets(ours) == []


@pytest.mark.parametrize("service", SCALE.values(), ids=SCALE)
def test_a_service_gets_the_secrets_it_names_and_no_other(service: dict[str, Any]) -> None:
    texts = [str(text) for text in service.get("environment", {}).values()]
    read = {text.removeprefix("/run/secrets/") for text in texts if text.startswith("/run/secrets")}
    assert read == set(service.get("secrets", []))
    assert read <= COMPOSE["secrets"].keys()


@pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])
def test_no_container_can_do_more_than_it_must(service: dict[str, Any]) -> None:
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in service["security_opt"]
    assert "cap_add" not in service


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_the_data_folder_is_writable_for_the_images_user(service: dict[str, Any]) -> None:
    assert "USER 10001:10001" in DOCKERFILE
    assert "/data:mode=0700,uid=10001,gid=10001" in service["tmpfs"]


@pytest.mark.parametrize("name", ["api", "worker"])
def test_who_serves_waits_for_the_schema_and_has_time_to_stop(name: str) -> None:
    assert SCALE[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert seconds(SCALE[name]["stop_grace_period"]) > DRAINS_S


def test_the_schema_waits_for_a_database_that_answers() -> None:
    assert SCALE["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "pg_isready" in SCALE["postgres"]["healthcheck"]["test"]
    assert SCALE["migrate"]["healthcheck"] == {"disable": True}


def test_the_images_healthcheck_asks_the_port_that_is_set() -> None:
    assert "healthcheck" not in SCALE["api"]
    assert SCALE["api"]["environment"]["NOTIFIER_OPS__PORT"] == "9000"
    assert "deploy/healthcheck.py" in DOCKERFILE  # test_container runs it


def test_the_proxy_leads_to_the_apis_and_asks_whether_they_are_ready() -> None:
    environment = SCALE["api"]["environment"]
    assert f"check port {environment['NOTIFIER_OPS__PORT']} " in PROXY
    assert "uri /readyz " in PROXY
    assert re.search(r"NOTIFIER_HTTP__PORT=(\d+)", DOCKERFILE)[1] in PROXY  # type: ignore[index]
    assert "server-template api- 8 api:8000 " in PROXY
    assert re.findall(r"bind \S*:(\d+)", PROXY)[0] == SCALE["proxy"]["ports"][0].split(":")[-1]


def test_the_proxy_never_sends_a_post_twice_and_logs_no_query_string() -> None:
    assert re.findall(r"retry-on (.*)", PROXY) == ["conn-failure"]
    assert "httplog" not in PROXY


def test_images_are_of_a_release() -> None:
    images = {service["image"] for service in SCALE.values()}
    assert f"notifier:{__version__}" in images
    assert all(re.fullmatch(r"[a-z]+:\d[\w.-]*", image) for image in images)
    assert {OURS[name]["pull_policy"] for name in OURS} == {"build"}

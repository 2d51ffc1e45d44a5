"""docker-compose.yaml: what can be told from its text. Its commands run in tests/system/compose."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
TEXT = (CHECKOUT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def sources(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted, by its place in the container."""
    pairs = (volume.removesuffix(":ro").rpartition(":") for volume in service["volumes"])
    return {place: source for source, _, place in pairs}


def test_every_part_of_an_airflow_and_one_node_are_there() -> None:
    airflow = {"airflow-init", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert set(SERVICES) == {"postgres", "node", *airflow}


def test_nothing_is_open_to_the_network() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published and all(port.startswith("127.0.0.1:") for port in published)
    assert all("network_mode" not in service for service in SERVICES.values())


def test_every_secret_must_be_given_and_says_how() -> None:
    secrets = {"POSTGRES_PASSWORD", "AIRFLOW_ADMIN_PASSWORD"}
    secrets |= {"AIRFLOW_SECRET_KEY", "AIRFLOW_JWT_SECRET", "AIRFLOW_FERNET_KEY"}
    uses = re.findall(r"\$\{(\w+)(:\?[^}]+|[^}]*)\}", TEXT)
    assert {name for name, rest in uses if rest.startswith(":?") and ".env" in rest} == secrets
    assert {name for name, rest in uses if not rest.startswith((":?", ":-"))} == set()


def test_the_head_shows_how_to_make_every_variable_without_a_default() -> None:
    head = TEXT.partition("x-airflow:")[0]
    assert [name for name in re.findall(r"\$\{(\w+):\?", TEXT) if name not in head] == []


def test_tasks_triggers_and_the_node_share_home_and_sockets() -> None:
    for name in ("scheduler", "triggerer", "node", "api-server"):
        mounts = sources(OURS[name])
        assert (mounts["/var/lib/cis"], mounts["/run/cis"]) == ("cis-home", "cis-run"), name


def test_sockets_and_passing_secrets_live_in_memory_and_belong_to_the_user_of_the_image() -> None:
    options = COMPOSE["volumes"]["cis-run"]["driver_opts"]
    assert options["type"] == "tmpfs"
    assert {"mode=0700", "uid=${CIS_UID:-1000}"} <= set(options["o"].split(","))
    assert OURS["node"]["build"]["args"]["CIS_UID"] == "${CIS_UID:-1000}"


def test_the_node_starts_before_anything_that_would_start_one_itself() -> None:
    for name in ("scheduler", "triggerer"):
        assert SERVICES[name]["depends_on"]["node"] == {"condition": "service_healthy"}


def test_the_node_sees_none_of_airflows_secrets() -> None:
    assert OURS["node"]["environment"] == {}


def test_the_image_gets_only_what_it_needs() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line[1:] for line in ignored if line.startswith("!")} == {
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
        "cis_provider",
        "dag_factory",
    }


def test_the_file_fits_the_compose_specification() -> None:
    path = os.environ.get("COMPOSE_SPEC_SCHEMA")
    if not path:
        pytest.skip("COMPOSE_SPEC_SCHEMA does not name a copy of compose-spec.json")
    jsonschema.validate(COMPOSE, json.loads(Path(path).read_text()))

"""The schema that editors get accepts what the validator accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dag_factory.folder import read_folder
from dag_factory.json_schema import cis_schema

EXAMPLES = Path(__file__).parents[3] / "dags/examples"
AGENT = {"id": "a", "type": "shell", "prompt": "x"}


def _fits(data: Any) -> bool:
    return Draft202012Validator(cis_schema()).is_valid(data)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(cis_schema())


def test_the_examples_fit_it() -> None:
    files = [found.path for found in read_folder(EXAMPLES)]
    assert files
    assert all(_fits(yaml.safe_load(file.read_text())) for file in files)


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"dag_id": "x"},
        {"name": "x", "schedule": "@daily", "max_workers": 3, "params": {"a": 1, "b": {"type": "string"}}},
        {"max_workers": "${N}", "defaults": {"timeout": "${T}", "retries": 1}},
        {
            "agents": [
                {"id": "a", "type": "shell", "command": "x", "timeout": "1h30m", "env": {"A": 1, "B": True}}
            ]
        },
        {"scope": "project:a", "exclusive": "agent", "node": "n", "defaults": {"account": "me"}},
        {
            "agents": [
                AGENT | {"scope": s} for s in ("global", "user:{{ params.u }}", "${S}", "{{ params.s }}")
            ]
        },
        {"agents": [AGENT | {"workspace": workspace} for workspace in ("/x", {"path": "/x"}, {"repo": "."})]},
    ],
)
def test_good_files_fit(keys: dict[str, Any]) -> None:
    assert _fits({"agents": [AGENT], **keys})


@pytest.mark.parametrize(
    "keys",
    [
        {"schedul": "@daily"},
        {"agents": []},
        {"agents": [{"id": "a"}]},
        {"agents": [AGENT | {"command": "y"}]},
        {"agents": [AGENT | {"timout": 5}]},
        {"agents": [AGENT | {"timeout": "5x"}]},
        {"agents": [AGENT | {"workspace": {"from": "a", "repo": "x"}}]},
        {"agents": [AGENT | {"priority": "p4"}]},
        {"name": "a", "dag_id": "b"},
        {"scope": "team:a"},
        {"scope": "project"},
        {"exclusive": "maybe"},
        {"account": "me"},
    ],
)
def test_bad_files_do_not(keys: dict[str, Any]) -> None:
    assert not _fits({"agents": [AGENT], **keys})


def test_a_bare_list_fits() -> None:
    assert _fits([AGENT])
    assert not _fits([])

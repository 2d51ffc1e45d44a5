"""What Airflow is told, and what each import costs."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.resources import files

import jsonschema
import msgspec
import pytest

from cis_provider.get_provider_info import get_provider_info
from cis_provider.model.session import SessionKey


def test_the_provider_info_fits_airflows_schema():
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_everything_the_provider_info_names_exists():
    info = get_provider_info()
    classes = [
        *(entry["class-name"] for entry in info["task-decorators"]),
        *info["extra-links"],
        *(plugin["plugin-class"] for plugin in info["plugins"]),
    ]
    for path in classes:
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
    for kind in ("operators", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                importlib.import_module(module)


def loaded(statement: str) -> set[str]:
    """Top-level names of the modules that a statement loads in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"airflow", "sqlalchemy", "pydantic", "httpx", "rich"}


@pytest.mark.parametrize(
    "module",
    [
        "cis_provider",
        "cis_provider.errors",
        "cis_provider.node.main",
        "cis_provider.node.client",
        "cis_provider.worker.main",
        "cis_provider.runtimes.shell",
        "cis_provider.workspaces.manager",
        "cis_provider.wire.frames",
        "cis_provider.model.session",
    ],
)
def test_the_nodes_processes_load_nothing_heavy(module):
    assert not loaded(f"import {module}") & HEAVY


def test_a_trigger_survives_the_database():
    from cis_provider.triggers.session import SessionTrigger

    given = SessionTrigger(
        session_id="s1",
        key=SessionKey("d", "r", "t", 3),
        agent_type="shell",
        try_number=2,
        retries_left=True,
        resume=False,
        deferred_at=100.0,
    )
    path, kwargs = json.loads(json.dumps(given.serialize()))
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**kwargs)
    assert again.serialize() == given.serialize()
    assert again.key == msgspec.convert(kwargs["key"], SessionKey)


def test_a_trigger_saved_before_a_field_existed_still_loads():
    from cis_provider.triggers.session import SessionTrigger

    oldest = {
        "session_id": "s1",
        "key": {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1},
        "agent_type": "shell",
        "try_number": 1,
        "retries_left": False,
        "resume": False,
    }
    assert SessionTrigger(**oldest).store_connection == "cis_default"

"""The loader, seen by Airflow's own dag processor, task processes and commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dag_factory.lint import lint_paths

pytestmark = pytest.mark.integration

GOOD = "agents: [{id: a, type: shell, prompt: echo hi}]\n"
EXAMPLE = Path(__file__).parents[3] / "dags/examples/refactor-project.yaml"

#: What a task's process does: parse the loader for one DAG. Prints the DAGs, and which files were read.
PARSE_FOR = """
import json
from pathlib import Path
import dag_factory.loader as loader
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

folder, found = Path(FOLDER), []
real = loader.read_cis_file
for dag_id in DAG_IDS:
    read = []
    loader.read_cis_file = lambda path, **options: read.append(path.name) or real(path, **options)
    with _airflow_parsing_context_manager(dag_id=dag_id, task_id="a"):
        file = folder / "cis_loader.py"
        bag = BundleDagBag(dag_folder=file, safe_mode=False, bundle_path=folder, bundle_name="dags-folder")
    assert not bag.import_errors
    found.append([sorted(bag.dags), read])
print(json.dumps(found))
"""


def _parse_for(airflow: Any, *dag_ids: str) -> Any:
    return airflow.python(
        PARSE_FOR.replace("FOLDER", repr(str(airflow.dags))).replace("DAG_IDS", repr(dag_ids))
    )


def _health(airflow: Any) -> dict[str, tuple[int, int]]:
    return {row[0]: row[1:] for row in airflow.rows("select dag_id, is_stale, has_import_errors from dag")}


def _errors(airflow: Any) -> dict[str, str]:
    return dict(airflow.rows("select filename, stacktrace from import_error"))


def test_one_bad_file_is_one_import_error_under_its_own_name_and_the_others_go_on(airflow: Any) -> None:
    shutil.copy(EXAMPLE, airflow.dags)
    airflow.cis_file("other.yaml", GOOD)
    airflow.cis_file("sub/bad.yaml", GOOD)
    airflow.cis_file("docker-compose.yaml", "services: {}\n")
    airflow.parse()
    healthy = {"refactor-project": (0, 0), "other": (0, 0), "bad": (0, 0)}
    assert _health(airflow) == healthy
    assert _errors(airflow) == {}

    bad = airflow.cis_file("sub/bad.yaml", "agents:\n  - id: a\n    type: shell\n    promt: echo hi\n")
    airflow.parse()
    assert _health(airflow) == healthy
    (name,), (text,) = _errors(airflow).keys(), _errors(airflow).values()
    assert name == "sub/bad.yaml"
    assert f'{bad}:4:5: F101 agent "a": unknown key "promt" (did you mean "prompt"?)' in text
    assert f'{bad}:2:5: F102 agent "a": "prompt" (or "command") is missing' in text

    airflow.cis_file("sub/bad.yaml", GOOD)
    airflow.parse()
    assert _errors(airflow) == {}
    assert _health(airflow) == healthy


def test_the_dag_processor_says_what_lint_says_and_the_code_tab_shows_the_file(airflow: Any) -> None:
    shutil.copy(EXAMPLE, airflow.dags)
    bad = airflow.cis_file("bad.yaml", "schedule: '@dayly'\nagents: [{id: a, type: shel, prompt: '{{'}]\n")
    second = airflow.cis_file("second.yaml", "name: refactor-project\n" + GOOD)
    airflow.parse()
    errors = _errors(airflow)
    assert errors.keys() == {"bad.yaml", "second.yaml"}
    mistakes = [str(mistake) for mistake in lint_paths([airflow.dags])]
    assert len(mistakes) == 4
    assert errors["bad.yaml"].strip().splitlines()[-3:] == [
        line for line in mistakes if line.startswith(str(bad))
    ]
    assert f'{second}:1:7: F207 the DAG id "refactor-project" is that of' in errors["second.yaml"]
    assert airflow.rows("select source_code from dag_code") == [(EXAMPLE.read_text(),)]
    assert airflow.rows("select fileloc, relative_fileloc from dag") == [
        (str(airflow.dags / EXAMPLE.name), "cis_loader.py")
    ]


def test_a_scope_on_two_nodes_is_an_import_error_of_the_second_file_by_path(airflow: Any) -> None:
    scoped = GOOD + "scope: project:x\nnode: %s\n"
    airflow.cis_file("one.yaml", scoped % "gpu-1")
    two = airflow.cis_file("two.yaml", scoped % "gpu-2")
    airflow.cis_file("zero.yaml", scoped % "gpu-1")
    airflow.parse()
    assert _health(airflow) == {"one": (0, 0), "zero": (0, 0)}
    assert _errors(airflow).keys() == {"two.yaml"}
    text = _errors(airflow)["two.yaml"]
    assert f'{two}:3:7: F209 agent "a" has project:x on gpu-2, but agent "a" of' in text


def test_settings_of_no_use_are_an_import_error_of_each_file_and_the_loader_stays(airflow: Any) -> None:
    airflow.cis_file("good.yaml", GOOD)
    airflow.parse()
    config = airflow.home / "cis/config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text("[worker]\nscope_isolation = 'team'\n")
    airflow.parse()
    assert _errors(airflow).keys() == {"good.yaml"}
    assert "F008 the node's settings cannot be used" in _errors(airflow)["good.yaml"]
    config.unlink()
    airflow.parse()
    assert _errors(airflow) == {}
    assert _health(airflow) == {"good": (0, 0)}


def test_a_task_process_reads_and_builds_its_own_dag_only(airflow: Any) -> None:
    for i in range(20):
        airflow.cis_file(f"file-{i}.yaml", f"name: dag-{i}\n" + GOOD)
    airflow.cis_file("broken.yaml", "agents: []\n")
    airflow.parse()
    assert _parse_for(airflow, "dag-7") == [[["dag-7"], ["file-7.yaml"]]]
    # The index may be behind: two files have changed their names since.
    airflow.cis_file("file-1.yaml", "name: dag-2\n" + GOOD)
    airflow.cis_file("file-2.yaml", "name: dag-1\n" + GOOD)
    assert [dags for dags, _ in _parse_for(airflow, "dag-1", "dag-2")] == [["dag-1"], ["dag-2"]]


def test_a_task_process_finds_its_dag_without_an_index_too(airflow: Any) -> None:
    airflow.cis_file("by-name.yaml", GOOD)
    airflow.cis_file("sub/other.yaml", "name: by-looking\n" + GOOD)
    airflow.cis_file("broken.yaml", "agents: []\n")
    by_name, by_looking, gone = _parse_for(airflow, "by-name", "by-looking", "gone")
    assert by_name == [["by-name"], ["by-name.yaml"]]
    assert by_looking[0] == ["by-looking"]
    assert gone[0] == []


def test_airflow_commands_that_write_dags_survive_a_bad_file(airflow: Any) -> None:
    airflow.cis_file("good.yaml", GOOD)
    airflow.cis_file("bad.yaml", "agents: []\n")
    airflow.run("dags", "reserialize")
    assert _health(airflow) == {"good": (0, 0)}
    assert _errors(airflow) == {}


def test_a_dag_that_airflow_refuses_stays_with_its_file(airflow: Any) -> None:
    airflow.cis_file("good.yaml", GOOD)
    airflow.cis_file("odd.yaml", GOOD)
    loader = airflow.dags / "cis_loader.py"
    # What no validator foresaw, such as a change in Airflow.
    loader.write_text(
        "import dag_factory.builder as builder\n"
        "real = builder._dag_arguments\n"
        "builder._dag_arguments = lambda plan: {**real(plan), **({'nonsense': 1} if plan.dag_id == 'odd' else {})}\n"
        + loader.read_text()
    )
    airflow.parse()
    assert _health(airflow) == {"good": (0, 0)}
    assert "F901 Airflow refused the DAG: TypeError" in _errors(airflow)["odd.yaml"]

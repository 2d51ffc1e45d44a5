"""The Python that the pages show, run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parents[3] / "docs" / "python-api.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(cis_home, tmp_path, monkeypatch):
    """Runs the example that holds a text; gives back its names."""
    monkeypatch.chdir(tmp_path)

    def run(text: str) -> dict[str, object]:
        (source,) = [example for example in EXAMPLES if text in example]
        names: dict[str, object] = {"__name__": "example"}
        exec(compile(source, "docs/python-api.md", "exec"), names)
        return names

    return run


def test_the_dag_with_operators_is_what_the_page_says(run):
    dag = run("def weekly_notes")["weekly_notes"]()
    dag.validate()
    assert dag.task_dict["write"].upstream_task_ids == {"collect"}
    assert dag.task_dict["collect"].timeout == 600
    assert dag.task_dict["write"].agent_type == "shell"


def test_the_agent_that_asks_has_a_sensor_beside_it(run):
    dag = run("interventions(careful_release)")["careful_release"]
    dag.validate()
    assert dag.task_ids == ["upgrade", "approve", "publish", "page", "interventions.upgrade"]
    assert dag.task_dict["approve"].upstream_task_ids == {"upgrade"}


def test_a_file_is_loaded(run):
    assert run("dag_factory.load(")["hello"].task_ids == ["hello"]


def test_a_spec_is_built(run):
    dag = run("dag_factory.build(")["checks"]
    assert dag.task_ids == ["test-api", "test-web"]
    assert {task.pool for task in dag.tasks} == {"cis-dag-checks"}


def test_every_example_is_run_here():
    assert len(EXAMPLES) == 4

"""``AgentOperator`` and ``@task.cis_agent`` under Airflow's own ``dag.test()``, on a real node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

DAGS = """
import json, sys
from datetime import timedelta
from airflow.sdk import DAG, Asset, task
from cis_provider.interventions import interventions
from cis_provider.operators.agent import AgentOperator
from cis_provider.sensors.blockage import BlockageSensor

def shell(task_id, prompt, **given):
    return AgentOperator(task_id=task_id, agent_type="shell", prompt=prompt, **given)

with DAG("handing-on", schedule=None, params={"who": "world"}) as handing_on:
    first = shell("first", "echo hello {{ params.who }} ${#HOME}")
    slow = shell("slow", 'sleep 1.5; echo "$CIS_OUTPUT_FIRST!"')
    asset = shell("with-asset", "echo made", outlets=[Asset("made")])
    @task.cis_agent(agent_type="shell", env={"GREETING": "${GREETING}"})
    def decorated(prefix="said"):
        return f'echo "{prefix}: $GREETING"'
    first >> slow >> asset >> decorated()
    mapped = AgentOperator.partial(task_id="mapped", agent_type="shell").expand(
        prompt=["echo one {{ ti.map_index }}", "echo two ${#HOME}"])

with DAG("unknown-name", schedule=None) as unknown_name:
    shell("a", "echo {{ no_such_name }}")
with DAG("outputs-in-shell", schedule=None) as outputs_in_shell:
    shell("a", "true") >> shell("b", "echo {{ outputs['a'] }}")
with DAG("in-a-project", schedule=None, params={"project": "p"}) as in_a_project:
    shell("a", "echo $CIS_SCOPE on $CIS_WORKER", scope="project:{{ params.project }}")
with DAG("same-project", schedule=None) as same_project:
    AgentOperator.partial(task_id="a", agent_type="shell", scope="project:p").expand(prompt=["echo 1", "echo 2"])
with DAG("no-scope", schedule=None, params={"project": "../x"}) as no_scope:
    shell("a", "true", scope="project:{{ params.project }}")
with DAG("failing", schedule=None) as failing:
    shell("a", "echo half; exit 4") >> shell("b", "true")
with DAG("worktree", schedule=None) as worktree:
    make = shell("make", "echo x > f; git add f; git -c user.name=n -c user.email=e commit -qm one; git rev-parse HEAD",
          workspace={"repo": REPO})
    see = shell("see", "git rev-parse HEAD; cat f", workspace={"from": "make"})
    make >> see

with DAG("asks-nobody", schedule=None) as asks_nobody:
    shell("a", "true", options={"on_blocked": {"approvers": ["ann"]}})
    BlockageSensor(task_id="page", agent="a")
    interventions(asks_nobody)

def main():
    found = {}
    for dag in (asks_nobody, handing_on, in_a_project, same_project, no_scope, unknown_name,
                outputs_in_shell, failing, worktree):
        run = dag.test()
        tis = run.get_task_instances()
        found[dag.dag_id] = {"state": str(run.state), "tasks": {
            f"{ti.task_id}{'' if ti.map_index < 0 else ti.map_index}": [
                str(ti.state), ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)] for ti in tis}}
    print("FOUND " + json.dumps(found))

# Airflow reads this file again to serialise its DAGs.
if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All DAGs run once, in a process and a home of their own: Airflow reads its home when it is imported."""
    home = tmp_path_factory.mktemp("airflow")
    repo = home / "repo"
    git = ["git", "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q", "-b", "main", str(repo)], check=True)
    subprocess.run([*git, "-C", str(repo), "commit", "-q", "--allow-empty", "-m", "zero"], check=True)
    dags = home / "dags"
    dags.mkdir()
    (dags / "all.py").write_text(DAGS.replace("REPO", repr(str(repo))), encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CIS_", "AIRFLOW"))}
    env = {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "CIS_HOME": str(home / "cis"),
        "CIS_WORKER_IDLE_EXIT": "5",
        "GREETING": "good-morning",
    }
    airflow = str(Path(sys.executable).with_name("airflow"))
    try:
        subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True, timeout=120)
        ran = subprocess.run(
            [sys.executable, str(dags / "all.py")], env=env, capture_output=True, text=True, timeout=240
        )
    finally:
        cis = str(Path(sys.executable).with_name("cis"))
        subprocess.run([cis, "node", "stop", "--workers"], env=env, capture_output=True, timeout=60)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    result: dict[str, Any] = json.loads(lines[0].removeprefix("FOUND "))
    return result


def output(found: dict[str, Any], dag_id: str, task_id: str) -> str:
    state, result = found[dag_id]["tasks"][task_id]
    assert state == "success", result
    return str(result["output"])


def test_params_are_rendered_and_bash_keeps_its_own_braces(found):
    text = output(found, "handing-on", "first")
    assert text.startswith("hello world ")
    assert text.split()[-1].isdigit()


def test_what_takes_longer_than_the_first_wait_arrives_too(found):
    assert output(found, "handing-on", "slow") == output(found, "handing-on", "first") + "!"


def test_a_task_with_an_asset_ends_well(found):
    assert output(found, "handing-on", "with-asset") == "made"


def test_the_decorator_runs_what_the_function_returns_and_hides_what_came_from_the_environment(found):
    assert output(found, "handing-on", "decorated") == "said: ***"


def test_mapped_agents_have_sessions_of_their_own(found):
    assert output(found, "handing-on", "mapped0") == "one 0"
    assert output(found, "handing-on", "mapped1").startswith("two ")


def test_nobody_is_asked_in_a_test_run_and_nothing_waits(found):
    assert found["asks-nobody"]["state"] == "success"
    states = {name: state for name, (state, _) in found["asks-nobody"]["tasks"].items()}
    assert states == {"a": "success", "page": "skipped", "interventions.a": "skipped"}


def test_a_scope_is_settled_by_the_params_and_given_on_when_its_run_is_over(found):
    assert output(found, "in-a-project", "a") == "project:p on worker-project-p"
    # No triggerer serves this node: the second run asks Airflow itself whether the first one is over.
    assert [output(found, "same-project", name) for name in ("a0", "a1")] == ["1", "2"]


def test_params_that_make_no_scope_fail_the_agent(found):
    assert found["no-scope"]["state"] == "failed"


def test_an_unknown_name_fails_the_agent(found):
    assert found["unknown-name"]["state"] == "failed"


def test_outputs_are_no_text_to_paste_into_a_shell(found):
    assert found["outputs-in-shell"]["tasks"]["b"][0] == "failed"


def test_a_failed_agent_leaves_its_result(found):
    state, result = found["failing"]["tasks"]["a"]
    assert (state, result["exit_code"], result["output"]) == ("failed", 4, "half")
    assert found["failing"]["tasks"]["b"][0] == "upstream_failed"


def test_an_agent_goes_on_from_anothers_commit(found):
    commit = output(found, "worktree", "make")
    assert output(found, "worktree", "see") == f"{commit}\nx"
    made, seen = (found["worktree"]["tasks"][name][1] for name in ("make", "see"))
    assert made["commit"] == seen["commit"] == commit
    assert "f" in made["diff_stat"]
    assert made["workspace"] != seen["workspace"]

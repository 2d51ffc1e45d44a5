"""A key out of an Airflow connection: in the agent's environment, and nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

KEY = "test-key-0123456789"
DAGS = """
import json
from airflow.sdk import DAG
from cis_provider.operators.agent import AgentOperator

SCRIPT = '''
printf %s "$ANTHROPIC_API_KEY" | sha256sum
echo "key: $ANTHROPIC_API_KEY at $ANTHROPIC_BASE_URL"
tr '\\\\0' '\\\\n' < /proc/$PPID/environ | grep -c ANTHROPIC || true
cat /proc/[0-9]*/cmdline 2>/dev/null | grep -ac "[t]est-key-0123" || true
env > "$CIS_WORKSPACE/../environment" && rm "$CIS_WORKSPACE/../environment"
'''

with DAG("with-key", schedule=None) as with_key:
    AgentOperator(task_id="a", agent_type="shell", prompt=SCRIPT, agent_conn_id="my_key")
with DAG("no-such", schedule=None) as no_such:
    AgentOperator(task_id="a", agent_type="shell", prompt="true", agent_conn_id="no_such", retries=3)

if __name__ == "__main__":
    found = {}
    for dag in (with_key, no_such):
        run = dag.test()
        (ti,) = run.get_task_instances()
        found[dag.dag_id] = [str(ti.state), ti.xcom_pull(task_ids="a")]
    print("FOUND " + json.dumps(found))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that Airflow and the node write."""
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def ran(place: Path) -> subprocess.CompletedProcess[str]:
    dags = place / "dags"
    dags.mkdir()
    (dags / "all.py").write_text(DAGS, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CIS_", "AIRFLOW"))}
    env = {
        **kept,
        "AIRFLOW_HOME": str(place),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "CIS_HOME": str(place / "cis"),
        "CIS_WORKER_IDLE_EXIT": "5",
    }
    airflow, cis = (str(Path(sys.executable).with_name(name)) for name in ("airflow", "cis"))
    connection = {
        "conn_type": "cis_agent",
        "password": KEY,
        "host": "http://localhost:1",
        "extra": {"runtime": "claude", "account": "work"},
    }
    add = [airflow, "connections", "add", "my_key", "--conn-json", json.dumps(connection)]
    try:
        subprocess.run([airflow, "db", "migrate"], env=env, check=True, capture_output=True, timeout=120)
        subprocess.run(add, env=env, check=True, capture_output=True, timeout=120)
        return subprocess.run(
            [sys.executable, str(dags / "all.py")], env=env, capture_output=True, text=True, timeout=240
        )
    finally:
        subprocess.run([cis, "node", "stop", "--workers"], env=env, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def found(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    lines = [line for line in ran.stdout.splitlines() if line.startswith("FOUND ")]
    assert lines, f"{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    result: dict[str, Any] = json.loads(lines[0].removeprefix("FOUND "))
    return result


def test_the_agent_has_the_key_and_nobody_prints_it(found, ran):
    state, result = found["with-key"]
    assert state == "success", result
    lines = result["output"].splitlines()
    assert lines[0].startswith(hashlib.sha256(KEY.encode()).hexdigest())
    assert lines[1] == "key: *** at http://localhost:1"
    assert lines[2:4] == ["0", "0"], "neither its worker nor a command line has it"
    assert KEY not in ran.stdout + ran.stderr


def test_the_key_is_in_no_file(found, place):
    files = [path for path in place.rglob("*") if path.is_file()]
    requests = [path for path in files if b"CIS_CONNECTION_ANTHROPIC_API_KEY" in path.read_bytes()]
    assert requests, "the request is on disk, with the name"
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_a_connection_that_is_not_there_fails_the_agent(found, ran):
    assert found["no-such"] == ["failed", None]
    assert "there is no Airflow connection 'no_such'" in ran.stdout + ran.stderr

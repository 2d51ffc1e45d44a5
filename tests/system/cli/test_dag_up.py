"""``cis dag`` as a person uses it: a file, a real Airflow, a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cis_provider.model.text import plain_text
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.system

CIS = [sys.executable, "-m", "cis_provider.cli.main"]

CHAIN = """
params:
  who: {type: string, default: nobody}
agents:
  - id: find
    type: shell
    prompt: echo "for {{ params.who }}"
  - id: report
    type: shell
    deps: [find]
    prompt: |
      printf '# Report\\n\\n%s\\n' "$CIS_OUTPUT_FIND" > "$CIS_OUTPUT"
"""


def cis(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run([*CIS, *words], capture_output=True, text=True, timeout=180)


def rows(run: str) -> dict[str, dict[str, Any]]:
    """The agents of a run by their id."""
    return {row["agent"]: row for row in json.loads(cis("dag", "ps", run, "--json").stdout)}


def wait_for_output(run: str, agent: str, line: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while (row := rows(run).get(agent, {})).get("output") != line:
        assert time.monotonic() < deadline, row
        time.sleep(0.2)


def test_a_file_becomes_a_report(embedded_airflow: Any, tmp_path: Path) -> None:
    file = tmp_path / "cli-chain.yaml"
    file.write_text(CHAIN)
    done = cis("dag", "up", "-f", str(file), "--param", "who=a person")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "# Report\n\nfor a person\n"
    assert done.stderr.splitlines()[-1].startswith(
        f"run cli-chain done: {embedded_airflow.url}/dags/cli-chain/"
    )
    assert cis("dag", "outputs", "cli-chain", "find").stdout == "for a person\n"
    assert cis("dag", "logs", "cli-chain-001").stdout == "for a person\n"


def test_a_changed_file_is_what_runs(embedded_airflow: Any, tmp_path: Path) -> None:
    file = tmp_path / "cli-changes.yaml"
    for word in ("first", "second", "third"):
        file.write_text(f"agents:\n  - {{id: say, type: shell, prompt: echo {word}}}\n")
        done = cis("dag", "up", "-f", str(file))
        assert (done.returncode, done.stdout) == (0, f"{word}\n"), done.stderr


def test_a_failed_run_is_exit_1_and_a_retry_mends_it(embedded_airflow: Any, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    file = tmp_path / "cli-fails.yaml"
    file.write_text(
        "agents:\n"
        f"  - {{id: check, type: shell, prompt: 'echo looking; test -e {mended}'}}\n"
        "  - {id: after, type: shell, deps: [check], prompt: echo after}\n"
    )
    done = cis("dag", "up", "-f", str(file))
    assert done.returncode == 1
    assert "cli-fails-001 check failed:" in done.stderr
    assert "  | looking" in done.stderr
    assert {agent: row["status"] for agent, row in rows("cli-fails").items()} == {
        "check": "failed",
        "after": "skipped",
    }
    mended.touch()
    assert cis("dag", "retry", "cli-fails", "check").stdout == "to be done again: check, after\n"
    following = cis("dag", "logs", "-f", "cli-fails")
    assert following.returncode == 0, following.stderr
    assert {row["status"] for row in rows("cli-fails").values()} == {"done"}


def test_down_ends_what_is_at_work(embedded_airflow: Any, tmp_path: Path) -> None:
    file = tmp_path / "cli-long.yaml"
    file.write_text("agents:\n  - {id: sleeper, type: shell, prompt: echo awake; exec sleep 300}\n")
    assert cis("dag", "up", "-d", "-f", str(file), "--name", "mine").stdout == "mine\n"
    wait_for_output("mine", "sleeper", "awake")
    started = time.monotonic()
    done = cis("dag", "down", "mine")
    assert done.stdout == "mine is down; stopped: sleeper\n", done.stderr
    assert time.monotonic() - started < 10
    with NodeClient("test", start=False) as client:
        assert client.sessions(alive=True, dag_id="cli-long") == []
    assert rows("mine")["sleeper"]["status"] == "failed"


def test_a_terminal_sees_the_agents_and_the_report_as_it_is_meant(
    embedded_airflow: Any, tmp_path: Path
) -> None:
    file = tmp_path / "cli-seen.yaml"
    file.write_text(CHAIN)
    child = pexpect.spawn(CIS[0], [*CIS[1:], "dag", "up", "-f", str(file)], timeout=120, dimensions=(30, 100))
    child.expect(pexpect.EOF)
    child.close()
    seen = plain_text(child.before)
    assert child.exitstatus == 0, seen
    assert "cli-seen-002   report" in seen
    assert "✔" in seen
    assert "# Report" not in seen
    assert "for nobody" in seen


def test_a_file_to_its_first_agent_takes_little_when_airflow_runs(
    embedded_airflow: Any, tmp_path: Path
) -> None:
    stamp = tmp_path / "began"
    file = tmp_path / "cli-quick.yaml"
    file.write_text(f"agents:\n  - {{id: one, type: shell, prompt: date +%s.%N > {stamp}}}\n")
    started = time.time()
    assert cis("dag", "up", "-f", str(file)).returncode == 0
    # 5 s is what a quiet machine must do, and the benchmarks say whether it does; here others are at work, too.
    assert float(stamp.read_text()) - started < 10

"""``cis session explain``: an agent of a real node, on a screen and without one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cis_provider import testing
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey

pytestmark = pytest.mark.integration

RUN = "nightly__20260102T030405.678Z"
RULES = str(Path(testing.__file__).with_name("fake_tui.yaml"))


@pytest.fixture
def begin(airflow: Any, node: Any) -> Any:
    """Start the agent of a run, until it asks; the session's id."""
    airflow.add_dag("nightly", "upgrade")
    airflow.add_run("nightly", RUN, upgrade="running")

    def begin(prompt: str, agent_type: str, options: AgentOptions, **env: str) -> str:
        record = node.submit(
            prompt,
            "upgrade",
            key=SessionKey("nightly", RUN, "upgrade"),
            agent_type=agent_type,
            options=options,
            env=env,
        )
        node.wait(record.session_id, lambda record: record.blockage)
        return str(record.session_id)

    return begin


def test_a_live_screen_is_shown_and_judged(cis: Any, begin: Any) -> None:
    program = (sys.executable, "-m", "cis_provider.testing.fake_tui")
    begin("ask rm -r build", "terminal", AgentOptions(program=program, config={"rules": RULES}))
    done = cis("session", "explain", "nightly", "upgrade")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["state"], said["kind"], said["rule"]) == ("blocked", "permission", "permission")
    assert "Run rm -r build?" in said["evidence"]
    assert "|❯ 1. Yes" in done.stderr
    assert "rules of fake_tui, version 1.2.3" in done.stderr


def test_an_agent_without_a_screen_has_no_state_of_it(cis: Any, begin: Any, tmp_path: Path) -> None:
    program = (sys.executable, "-m", "cis_provider.testing.fake_acp_agent")
    (tmp_path / "acp").mkdir()
    begin("run npm test", "acp", AgentOptions(program=program), FAKE_ACP_HOME=str(tmp_path / "acp"))
    done = cis("session", "explain", "nightly")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] is None
    assert "`cis dag ps` says how it is" in done.stderr

"""What is written into an agent's home."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from cis_provider.testing.model_server.environment import KEY, environment

pytestmark = pytest.mark.integration

URL = "http://127.0.0.1:1234"
PROGRAMS = ["claude", "codex", "kimi", "opencode", "aider"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_agent_gets_a_home_of_its_own_and_the_servers_address(program, tmp_path):
    home = tmp_path / "home"
    variables = environment(program, URL, home, workspace=tmp_path / "work")
    assert variables["HOME"] == str(home)
    assert "127.0.0.1" in variables["NO_PROXY"]
    assert "PATH" not in variables
    written = "".join(file.read_text() for file in home.rglob("*") if file.is_file())
    assert URL in written + str(variables)


def test_an_unknown_program_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'emacs'; there is one for claude, codex, kimi, opencode, aider"):
        environment("emacs", URL, tmp_path)


def test_claude_asks_nothing_at_its_first_start(tmp_path):
    environment("claude", URL, tmp_path, workspace=tmp_path / "one")
    environment("claude", URL, tmp_path, workspace=tmp_path / "two")
    state = json.loads((tmp_path / ".claude.json").read_text())
    assert state["hasCompletedOnboarding"]
    assert state["customApiKeyResponses"]["approved"] == [KEY[-20:]]
    assert all(state["projects"][str(tmp_path / name)]["hasTrustDialogAccepted"] for name in ("one", "two"))


def test_claude_keeps_what_it_noted_when_it_is_set_up_again(tmp_path):
    environment("claude", URL, tmp_path)
    state = tmp_path / ".claude.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "userID": "u"}))
    environment("claude", URL, tmp_path)
    assert json.loads(state.read_text())["userID"] == "u"


def test_codex_is_given_a_provider_and_no_daemon(tmp_path):
    variables = environment("codex", URL, tmp_path, workspace=tmp_path / 'a "b"', retries=2)
    config = tomllib.loads((tmp_path / ".codex" / "config.toml").read_text())
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == f"{URL}/v1"
    assert provider["wire_api"] == "responses"
    assert (provider["request_max_retries"], provider["stream_max_retries"]) == (2, 2)
    assert provider["env_key"] in variables
    assert config["features"]["daemon_auto_start"] is False
    assert config["projects"][str(tmp_path / 'a "b"')]["trust_level"] == "trusted"


def test_kimi_trusts_the_folder(tmp_path):
    environment("kimi", URL, tmp_path, workspace=tmp_path / "My Work", retries=0)
    (file,) = (tmp_path / ".kimi-code" / "workspace-trust").iterdir()
    assert file.name.startswith("wd_my-work_")
    assert json.loads(file.read_text())["root"] == str(tmp_path / "My Work")
    config = tomllib.loads((tmp_path / ".kimi-code" / "config.toml").read_text())
    assert config["loop_control"]["max_attempts_per_step"] == 1


def test_importing_the_package_costs_nothing():
    code = (
        "import sys; import cis_provider.testing.model_server; "
        "print([name for name in ('uvicorn', 'starlette', 'airflow', 'pydantic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"

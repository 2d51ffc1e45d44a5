"""``cis runtime``, with programs of our own on the ``PATH``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def place(cis: Any, tmp_path: Path) -> Path:
    """A ``PATH`` with nothing of a vendor's on it, and a ``HOME`` without logins."""
    folder, home = tmp_path / "bin", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    for name in [name for name in cis.environment if name.endswith(("_API_KEY", "_TOKEN"))]:
        del cis.environment[name]
    cis.environment |= {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(home)}
    return folder


def program(place: Path, name: str, script: str) -> Path:
    path = place / name
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return path


def test_all_types_are_listed_with_what_is_there_of_them(cis: Any, place: Path) -> None:
    codex = program(
        place, "codex", '[ "$*" = --version ] && echo codex-cli 0.169.0 || touch "$HOME/was-asked"'
    )
    found = {one["type"]: one for one in cis.json("runtime", "list")}
    assert list(found) == ["claude", "kimi", "opencode", "codex", "aider", "acp", "terminal", "shell"]
    assert found["codex"] | {"message": "", "how_to_install": ""} == {
        "type": "codex",
        "display_name": "Codex",
        "installed_version": "0.169.0",
        "path": str(codex),
        "supported": True,
        "login": "no",
        "login_by": "",
        "ok": False,
        "message": "",
        "how_to_install": "",
    }
    assert found["shell"]["ok"] and found["acp"]["ok"]
    assert found["kimi"]["message"] == "not installed: there is no 'kimi' on the PATH"
    assert "npm install -g @moonshot-ai/kimi-code" in found["kimi"]["how_to_install"]
    assert not (place.parent / "home" / "was-asked").exists()
    lines = cis("runtime", "list").stdout.splitlines()
    assert lines[0].split() == ["TYPE", "STATE", "VERSION", "LOGIN", "PROGRAM", "NOTE"]
    assert any(line.startswith("codex") and "no login" in line for line in lines)


def test_a_version_that_was_not_tested_is_a_warning(cis: Any, place: Path) -> None:
    program(place, "opencode", "echo 9.0.1")
    done = cis("runtime", "check", "opencode")
    assert done.returncode == 0
    assert (
        "version 9.0.1 was not tested (tested: 1.17.19 and newer, older than 1.19.0); it may work"
        in done.stdout
    )


def test_a_check_asks_the_program_for_its_login(cis: Any, place: Path) -> None:
    program(
        place,
        "codex",
        '[ "$*" = --version ] && echo 0.169.0 && exit\n'
        '[ "$*" = "login status" ] && [ -f "$HOME/in" ] || { echo Not logged in; exit 1; }',
    )
    done = cis("runtime", "check", "codex")
    assert done.returncode == 1 and "no login: codex login" in done.stdout
    (place.parent / "home" / "in").touch()
    record = cis.json("runtime", "check", "codex")
    assert (record["login"], record["ok"]) == ("yes", True)
    assert "TestWriting" in record["capabilities"]


def test_what_is_not_there_says_how_to_install_it(cis: Any, place: Path) -> None:
    done = cis("runtime", "check", "codex")
    assert done.returncode == 1
    assert "npm install -g @openai/codex" in done.stdout


def test_an_unknown_type_is_wrong_usage(cis: Any, place: Path) -> None:
    done = cis("runtime", "check", "codx")
    assert done.returncode == 2 and "there are claude, kimi" in done.stderr


def test_a_program_that_fails_is_broken(cis: Any, place: Path) -> None:
    program(place, "opencode", "echo no such library >&2; exit 127")
    done = cis("runtime", "check", "opencode")
    assert done.returncode == 1
    assert "`opencode --version` ended with exit code 127: no such library" in done.stdout


async def test_a_program_that_hangs_is_ended_with_what_it_started(place: Path) -> None:
    from cis_provider.runtimes.health import probe
    from cis_provider.runtimes.registry import REGISTRY

    pid_file = place / "child"
    program(place, "opencode", f"sleep 600 & echo $! > {pid_file}; wait")
    began = time.monotonic()
    env = {"PATH": f"{place}:/usr/bin:/bin", "HOME": str(place)}
    health = await probe(REGISTRY.get("opencode"), env, deadline=1.0)
    assert time.monotonic() - began < 5
    assert not health.ok and "did not answer within 1 s" in health.message
    stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_key_of_this_shell_is_no_login_of_an_agent_and_its_value_is_not_shown(
    cis: Any, place: Path
) -> None:
    program(place, "codex", "echo 0.169.0")
    done = cis("runtime", "check", "codex", OPENAI_API_KEY="test-key-value")
    assert done.returncode == 0
    assert (
        "OPENAI_API_KEY is set here; an agent gets it by `env:` or an Airflow connection only" in done.stdout
    )
    assert "test-key-value" not in done.stdout + done.stderr

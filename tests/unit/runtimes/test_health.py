"""Versions and logins of programs, as they are understood."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from cis_provider.runtimes.catalogue import BUILT_IN
from cis_provider.runtimes.health import is_tested
from cis_provider.runtimes.logins import LOGINS, Login

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("version", "tested", "answer"),
    [
        ("1.2.0", ("1.2.0", "1.3.0"), True),
        ("1.10.0", ("1.2.0", "1.11"), True),
        ("1.3.0", ("1.2.0", "1.3.0"), False),
        ("0.9", ("1.0", "2.0"), False),
        ("", ("1.0", "2.0"), None),
        ("1.0", ("", ""), None),
    ],
)
def test_a_range_has_its_start_and_not_its_end(version, tested, answer):
    assert is_tested(version, tested) is answer


def test_every_vendors_program_has_a_tested_range_and_a_login():
    named = {one.type for one in BUILT_IN if one.program and one.type != "shell"}
    assert named == LOGINS.keys()
    pinned = tomllib.loads((CHECKOUT / "tests/agents/versions.toml").read_text())
    for one in BUILT_IN:
        if one.type in named:
            versions = [version for entry in pinned[one.type] for version in entry["versions"]]
            assert versions and all(is_tested(version, one.tested) for version in versions), one.type


@pytest.mark.parametrize(
    ("name", "file", "content", "state"),
    [
        ("claude", ".claude/.credentials.json", {"claudeAiOauth": {}}, "yes"),
        ("claude", ".claude/.credentials.json", {}, "no"),
        ("codex", ".codex/auth.json", {"tokens": 1}, "yes"),
        ("opencode", ".local/share/opencode/auth.json", {"zai": 1}, "yes"),
        ("opencode", ".local/share/opencode/auth.json", {}, "unknown"),
        ("kimi", ".kimi-code/config.toml", '[providers.moonshot]\ntype = "kimi"\n', "yes"),
        ("kimi", ".kimi-code/config.toml", "telemetry = false\n", "no"),
        ("kimi", ".kimi-code/config.toml", "no [ toml", "no"),
        ("aider", "nothing", "", "unknown"),
    ],
)
def test_a_login_is_found_in_the_programs_own_file(tmp_path, name, file, content, state):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert LOGINS[name].look({"HOME": str(tmp_path)}).state == state


@pytest.mark.parametrize("name", LOGINS)
def test_a_key_in_the_environment_is_a_login_and_its_value_is_not_repeated(tmp_path, name):
    variable = LOGINS[name].variables[0]
    found = LOGINS[name].look({"HOME": str(tmp_path), variable: "test-key"})
    assert found == Login("yes", variable)


@pytest.mark.parametrize(
    ("name", "code", "text", "state"),
    [
        ("claude", 0, '{"loggedIn": true, "authMethod": "api_key"}', "yes"),
        ("claude", 1, '{"loggedIn": false, "authMethod": "none"}', "no"),
        ("claude", 1, "unknown command auth", "unknown"),
        ("codex", 0, "API key configured - ***\nAuthentication is checked later", "yes"),
        ("codex", 1, "WARNING: x\nNot logged in\n", "no"),
        ("codex", 2, "unrecognized subcommand", "unknown"),
        ("kimi", 0, '{"providers": {}, "models": {}}', "no"),
        ("kimi", 0, '{"providers": {"a": {}}}', "yes"),
        ("kimi", 1, "unknown command", "unknown"),
    ],
)
def test_what_the_program_says_itself_is_understood(name, code, text, state):
    assert LOGINS[name].judge(code, text).state == state

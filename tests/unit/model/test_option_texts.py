"""Placeholders in an agent's options: a value that is put in is text, whatever it looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from cis_provider.model.option_texts import filled
from cis_provider.model.options import AgentOptions, McpServer
from cis_provider.runtimes.acp import settings
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.claude import mcp
from cis_provider.runtimes.codex import launch

#: A password may look like a placeholder: of a variable that is there, of none, of nothing.
SECRETS = {"KEY": "a${PATH}b", "OTHER": "${NOT_SET}", "BAD": "${ $${HOME} $$${ ${"}
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}
TEXTS = {"A": "x ${KEY}", "B": "${OTHER}", "C": "${BAD}", "D": "$${PATH}"}
WANTED = {"A": "x a${PATH}b", "B": "${NOT_SET}", "C": "${ $${HOME} $$${ ${", "D": "${PATH}"}


def given(**fields: object) -> AgentOptions:
    return filled(AgentOptions(**fields), SECRETS)  # type: ignore[arg-type]


def test_config_has_the_values_as_they_are() -> None:
    assert given(config={"deep": [TEXTS]}).config == {"deep": [WANTED]}


def by_acp(options: AgentOptions, folder: Path) -> list[str]:
    (server,) = settings.mcp_servers(options.mcp_servers, ENV, {})
    return [one["value"] for one in server["env"]]


def by_claude(options: AgentOptions, folder: Path) -> list[str]:
    made, values = mcp.servers(options.mcp_servers, ENV)
    return [values[named.strip("${}")] for named in made["one"]["env"].values()]


def by_codex(options: AgentOptions, folder: Path) -> list[str]:
    made = launch.plan(Setting(workspace=folder, folder=folder, env=ENV, options=options))
    return [made.env[name] for name in made.overrides["mcp_servers.one.env_vars"]]


@pytest.mark.parametrize("told", [by_acp, by_claude, by_codex])
def test_an_mcp_server_is_given_the_values_as_they_are(told: object, tmp_path: Path) -> None:
    options = given(mcp_servers={"one": McpServer(command=("tool",), env=TEXTS)})
    assert told(options, tmp_path) == list(WANTED.values())  # type: ignore[operator]

"""What Airflow is told about this package (``airflow providers get cis-provider``)."""

from __future__ import annotations

from typing import Any

from cis_provider import __version__

#: The form of a connection with an agent's key.
AGENT_CONNECTION: dict[str, Any] = {
    "connection-type": "cis_agent",
    "hook-class-name": "cis_provider.hooks.agent.AgentHook",
    "hook-name": "CIS agent",
    "ui-field-behaviour": {
        "hidden-fields": ["schema", "port", "login", "extra"],
        "relabeling": {"password": "API key or token", "host": "Base URL"},
        "placeholders": {
            "password": "Stored encrypted; given to the agent's process only",
            "host": "https://... ; empty: the vendor's own",
        },
    },
    "conn-fields": {
        "runtime": {
            "label": "Type of agent",
            "description": "Who may use it; empty: any type.",
            "schema": {
                "type": ["string", "null"],
                "enum": [None, "claude", "codex", "kimi", "opencode", "aider"],
            },
        },
        "provider": {
            "label": "Vendor",
            "description": "Whose key it is, for OpenCode and Aider: anthropic, openai, zhipuai, moonshotai ...",
            "schema": {"type": ["string", "null"]},
        },
        "kind": {
            "label": "Kind of key",
            "description": "For Claude Code: oauth-token is what `claude setup-token` prints.",
            "schema": {"type": ["string", "null"], "enum": [None, "api-key", "oauth-token", "bearer-token"]},
        },
        "account": {
            "label": "Account",
            "description": "A name; a node may limit how many agents use one account at a time.",
            "schema": {"type": ["string", "null"]},
        },
        "env": {
            "label": "Further variables",
            "description": "JSON object; the values are kept as secret as the key.",
            "schema": {"type": ["object", "null"], "format": "json"},
        },
    },
}


def get_provider_info() -> dict[str, Any]:
    """The provider's record, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "cis-provider",
        "name": "CIS coding agents",
        "description": "Runs coding agents as Airflow tasks: shell today, Claude Code and others next.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "CIS",
                "external-doc-url": "https://airflow.apache.org/docs/",
                "tags": ["software"],
            }
        ],
        "connection-types": [AGENT_CONNECTION],
        "hooks": [{"integration-name": "CIS", "python-modules": ["cis_provider.hooks.agent"]}],
        "operators": [{"integration-name": "CIS", "python-modules": ["cis_provider.operators.agent"]}],
        "sensors": [
            {
                "integration-name": "CIS",
                "python-modules": [
                    "cis_provider.sensors.blockage",
                    "cis_provider.sensors.human",
                    "cis_provider.sensors.intervention",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "CIS",
                "python-modules": [
                    "cis_provider.triggers.blockage",
                    "cis_provider.triggers.human",
                    "cis_provider.triggers.intervention",
                    "cis_provider.triggers.session",
                ],
            }
        ],
        "task-decorators": [
            {"class-name": "cis_provider.decorators.agent.cis_agent_task", "name": "cis_agent"}
        ],
        "extra-links": ["cis_provider.links.output.AgentOutputLink"],
        "plugins": [{"name": "cis", "plugin-class": "cis_provider.plugin.CisPlugin"}],
    }

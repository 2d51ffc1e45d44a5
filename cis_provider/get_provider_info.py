"""What Airflow is told about this package (``airflow providers get cis-provider``)."""

from __future__ import annotations

from typing import Any

from cis_provider import __version__


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
        "operators": [{"integration-name": "CIS", "python-modules": ["cis_provider.operators.agent"]}],
        "triggers": [{"integration-name": "CIS", "python-modules": ["cis_provider.triggers.session"]}],
        "task-decorators": [
            {"class-name": "cis_provider.decorators.agent.cis_agent_task", "name": "cis_agent"}
        ],
        "extra-links": ["cis_provider.links.output.AgentOutputLink"],
        "plugins": [{"name": "cis", "plugin-class": "cis_provider.plugin.CisPlugin"}],
    }

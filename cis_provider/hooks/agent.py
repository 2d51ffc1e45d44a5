"""The hook of Airflow's connection type ``cis_agent``: key, address and account of an agent's vendor."""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.hook import BaseHook

from cis_provider.model.credentials import Credentials
from cis_provider.operators.credentials import CONN_TYPE, read_credentials


class AgentHook(BaseHook):
    """
    Reads a connection with which an agent logs in.

    :param agent_conn_id: Id of the connection.
    """

    conn_name_attr = "agent_conn_id"
    default_conn_name = "cis_agent_default"
    conn_type = CONN_TYPE
    hook_name = "CIS agent"

    def __init__(self, agent_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.agent_conn_id = agent_conn_id

    def get_conn(self) -> Credentials:
        """
        What it holds. Nothing is connected: an agent's program does that.

        :raises PermanentAgentError: There is none, or it is of no use.
        :raises StoreError: Airflow did not say whether there is one.
        """
        return read_credentials(self.agent_conn_id)

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """As ``get_provider_info`` says it, for an Airflow that asks the class."""
        from cis_provider.get_provider_info import AGENT_CONNECTION

        behaviour: dict[str, Any] = AGENT_CONNECTION["ui-field-behaviour"]
        return {name.replace("-", "_"): value for name, value in behaviour.items()}

"""The plugin that Airflow loads in every process: the listener, and nothing else yet."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from cis_provider.listeners import lifecycle


class CisPlugin(AirflowPlugin):
    """Pools that appear by themselves, and the sweep beside each triggerer."""

    name = "cis"
    listeners = [lifecycle]  # noqa: RUF012  Airflow declares it so

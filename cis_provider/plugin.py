"""The plugin that Airflow loads in every process: the listener, and what the api-server needs for forms."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from cis_provider.api.forms import MIDDLEWARES
from cis_provider.listeners import lifecycle


class CisPlugin(AirflowPlugin):
    """Pools that appear by themselves, the sweep beside each triggerer, forms with their own text."""

    name = "cis"
    listeners = [lifecycle]  # noqa: RUF012  Airflow declares it so
    fastapi_root_middlewares = MIDDLEWARES

"""Which Airflow ``cis`` talks to: the one that is named, else the embedded one of this ``CIS_HOME``."""

from __future__ import annotations

from collections.abc import Callable

from cis_provider import settings
from cis_provider.cli.airflow_api import AirflowApi, login
from cis_provider.errors import AirflowUnreachable, ConfigError


def named_url() -> str:
    """Address of an Airflow that is not ours to start and stop; empty: the embedded one is meant."""
    return settings.text("airflow.url")


def connect() -> AirflowApi:
    """
    A client of the Airflow that is meant. The first request may show that it does not answer.

    :raises AirflowUnreachable: The embedded one is meant, and does not run.
    :raises ConfigError: One is named without a way to log in.
    """
    url = named_url()
    if url:
        return AirflowApi(url, _named_token(url))
    from cis_provider.embedded import api as embedded

    endpoint = embedded.endpoint()
    if endpoint is None:
        raise AirflowUnreachable(
            "Airflow does not run; `cis airflow start` starts it, and so does `cis dag up -f FILE`"
        )
    return AirflowApi(endpoint.url, embedded.bearer_token)


def connect_or_start(progress: Callable[[str], None]) -> AirflowApi:
    """
    As :func:`connect`, and start the embedded Airflow when it does not run.

    :param progress: Is told what happens, a line each.
    """
    if named_url():
        return connect()
    from cis_provider.embedded import api as embedded

    if embedded.endpoint() is None:
        embedded.start(progress=progress)
    return connect()


def ask_for_parse(api: AirflowApi, file_token: str) -> None:
    """
    Have Airflow read its DAG files now, not at its own pace.

    :param file_token: Airflow's name for the file; of an Airflow that is not ours, nothing else is known.
    """
    if not named_url():
        from cis_provider.embedded import api as embedded

        embedded.request_parse()
    elif file_token:
        api.parse(file_token)


def _named_token(url: str) -> Callable[[], str]:
    token = settings.text("airflow.token")
    if token:
        return lambda: token
    user, password = settings.text("airflow.user"), settings.text("airflow.password")
    if not user:
        raise ConfigError(
            f"no login for Airflow at {url}; set CIS_AIRFLOW_TOKEN, or CIS_AIRFLOW_USER and "
            "CIS_AIRFLOW_PASSWORD (or [airflow] in $CIS_HOME/config.toml)"
        )
    return lambda: login(url, user, password)

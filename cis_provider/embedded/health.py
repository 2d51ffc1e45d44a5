"""Asking the embedded Airflow by HTTP: is it healthy, parse this file."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from cis_provider.errors import AirflowUnreachable

_HEARTS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag_processor": "dag-processor"}


def ask(url: str, *, timeout: float = 5.0) -> dict[str, str]:
    """
    What is wrong, by component; empty: all of Airflow is healthy. Blocks.

    :param url: The API server's address.
    :param timeout: Seconds to wait for its answer.
    """
    try:
        status, body = request("GET", f"{url}/api/v2/monitor/health", timeout=timeout)
    except AirflowUnreachable as error:
        return {"api-server": str(error)}
    if status != 200:
        return {"api-server": f"answered {status}"}
    try:
        return judge(msgspec.json.decode(body))
    except msgspec.DecodeError:
        return {"api-server": "answered something that is no health report"}


def judge(report: Any) -> dict[str, str]:
    """What is wrong according to a health report, by component."""
    if not isinstance(report, dict):
        return {"api-server": "answered something that is no health report"}
    wrong = {}
    for name in ("metadatabase", *_HEARTS):
        found = report.get(name)
        status = found.get("status") if isinstance(found, dict) else None
        if status != "healthy":
            wrong[_HEARTS.get(name, "postgres")] = status or "has not reported yet"
    return wrong


def warm_up(url: str) -> None:
    """Have the API server build its API for tasks. Blocks; nothing is lost when it fails."""
    with contextlib.suppress(AirflowUnreachable):
        request("GET", f"{url}/execution/health", timeout=60.0)


def request_parse(url: str, token: str, file_token: str) -> bool:
    """
    Ask the dag processor, through the API, to parse a file at once. Blocks.

    :return: ``False``: Airflow knows no DAG of this file, and refuses for that reason.
    :raises AirflowUnreachable: It does not answer, or refuses for another reason.
    """
    headers = {"Authorization": f"Bearer {token}"}
    path = f"{url}/api/v2/parseDagFile/{quote(file_token, safe='')}"
    status, body = request("PUT", path, timeout=10.0, headers=headers)
    if status == 404:
        return False
    # 409: somebody else has asked, and it is not done yet.
    if status not in (201, 409):
        raise AirflowUnreachable(f"{url} refused to parse the DAG file: {status} {body[:200]!r}")
    return True


def request(
    method: str, url: str, *, timeout: float, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """
    One HTTP request to loopback, never through a proxy. Blocks.

    :raises AirflowUnreachable: No answer within ``timeout`` seconds.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, parts.path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise AirflowUnreachable(f"{parts.netloc} does not answer ({error})") from None
    finally:
        connection.close()

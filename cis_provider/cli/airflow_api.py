"""
Airflow's REST API, as far as ``cis`` needs it: one blocking client with deadlines and our errors.

Nothing here decides anything. Answers are records with the fields that we read; the others are dropped.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from cis_provider.cli.records import (
    RUNNING_STATES,
    Dag,
    DagRun,
    ImportFailure,
    LogLine,
    Task,
    TaskInstance,
)
from cis_provider.errors import AirflowRefused, AirflowUnreachable, ConfigError

# httpx brings its own command line, and with it click and rich, when it finds them: 60 ms for nothing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
import httpx  # noqa: E402

#: Seconds. Connecting to a live Airflow takes milliseconds; an answer may be slow on a busy machine.
CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 30.0
#: Airflow's own upper limit for one page.
PAGE = 100

T = TypeVar("T")


class AirflowApi:
    """
    A client of one Airflow; a context manager.

    :param url: Where Airflow's pages are, e.g. ``http://127.0.0.1:8080``.
    :param token: Gives a bearer token; asked again when Airflow does not accept the first.
    :param transport: Takes the place of the network in tests.
    :raises AirflowUnreachable: From every method: no answer in time, or none that makes sense.
    :raises AirflowRefused: From every method: Airflow said no.
    """

    def __init__(
        self, url: str, token: Callable[[], str], *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v2/",
            timeout=httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
            transport=transport,
            trust_env=not _is_loopback(self.url),
            # Reading the system's certificates takes 60 ms, and without TLS nobody shows one.
            verify=self.url.startswith("https:"),
        )

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # --- runs ---------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        dag_id: str = "~",
        states: Sequence[str] = (),
        run_id_prefix: str = "",
        limit: int = PAGE,
    ) -> list[DagRun]:
        """Runs, the newest first; of every DAG unless one is named. Pages until ``limit`` are there."""
        query: dict[str, Any] = {"order_by": "-id"}
        if states:
            query["state"] = list(states)
        if run_id_prefix:
            query["run_id_prefix_pattern"] = run_id_prefix
        return list(
            self._pages("GET", f"dags/{_part(dag_id)}/dagRuns", "dag_runs", DagRun, query, limit=limit)
        )

    def unfinished(self) -> list[DagRun]:
        """All runs that have not ended, of every DAG, the oldest first."""
        return self.runs(states=RUNNING_STATES, limit=10_000)[::-1]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """One run."""
        return self._get(f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}", DagRun)

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any], now: dt.datetime) -> DagRun:
        """Begin a run. With a logical date, as the Trigger button does: templates may use it."""
        body = {
            "dag_run_id": run_id,
            "logical_date": now.isoformat(),
            "run_after": now.isoformat(),
            "conf": conf,
        }
        return self._send("POST", f"dags/{_part(dag_id)}/dagRuns", body, DagRun)

    def fail_run(self, dag_id: str, run_id: str) -> DagRun:
        """Mark a run failed: what is at work is ended, what has not begun is skipped."""
        return self._send(
            "PATCH", f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}", {"state": "failed"}, DagRun
        )

    # --- tasks --------------------------------------------------------------------------------------

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Every task of a run."""
        path = f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}/taskInstances"
        return list(self._pages("GET", path, "task_instances", TaskInstance, {}))

    def task_instances_of(self, runs: Iterable[DagRun]) -> list[TaskInstance]:
        """Every task of several runs, in few requests."""
        found: list[TaskInstance] = []
        wanted = list(runs)
        for first in range(0, len(wanted), PAGE):
            chunk = wanted[first : first + PAGE]
            body = {
                "dag_ids": sorted({run.dag_id for run in chunk}),
                "dag_run_ids": sorted({run.dag_run_id for run in chunk}),
            }
            path = "dags/~/dagRuns/~/taskInstances/list"
            keys = {(run.dag_id, run.dag_run_id) for run in chunk}
            found += (
                ti
                for ti in self._pages("POST", path, "task_instances", TaskInstance, body)
                if (ti.dag_id, ti.dag_run_id) in keys
            )
        return found

    def tasks(self, dag_id: str) -> list[Task]:
        """The tasks of a DAG as it is now."""
        return self._get(f"dags/{_part(dag_id)}/tasks", _Tasks).tasks

    def clear(self, dag_id: str, run_id: str, task_id: str, *, dry_run: bool = False) -> list[TaskInstance]:
        """Do a task and what comes after it again. Gives what was (or would be) cleared."""
        body = {
            "dry_run": dry_run,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        return self._send(
            "POST", f"dags/{_part(dag_id)}/clearTaskInstances", body, _TaskInstances
        ).task_instances

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str, map_index: int = -1) -> Any:
        """A value that a task handed on, None where there is none."""
        path = (
            f"dags/{_part(dag_id)}/dagRuns/{_part(run_id)}/taskInstances/{_part(task_id)}/xcomEntries/{key}"
        )
        try:
            return self._get(path, _XCom, {"map_index": map_index}).value
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def log(self, ti: TaskInstance) -> list[LogLine]:
        """What Airflow has of a try's log."""
        path = (
            f"dags/{_part(ti.dag_id)}/dagRuns/{_part(ti.dag_run_id)}/taskInstances/{_part(ti.task_id)}"
            f"/logs/{max(ti.try_number, 1)}"
        )
        answer = self._get(path, _Log, {"map_index": ti.map_index, "full_content": "true"})
        return _log_lines(answer.content)

    # --- DAGs ---------------------------------------------------------------------------------------

    def dags(self) -> list[Dag]:
        """Every DAG that Airflow serves now."""
        return list(self._pages("GET", "dags", "dags", Dag, {"order_by": "dag_id"}))

    def dag(self, dag_id: str) -> Dag | None:
        """A DAG with its params; None where Airflow has none of that id."""
        try:
            return self._get(f"dags/{_part(dag_id)}/details", Dag)
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def source(self, dag_id: str) -> str | None:
        """The text behind a DAG, as the Code tab shows it."""
        try:
            return self._get(f"dagSources/{_part(dag_id)}", _Source).content
        except AirflowRefused as error:
            if error.status == 404:
                return None
            raise

    def import_failures(self) -> list[ImportFailure]:
        """Files that Airflow could not read."""
        return list(self._pages("GET", "importErrors", "import_errors", ImportFailure, {}))

    def pause(self, dag_id: str, paused: bool) -> None:
        """Switch a DAG off or on."""
        self._send("PATCH", f"dags/{_part(dag_id)}", {"is_paused": paused}, Dag)

    def parse(self, file_token: str) -> None:
        """Ask for a parse of a DAG's file at once."""
        self._request("PUT", f"parseDagFile/{file_token}")

    def health(self) -> dict[str, Any]:
        """The state of each part of Airflow."""
        return self._get("monitor/health", dict[str, Any])

    # --- how ----------------------------------------------------------------------------------------

    def _pages(
        self, method: str, path: str, key: str, kind: type[T], query: dict[str, Any], limit: int = 100_000
    ) -> Iterator[T]:
        names = ("page_limit", "page_offset") if method == "POST" else ("limit", "offset")
        offset = 0
        while offset < limit:
            page = query | {names[0]: min(PAGE, limit - offset), names[1]: offset}
            given: dict[str, Any] = {"json": page} if method == "POST" else {"params": page}
            answer = self._decode(self._request(method, path, **given), dict[str, Any])
            items = msgspec.convert(answer.get(key, []), list[kind])  # type: ignore[valid-type]
            yield from items
            offset += len(items)
            # A server may give smaller pages than it was asked for, so its own count decides.
            total = answer.get("total_entries", offset)
            if not items or offset >= total:
                return

    def _get(self, path: str, kind: type[T], query: dict[str, Any] | None = None) -> T:
        return self._decode(self._request("GET", path, params=query), kind)

    def _send(self, method: str, path: str, body: dict[str, Any], kind: type[T]) -> T:
        return self._decode(self._request(method, path, json=body), kind)

    def _decode(self, response: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as error:
            raise AirflowUnreachable(
                f"{self.url} does not answer like Airflow 3 ({error}); is the address right?"
            ) from error

    def _request(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            response = self._authorized(method, path, **given)
            if response.status_code == 401:
                self._http.headers.pop("Authorization", None)
                response = self._authorized(method, path, **given)
        except httpx.TimeoutException as error:
            raise AirflowUnreachable(
                f"Airflow at {self.url} did not answer {method} /{path} in time; "
                "`cis airflow status` shows how it is"
            ) from error
        except httpx.HTTPError as error:
            raise AirflowUnreachable(
                f"Airflow at {self.url} does not answer ({error}); "
                "`cis airflow status` shows how it is, `cis airflow start` starts it"
            ) from error
        if response.is_success:
            return response
        raise self._complaint(response)

    def _authorized(self, method: str, path: str, **given: Any) -> httpx.Response:
        if "Authorization" not in self._http.headers:
            self._http.headers["Authorization"] = f"Bearer {self._token()}"
        return self._http.request(method, path, **given)

    def _complaint(self, response: httpx.Response) -> Exception:
        status, words = response.status_code, _detail(response)
        if status in (401, 403):
            return ConfigError(
                f"Airflow at {self.url} refused us ({status}: {words}); "
                "check CIS_AIRFLOW_TOKEN, or CIS_AIRFLOW_USER and CIS_AIRFLOW_PASSWORD"
            )
        if status in (502, 503, 504):
            return AirflowUnreachable(f"Airflow at {self.url} is not ready ({status}: {words})")
        return AirflowRefused(f"Airflow refused ({status}): {words}", status)


def login(url: str, user: str, password: str, *, transport: httpx.BaseTransport | None = None) -> str:
    """
    A bearer token for a name and a password.

    :raises ConfigError: They are not accepted.
    :raises AirflowUnreachable: No answer.
    """
    address = f"{url.rstrip('/')}/auth/token"
    try:
        with httpx.Client(
            timeout=ANSWER_TIMEOUT, transport=transport, trust_env=not _is_loopback(url)
        ) as http:
            response = http.post(address, json={"username": user, "password": password})
    except httpx.HTTPError as error:
        raise AirflowUnreachable(f"Airflow at {url} does not answer ({error})") from error
    if not response.is_success:
        raise ConfigError(
            f"Airflow at {url} did not accept user {user!r} ({response.status_code}: {_detail(response)})"
        )
    token: str = response.json()["access_token"]
    return token


class _Tasks(msgspec.Struct):
    tasks: list[Task]


class _TaskInstances(msgspec.Struct):
    task_instances: list[TaskInstance]


class _XCom(msgspec.Struct):
    value: Any = None


class _Source(msgspec.Struct):
    content: str | None = None


class _Log(msgspec.Struct):
    content: list[Any]


def _log_lines(events: Iterable[Any]) -> list[LogLine]:
    """A structured log as lines, without where it was read and the marks that fold groups in the UI."""
    lines: list[LogLine] = []
    in_head = False
    for event in events:
        record = event if isinstance(event, dict) else {"event": event}
        text = str(record.get("event", ""))
        if text.startswith("::"):
            in_head = text.startswith("::group::Log message source")
        elif not in_head:
            raised = record.get("error_detail") or ()
            words = [str(one.get("exc_value", "")) for one in raised[:1]] or text.splitlines()
            lines += (LogLine(word, bool(raised)) for word in words)
    return lines


def _part(text: str) -> str:
    return quote(text, safe="~")


def _detail(response: httpx.Response) -> str:
    try:
        detail = response.json().get("detail", "")
    except (ValueError, AttributeError):
        return response.reason_phrase or "no reason given"
    return detail if isinstance(detail, str) else str(detail)


def _is_loopback(url: str) -> bool:
    """A proxy from the environment has no business between us and our own machine."""
    return httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")

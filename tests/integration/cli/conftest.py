"""``cis`` as a process, and an Airflow that answers from memory."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

Answer = tuple[int, Any]


class FakeAirflow:
    """
    DAGs, runs and tasks in memory, and the REST API of Airflow over them, as far as ``cis`` uses it.

    ``requests`` has every request as ``"METHOD /path"``.
    """

    def __init__(self) -> None:
        self.dags: dict[str, dict[str, Any]] = {}
        self.runs: list[dict[str, Any]] = []
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.states: dict[tuple[str, str], dict[str, Any]] = {}
        self.sources: dict[str, Callable[[], str]] = {}
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.raised: dict[tuple[str, str], str] = {}
        self.cleared: list[dict[str, Any]] = []
        self.operators: dict[str, str] = {}
        self.questions: list[dict[str, Any]] = []
        self.answered: list[tuple[str, dict[str, Any]]] = []
        self.pools: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.triggered = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_dag(self, dag_id: str, *agents: str, paused: bool = False) -> None:
        """A chain of agents."""
        self.dags[dag_id] = {"dag_id": dag_id, "is_paused": paused, "params": {}, "timetable_summary": None}
        self.tasks[dag_id] = [
            {"task_id": name, "downstream_task_ids": list(agents[n + 1 : n + 2])}
            | {"class_ref": {"class_name": "AgentOperator"}}
            for n, name in enumerate(agents)
        ]

    def add_run(self, dag_id: str, run_id: str, state: str = "running", **tasks: str | None) -> None:
        """A run, newer than the others, and the states of its tasks."""
        self.runs.insert(0, {"dag_id": dag_id, "dag_run_id": run_id, "state": state})
        self.states[dag_id, run_id] = {name.replace("_", "-"): value for name, value in tasks.items()}

    # --- the API ------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Answer:
        """One request, below ``/api/v2/``."""
        self.requests.append(f"{method} /{path}")
        for pattern, verb, name in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                found: Answer = getattr(self, name)(*map(unquote, match.groups()), query=query, body=body)
                return found
        return 404, {"detail": f"{method} {path}"}

    def get_runs(self, dag_id: str, *, query: dict[str, list[str]], body: Any) -> Answer:
        if dag_id != "~" and dag_id not in self.dags:
            return 404, {"detail": f"no DAG {dag_id}"}
        prefix, states = query.get("run_id_prefix_pattern", [""])[0], query.get("state")
        found = [
            run
            for run in self.runs
            if dag_id in ("~", run["dag_id"])
            and run["dag_run_id"].startswith(prefix)
            and (not states or run["state"] in states)
        ]
        first, limit = int(query["offset"][0]), int(query["limit"][0])
        return 200, {"dag_runs": found[first : first + limit], "total_entries": len(found)}

    def get_run(self, dag_id: str, run_id: str, *, query: Any, body: Any) -> Answer:
        return 200, self._run(dag_id, run_id)

    def patch_run(self, dag_id: str, run_id: str, *, query: Any, body: Any) -> Answer:
        self._run(dag_id, run_id).update(body)
        return 200, self._run(dag_id, run_id)

    def post_run(self, dag_id: str, *, query: Any, body: Any) -> Answer:
        self.add_run(dag_id, body["dag_run_id"])
        self.states[dag_id, body["dag_run_id"]] = {task["task_id"]: None for task in self.tasks[dag_id]}
        self.runs[0]["conf"] = body["conf"]
        self.triggered.set()
        return 200, self.runs[0]

    def get_tis(self, dag_id: str, run_id: str, *, query: Any, body: Any) -> Answer:
        found = self._tis(dag_id, run_id)
        return 200, {"task_instances": found, "total_entries": len(found)}

    def list_tis(self, *, query: Any, body: Any) -> Answer:
        found = [
            ti
            for run in self.runs
            if run["dag_run_id"] in body["dag_run_ids"]
            for ti in self._tis(run["dag_id"], run["dag_run_id"])
        ]
        return 200, {"task_instances": found, "total_entries": len(found)}

    def clear(self, dag_id: str, *, query: Any, body: Any) -> Answer:
        self.cleared.append(body)
        tis = self._tis(dag_id, body["dag_run_id"])
        first = next(n for n, ti in enumerate(tis) if ti["task_id"] == body["task_ids"][0])
        return 200, {"task_instances": tis[first:], "total_entries": len(tis[first:])}

    def ask(self, dag_id: str, run_id: str, task_id: str, **more: Any) -> None:
        """What a task asks humans."""
        ti = {"dag_id": dag_id, "dag_run_id": run_id, "task_id": task_id, "map_index": -1}
        now = dt.datetime.now(dt.UTC).isoformat()
        self.questions.append({"task_instance": ti, "created_at": now, "params": {}, **more})

    def get_questions(self, dag_id: str, run_id: str, *, query: dict[str, list[str]], body: Any) -> Answer:
        assert query["response_received"] == ["false"]
        return 200, {"hitl_details": self.questions, "total_entries": len(self.questions)}

    def patch_question(self, dag_id: str, run_id: str, task_id: str, *, query: Any, body: Any) -> Answer:
        if task_id in dict(self.answered):
            return 409, {"detail": "Human-in-the-loop detail has already been updated"}
        (question,) = [one for one in self.questions if one["task_instance"]["task_id"] == task_id]
        if not set(body["chosen_options"]) <= set(question["options"]):
            return 400, {"detail": f"choose from {question['options']}"}
        self.answered.append((task_id, body))
        return 200, {**body, "responded_by": {"id": "1", "name": "admin"}}

    def get_tasks(self, dag_id: str, *, query: Any, body: Any) -> Answer:
        return 200, {"tasks": self.tasks[dag_id]}

    def get_dags(self, *, query: Any, body: Any) -> Answer:
        return 200, {"dags": list(self.dags.values()), "total_entries": len(self.dags)}

    def get_dag(self, dag_id: str, *, query: Any, body: Any) -> Answer:
        if dag_id not in self.dags:
            return 404, {"detail": f"no DAG {dag_id}"}
        now = dt.datetime.now(dt.UTC).isoformat()
        return 200, self.dags[dag_id] | {"last_parsed_time": now, "last_parse_duration": 0.0}

    def patch_dag(self, dag_id: str, *, query: Any, body: Any) -> Answer:
        self.dags[dag_id].update(body)
        return 200, self.dags[dag_id]

    def get_source(self, dag_id: str, *, query: Any, body: Any) -> Answer:
        return 200, {"content": self.sources[dag_id]()}

    def get_errors(self, *, query: Any, body: Any) -> Answer:
        return 200, {"import_errors": [], "total_entries": 0}

    def get_xcom(self, dag_id: str, run_id: str, task_id: str, *, query: Any, body: Any) -> Answer:
        if (run_id, task_id) not in self.xcoms:
            return 404, {"detail": "no such XCom"}
        return 200, {"value": self.xcoms[run_id, task_id]}

    def get_log(self, dag_id: str, run_id: str, task_id: str, *, query: Any, body: Any) -> Answer:
        content: list[dict[str, Any]] = [{"event": f"Airflow's log of {task_id}"}]
        if (run_id, task_id) in self.raised:
            detail = [{"exc_type": "AirflowFailException", "exc_value": self.raised[run_id, task_id]}]
            content.append({"event": "Task failed with exception", "error_detail": detail})
        return 200, {"content": content}

    def get_pools(self, *, query: dict[str, list[str]], body: Any) -> Answer:
        prefix = query["pool_name_prefix_pattern"][0]
        found = [pool for name, pool in self.pools.items() if name.startswith(prefix)]
        return 200, {"pools": found, "total_entries": len(found)}

    def post_pool(self, *, query: Any, body: Any) -> Answer:
        if body["name"] in self.pools:
            return 409, {"detail": "Unique constraint violation"}
        self.pools[body["name"]] = body
        return 201, body

    def patch_pool(self, name: str, *, query: Any, body: Any) -> Answer:
        assert {"pool", "slots", "include_deferred"} <= body.keys(), "Airflow demands them"
        self.pools[name].update({key: value for key, value in body.items() if key != "pool"})
        return 200, self.pools[name]

    def delete_pool(self, name: str, *, query: Any, body: Any) -> Answer:
        return (204, None) if self.pools.pop(name, None) else (404, {"detail": f"no pool {name}"})

    def _run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return next(run for run in self.runs if (run["dag_id"], run["dag_run_id"]) == (dag_id, run_id))

    def _tis(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return [
            {"dag_id": dag_id, "dag_run_id": run_id, "task_id": name, "state": state}
            | {"try_number": 0 if state is None else 1}
            | {"operator": self.operators.get(name, "AgentOperator")}
            for name, state in self.states[dag_id, run_id].items()
        ]


_DAG, _RUN = r"dags/([^/]+)", r"dags/([^/]+)/dagRuns/([^/]+)"
_ROUTES = (
    (rf"{_DAG}/dagRuns", "GET", "get_runs"),
    (rf"{_DAG}/dagRuns", "POST", "post_run"),
    (_RUN, "GET", "get_run"),
    (_RUN, "PATCH", "patch_run"),
    (r"dags/~/dagRuns/~/taskInstances/list", "POST", "list_tis"),
    (rf"{_RUN}/taskInstances", "GET", "get_tis"),
    (rf"{_RUN}/hitlDetails", "GET", "get_questions"),
    (rf"{_RUN}/taskInstances/([^/]+)/-1/hitlDetails", "PATCH", "patch_question"),
    (rf"{_RUN}/taskInstances/([^/]+)/xcomEntries/return_value", "GET", "get_xcom"),
    (rf"{_RUN}/taskInstances/([^/]+)/logs/1", "GET", "get_log"),
    (rf"{_DAG}/clearTaskInstances", "POST", "clear"),
    (rf"{_DAG}/tasks", "GET", "get_tasks"),
    (rf"{_DAG}/details", "GET", "get_dag"),
    (_DAG, "PATCH", "patch_dag"),
    (r"dags", "GET", "get_dags"),
    (r"dagSources/([^/]+)", "GET", "get_source"),
    (r"importErrors", "GET", "get_errors"),
    (r"pools", "GET", "get_pools"),
    (r"pools", "POST", "post_pool"),
    (r"pools/(.+)", "PATCH", "patch_pool"),
    (r"pools/(.+)", "DELETE", "delete_pool"),
)


def _handler(airflow: FakeAirflow) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            if self.headers.get("Authorization") != "Bearer good":
                status, answer = 401, {"detail": "Not authenticated"}
            else:
                path = url.path.removeprefix("/api/v2/")
                status, answer = airflow.answer(self.command, path, parse_qs(url.query), body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815 - the base class wants these names

        def log_message(self, format: str, *args: object) -> None:
            """Tests have their own output."""

    return Handler


class Cis:
    """``cis`` in a home of its own, as a process."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = os.environ | {"CIS_HOME": str(home)}

    def start(self, *words: str, **changes: str) -> subprocess.Popen[str]:
        """Start it, its outputs on pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "cis_provider.cli.main", *words],
            env=self.environment | changes,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(*words, **changes)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def json(self, *words: str) -> Any:
        """Run it with ``--json``, which must go well."""
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def cis(cis_home: Path) -> Cis:
    return Cis(cis_home)


@pytest.fixture
def airflow(cis: Cis) -> Iterator[FakeAirflow]:
    """An Airflow that ``cis`` talks to."""
    fake = FakeAirflow()
    cis.environment |= {"CIS_AIRFLOW_URL": fake.url, "CIS_AIRFLOW_TOKEN": "good"}
    yield fake
    fake.stop()

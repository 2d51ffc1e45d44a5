"""The REST client, against answers as Airflow gives them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cis_provider.cli.airflow_api import PAGE, AirflowApi, login
from cis_provider.cli.records import DagRun, TaskInstance
from cis_provider.errors import AirflowRefused, AirflowUnreachable, ConfigError

Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, token: Callable[[], str] = lambda: "t") -> AirflowApi:
    return AirflowApi("http://airflow:8080/", token, transport=httpx.MockTransport(handler))


def run(number: int) -> dict[str, Any]:
    return {"dag_id": "d", "dag_run_id": f"r{number}", "state": "running", "a_field_of_tomorrow": 1}


def test_runs_are_read_page_by_page() -> None:
    asked: list[httpx.URL] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        first = int(request.url.params["offset"])
        found = [run(n) for n in range(first, min(first + int(request.url.params["limit"]), 250))]
        return httpx.Response(200, json={"dag_runs": found, "total_entries": 250})

    found = client(handler).runs(states=("queued", "running"), limit=10_000)
    assert [one.dag_run_id for one in found] == [f"r{n}" for n in range(250)]
    assert [url.params["offset"] for url in asked] == ["0", "100", "200"]
    assert asked[0].path == "/api/v2/dags/~/dagRuns"
    assert asked[0].params.get_list("state") == ["queued", "running"]
    assert asked[0].params["order_by"] == "-id"


def test_no_more_is_asked_for_than_is_wanted() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.params["limit"] == "1"
        return httpx.Response(200, json={"dag_runs": [run(9)], "total_entries": 1000})

    assert [one.dag_run_id for one in client(handler).runs(dag_id="d", limit=1)] == ["r9"]


def test_tasks_of_many_runs_take_few_requests_and_no_strangers() -> None:
    bodies: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        bodies.append(body)
        found = [
            {"dag_id": "d", "dag_run_id": run_id, "task_id": "a", "state": None}
            for run_id in body["dag_run_ids"]
        ]
        stranger = {"dag_id": "other", "dag_run_id": "r1", "task_id": "a", "state": None}
        return httpx.Response(
            200, json={"task_instances": [*found, stranger], "total_entries": len(found) + 1}
        )

    api = client(handler)
    wanted = [DagRun(dag_id="d", dag_run_id=f"r{n}", state="running") for n in range(150)]
    found = api.task_instances_of(wanted)
    assert len(found) == 150
    assert all(ti.dag_id == "d" for ti in found)
    assert [len(body["dag_run_ids"]) for body in bodies] == [PAGE, 50]


def test_a_trigger_has_a_logical_date_so_that_templates_may_use_it() -> None:
    bodies: list[dict[str, Any]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json=run(1))

    now = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    client(handler).trigger("d", "x__1", {"depth": 2}, now)
    assert bodies == [
        {
            "dag_run_id": "x__1",
            "logical_date": "2026-01-02T00:00:00+00:00",
            "run_after": "2026-01-02T00:00:00+00:00",
            "conf": {"depth": 2},
        }
    ]


def test_a_retry_clears_what_comes_after_and_nothing_before() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v2/dags/d/clearTaskInstances"
        assert json.loads(request.content) == {
            "dry_run": False,
            "dag_run_id": "r",
            "task_ids": ["a"],
            "include_downstream": True,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        tis = [{"dag_id": "d", "dag_run_id": "r", "task_id": name, "state": None} for name in ("a", "b")]
        return httpx.Response(200, json={"task_instances": tis, "total_entries": 2})

    assert [ti.task_id for ti in client(handler).clear("d", "r", "a")] == ["a", "b"]


def test_a_run_id_with_a_plus_stays_one_in_the_address() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.raw_path == b"/api/v2/dags/d/dagRuns/manual__2026-01-02T00%3A00%3A00%2B00%3A00"
        return httpx.Response(200, json=run(1))

    client(handler).run("d", "manual__2026-01-02T00:00:00+00:00")


def test_an_old_token_is_renewed_once() -> None:
    tokens = iter(["old", "new", "never"])
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        if seen[-1] == "Bearer old":
            return httpx.Response(401, json={"detail": "expired"})
        return httpx.Response(200, json=run(1))

    client(handler, lambda: next(tokens)).run("d", "r1")
    assert seen == ["Bearer old", "Bearer new"]


def test_a_token_that_is_never_taken_is_a_wrong_setting() -> None:
    api = client(lambda _request: httpx.Response(401, json={"detail": "Not authenticated"}))
    with pytest.raises(ConfigError, match=r"refused us.*CIS_AIRFLOW_TOKEN"):
        api.run("d", "r")


def test_a_refusal_has_airflows_words() -> None:
    api = client(lambda _request: httpx.Response(409, json={"detail": "the run is there already"}))
    with pytest.raises(AirflowRefused, match="the run is there already") as caught:
        api.run("d", "r")
    assert caught.value.status == 409


@pytest.mark.parametrize(
    "error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("gone")]
)
def test_no_answer_is_unreachable_and_names_the_address(error: httpx.HTTPError) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(AirflowUnreachable, match="http://airflow:8080"):
        client(handler).dags()


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, text="<html>"), httpx.Response(200, json={"nothing": "known"}), httpx.Response(503)],
)
def test_something_that_is_no_airflow_is_unreachable(answer: httpx.Response) -> None:
    with pytest.raises(AirflowUnreachable):
        client(lambda _request: answer).run("d", "r")


def test_what_is_not_there_is_none() -> None:
    api = client(lambda _request: httpx.Response(404, json={"detail": "not found"}))
    assert api.dag("d") is None
    assert api.source("d") is None
    assert api.xcom("d", "r", "a", "return_value") is None


def test_a_log_is_lines_without_where_it_was_read() -> None:
    content = [
        {"event": "::group::Log message source details"},
        {"event": "/logs/attempt=1.log"},
        {"event": "::endgroup::"},
        {"event": "::group::Pre Execute"},
        {"event": "one\ntwo", "level": "info"},
        {"event": "::endgroup::"},
        "three",
        {"event": "Task failed with exception", "error_detail": [{"exc_type": "E", "exc_value": "why"}, {}]},
    ]
    api = client(lambda _request: httpx.Response(200, json={"content": content, "continuation_token": None}))
    ti = TaskInstance(dag_id="d", dag_run_id="r", task_id="a", try_number=2)
    assert api.log(ti) == [("one", False), ("two", False), ("three", False), ("why", True)]


def test_a_wrong_password_is_a_wrong_setting() -> None:
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(401, json={"detail": "Invalid credentials"})
    )
    with pytest.raises(ConfigError, match=r"did not accept user 'me' \(401: Invalid credentials\)"):
        login("http://airflow:8080", "me", "wrong", transport=transport)


def test_a_password_gives_a_token() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"username": "me", "password": "secret"}
        return httpx.Response(201, json={"access_token": "abc"})

    assert login("http://airflow:8080", "me", "secret", transport=httpx.MockTransport(handler)) == "abc"

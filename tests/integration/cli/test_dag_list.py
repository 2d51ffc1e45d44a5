"""``cis dag list`` by scope, node and status."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def dags(airflow: Any) -> Any:
    """Three DAGs that no file here describes: in two scopes, on two nodes."""
    for dag_id, pool, queue in (
        ("app", "cis-project-app", "default"),
        ("shop", "cis-project-shop", "big"),
        ("notes", "cis-dag-notes", None),
    ):
        airflow.add_dag(dag_id, "first", "second")
        for task in airflow.tasks[dag_id]:
            task |= {"pool": pool, "queue": queue}
    airflow.add_run("shop", "shop__20260102T000000.000Z", "success", first="success", second="success")
    airflow.add_run("app", "app__20260102T000000.000Z", first="deferred", second=None)
    airflow.add_run("app", "other__20260102T000000.000Z", first="scheduled", second=None)
    return airflow


def ids(cis: Any, *words: str) -> list[str]:
    return [dag["dag_id"] for dag in cis.json("dag", "list", *words)["dags"]]


def test_status_counts_agents_of_all_runs_that_have_not_ended(cis: Any, dags: Any) -> None:
    assert cis("dag", "list", "--status").stdout.splitlines() == [
        "DAG     SCOPE          NODE      STATE       RUNNING   BLOCKED   QUEUED   WAITING   LAST RUN",
        "app     project:app    default   running     1         0         1        2         other",
        "shop    project:shop   big       success     0         0         0        0         shop",
        "notes                  default   never run   0         0         0        0",
    ]
    (app, _, notes) = cis.json("dag", "list", "--status")["dags"]
    assert app["agents"] == {"running": 1, "queued": 1, "waiting": 2}
    assert (notes["agents"], notes["scopes"], notes["nodes"]) == ({}, [], ["default"])


def test_only_dags_of_a_scope_or_a_node(cis: Any, dags: Any) -> None:
    assert ids(cis, "--scope", "project:app") == ["app"]
    assert ids(cis, "--node", "default") == ["app", "notes"]
    assert ids(cis, "--node", "big", "--scope", "project:shop") == ["shop"]
    nothing = cis("dag", "list", "--node", "big", "--scope", "project:app")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no DAG has an agent in project:app for node big" in nothing.stderr


def test_what_is_no_scope_is_refused(cis: Any, dags: Any) -> None:
    done = cis("dag", "list", "--scope", "app")
    assert done.returncode == 2
    assert "project:ID" in done.stderr


def test_without_those_options_nothing_more_is_asked(cis: Any, dags: Any) -> None:
    dags.requests.clear()
    (app, *_) = cis.json("dag", "list")["dags"]
    assert (app["scopes"], app["agents"]) == (None, None)
    assert not [request for request in dags.requests if request.endswith("/tasks")]


def test_of_a_file_here_the_scope_is_known_without_a_pool_of_its_own(cis: Any) -> None:
    """The embedded Airflow's DAGs are CIS files of this home; where they are is asked of nobody."""
    from cis_provider.cli.dag_places import Place, places_of

    folder = cis.home / "dags"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text(
        "scope: 'project:{{ params.p }}'\nparams: {p: x}\nnode: big\n"
        "agents:\n  - {id: a, type: shell, command: 'true'}\n"
        "  - {id: b, type: shell, command: 'true', scope: user:ann}\n"
    )
    (folder / "bad.yaml").write_text("agents:\n  - {id: a, type: shel}\n")
    nobody: Any = None
    assert places_of(nobody, ["a"]) == {"a": Place(("project:{{ params.p }}", "user:ann"), ("big",))}

"""Pools in a real Airflow: an author's, one that is deleted under a waiting task, and ``cis pools``."""

from __future__ import annotations

import os

import pytest

from cis_provider.cli.connect import connect
from cis_provider.cli.pool_files import pools_of_files
from cis_provider.cli.pool_sync import our_pools, prune, sync
from cis_provider.embedded import api
from cis_provider.pools import dag_pool

pytestmark = pytest.mark.system

AUTHORS = """
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import dag

from cis_provider.operators.agent import AgentOperator
from cis_provider.pools import ScopedPool


@dag("{name}", schedule=None)
def mine():
    pool = ScopedPool("project:{name}-bash", slots=2)
    BashOperator(task_id="one", bash_command="true", pool=pool)
    BashOperator.partial(task_id="many", pool=pool).expand(bash_command=["true", "true"])
    AgentOperator(
        task_id="agent",
        agent_type="shell",
        prompt="true",
        scope="project:{name}",
        pool=ScopedPool("project:{name}", slots=3),
    )


mine()
"""


@pytest.fixture
def pool(embedded_airflow):
    """A pool as Airflow has it, by name; nothing where there is none."""

    def found(name):
        status, body = embedded_airflow.request(f"/api/v2/pools/{name}")
        return body if status == 200 else None

    return found


def test_an_authors_pools_are_there_for_every_operator(runs, embedded_airflow, pool):
    import datetime as dt

    name = f"mine-{os.getpid()}"
    file = embedded_airflow.home / "dags" / f"{name}.py"
    file.write_text(AUTHORS.format(name=name))
    try:
        with connect() as airflow:
            api.request_parse()
            embedded_airflow.eventually(lambda: airflow.dag(name), 60)
            airflow.pause(name, False)
            airflow.trigger(name, "first", {}, dt.datetime.now(dt.UTC))
        run = runs.known(name, "first")
        assert run.ended() == "success"
        assert pool(f"cis-project-{name}")["slots"] == 3
        assert pool(f"cis-project-{name}-bash")["slots"] == 4
        # The number of an operator that does not hand it on is in the file only.
        read = pools_of_files([file])
        with connect() as airflow:
            done = {one.name: (one.action, one.slots) for one in sync(airflow, read.pools, read.dag_ids)}
            assert done == {
                f"cis-project-{name}": ("unchanged", 3),
                f"cis-project-{name}-bash": ("changed", 2),
            }
            # It stays when the next run begins.
            airflow.trigger(name, "second", {}, dt.datetime.now(dt.UTC))
        assert runs.known(name, "second").ended() == "success"
        assert pool(f"cis-project-{name}-bash")["slots"] == 2
    finally:
        file.unlink()


def test_a_pool_that_is_deleted_under_a_waiting_task_is_made_again(runs, embedded_airflow, pool, tmp_path):
    gate = tmp_path / "gate"
    wait = f"for i in $(seq 600); do [ -e {gate} ] && exit 0; sleep 0.1; done; exit 1"
    run = runs.up(
        [{"id": "a", "command": wait, "priority": "p0"}, {"id": "b", "command": "true", "priority": "p3"}],
        max_workers=1,
    )
    run.at_work("a")
    run.reaches("b", "scheduled")
    name = f"cis-dag-{run.dag_id}"
    with connect() as airflow:
        airflow.delete_pool(name)
    # It may be there again before anybody could see that it was gone.
    embedded_airflow.eventually(lambda: pool(name), 30)
    assert (pool(name)["slots"], pool(name)["include_deferred"]) == (1, True)
    # "a" is in it again, though it never left: it counts as before.
    assert pool(name)["open_slots"] == 0
    gate.touch()
    assert run.ended() == "success"


def test_the_commands_make_change_and_remove_pools(embedded_airflow, pool):
    name, wanted = f"gone-{os.getpid()}", f"cis-dag-gone-{os.getpid()}"
    with connect() as airflow:
        assert [one.action for one in sync(airflow, [dag_pool(name, 3)], {name})] == ["made"]
        assert [one.action for one in sync(airflow, [dag_pool(name, 5)], {name})] == ["changed"]
        found = next(one for one in our_pools(airflow) if one.name == wanted)
        assert (found.slots, found.set_by_cis, found.changed, found.counts_deferred) == (5, 5, False, True)
        assert found.open == 5

        by_hand = next(one for one in airflow.pools(wanted))
        airflow.change_pool(by_hand, 7, by_hand.description)
        assert [one.action for one in sync(airflow, [dag_pool(name, 3)], {name})] == ["kept"]
        assert wanted not in _removed(prune(airflow, everything=False, dry_run=False))
        assert wanted in _removed(prune(airflow, everything=True, dry_run=True))
        assert pool(wanted)["slots"] == 7

        airflow.change_pool(by_hand, 5, by_hand.description)
        assert wanted in _removed(prune(airflow, everything=False, dry_run=False))
        assert pool(wanted) is None


def _removed(done):
    return {one.name for one in done if one.action == "removed"}

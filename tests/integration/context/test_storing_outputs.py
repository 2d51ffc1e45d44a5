from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ConnectionResult, ErrorResponse

from cis_provider import paths
from cis_provider.context import hooks, schema
from cis_provider.context import store as store_module
from cis_provider.context.store import ContextStore
from cis_provider.errors import ConfigError, StoreError
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionKey

pytestmark = pytest.mark.integration

KEY = SessionKey("dag", "run", "agent")


def result(output: str = "done", **more) -> AgentResult:
    return AgentResult(
        **{"session_id": "s1", "is_error": False, "subtype": "success", "output": output, **more}
    )


def put(
    store: ContextStore, key: SessionKey = KEY, output: str = "done", try_number: int = 1, **more
) -> None:
    ended_at = more.pop("ended_at", None)
    store.save(
        key, try_number=try_number, agent_type="shell", result=result(output, **more), ended_at=ended_at
    )


# --- every kind of database ----------------------------------------------------------------------


def test_a_result_comes_back_as_it_was(store: ContextStore) -> None:
    whole = result(
        "text \u4f60\u597d 'quoted' %s ? \n",
        usage={"tokens": 3},
        cost_usd=0.5,
        exit_code=0,
        commit="abc",
        branch="cis/x",
        workspace="/w",
        duration=1.25,
    )
    store.save(KEY, try_number=2, agent_type="shell", result=whole, ended_at=12.5)
    assert store.result(KEY) == whole
    (stored,) = store.outputs("dag", "run").values()
    assert (stored.agent_id, stored.agent_type, stored.output) == ("agent", "shell", whole.output)
    assert (stored.commit, stored.branch, stored.workspace, stored.ended_at) == ("abc", "cis/x", "/w", 12.5)
    assert (stored.is_error, stored.subtype) == (False, "success")


def test_what_was_never_stored_is_none_and_not_an_error(store: ContextStore) -> None:
    assert store.result(KEY) is None and store.outputs("dag", "run") == {} and store.checkpoints(KEY) == {}
    assert store.outputs("dag", "run", []) == {}


def test_saving_twice_changes_nothing_and_a_later_try_takes_the_place(store: ContextStore) -> None:
    put(store, output="first", ended_at=1.0)
    put(store, output="first", ended_at=1.0)
    assert [o.output for o in store.outputs("dag", "run").values()] == ["first"]
    put(store, output="second", try_number=2, ended_at=2.0, is_error=True, subtype="exit_code")
    stored = store.outputs("dag", "run")["agent"]
    assert (stored.output, stored.is_error, stored.subtype) == ("second", True, "exit_code")


def test_a_result_that_comes_late_does_not_replace_a_newer_one(store: ContextStore) -> None:
    put(store, output="new", try_number=2, ended_at=2.0)
    put(store, output="old", try_number=1, ended_at=1.0)
    assert store.outputs("dag", "run")["agent"].output == "new"


def test_only_the_agents_asked_for_and_only_of_that_run(store: ContextStore) -> None:
    for dag, run, agent in [
        ("dag", "run", "a"),
        ("dag", "run", "b"),
        ("dag", "other", "a"),
        ("dag2", "run", "a"),
    ]:
        put(store, SessionKey(dag, run, agent), output=f"{dag} {run} {agent}")
    assert {k: v.output for k, v in store.outputs("dag", "run").items()} == {
        "a": "dag run a",
        "b": "dag run b",
    }
    assert list(store.outputs("dag", "run", {"b", "unknown"})) == ["b"]
    assert list(store.outputs("dag", "run", [f"x{n}" for n in range(3000)] + ["a"])) == ["a"]


def test_parts_of_a_mapped_agent_are_joined_in_order(store: ContextStore) -> None:
    for index in (10, 2, 0):
        put(
            store,
            SessionKey("dag", "run", "m", index),
            output=f"part {index}",
            commit=f"c{index}",
            branch="b",
        )
    put(
        store, SessionKey("dag", "run", "m", 3), output="part 3", is_error=True, subtype="timeout", branch="b"
    )
    stored = store.outputs("dag", "run")["m"]
    assert stored.output == "part 0\n\npart 2\n\npart 3\n\npart 10"
    assert (stored.is_error, stored.subtype, stored.commit, stored.branch) == (True, "timeout", None, "b")


def test_text_that_no_database_takes_is_stored_all_the_same(store: ContextStore) -> None:
    put(store, output="nul \0 and half \ud800 end", error="nul \0 \ud800")
    stored = store.result(KEY)
    assert (
        stored is not None
        and stored.output.startswith("nul \ufffd and half")
        and stored.output.endswith("end")
    )


def test_a_long_output_is_read_from_its_file(store: ContextStore, tmp_path) -> None:
    whole = tmp_path / "output.txt"
    whole.write_text("head" + "x" * 100_000 + "tail")
    put(store, output="head", output_ref=str(whole))
    stored = store.result(KEY)
    assert stored is not None and stored.output == whole.read_text() and stored.output_ref == str(whole)


def test_a_very_long_output_keeps_both_ends_and_says_what_was_cut(store, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(store_module, "OUTPUT_LIMIT", 1000)
    whole = tmp_path / "output.txt"
    whole.write_text("BEGIN" + "x" * 5000 + "END")
    put(store, output="BEGIN", output_ref=str(whole))
    put(store, SessionKey("dag", "run", "inline"), output=whole.read_text())
    for stored in store.outputs("dag", "run").values():
        assert stored.output.startswith("BEGIN") and stored.output.endswith("END")
        assert len(stored.output) < 1300 and "4,008" in stored.output
    assert str(whole) in store.outputs("dag", "run")["agent"].output


def test_without_the_file_the_head_is_kept_with_a_note(store: ContextStore) -> None:
    put(store, output="the head", output_ref="/nowhere/output.txt")
    stored = store.outputs("dag", "run")["agent"].output
    assert stored.startswith("the head") and "/nowhere/output.txt" in stored


def test_checkpoints_are_kept_by_name_oldest_first(store: ContextStore) -> None:
    store.save_checkpoint(KEY, "plan", {"step": 1})
    store.save_checkpoint(KEY, "apply", {"done": ["a"]})
    assert list(store.checkpoints(KEY).items()) == [("plan", {"step": 1}), ("apply", {"done": ["a"]})]
    store.save_checkpoint(KEY, "plan", {"step": 2})
    assert list(store.checkpoints(KEY).items()) == [("apply", {"done": ["a"]}), ("plan", {"step": 2})]
    assert store.checkpoints(SessionKey("dag", "run", "agent", 0)) == {}


async def test_threads_of_one_process_may_use_one_store_at_once(store: ContextStore) -> None:
    keys = [SessionKey("dag", "run", f"a{n}") for n in range(24)]
    await asyncio.gather(*(asyncio.to_thread(put, store, key, key.task_id) for key in keys))
    found = await asyncio.to_thread(store.outputs, "dag", "run")
    assert {k: v.output for k, v in found.items()} == {key.task_id: key.task_id for key in keys}


def test_a_newer_schema_is_refused_and_left_as_it_is(store: ContextStore) -> None:
    put(store)
    with store.cursor() as cursor:
        cursor.execute(f"UPDATE cis_schema SET version = {schema.VERSION + 1}")
    later = ContextStore.default()
    with pytest.raises(StoreError, match=rf"version {schema.VERSION + 1}.*up to {schema.VERSION}.*upgrade"):
        later.result(KEY)
    with store.cursor() as cursor:
        cursor.execute("SELECT version FROM cis_schema")
        assert cursor.fetchone()[0] == schema.VERSION + 1


def test_an_upgrade_keeps_what_is_stored_and_many_may_try_at_once(store: ContextStore, monkeypatch) -> None:
    put(store, output="from before")
    monkeypatch.setattr(schema, "STEPS", (*schema.STEPS, ("ALTER TABLE cis_outputs ADD COLUMN extra TEXT",)))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: ContextStore.default().result(KEY), range(6)))
    assert all(one is not None and one.output == "from before" for one in found)


def test_an_upgrade_that_fails_changes_nothing(store: ContextStore, monkeypatch) -> None:
    put(store)
    steps = (
        *schema.STEPS,
        ("ALTER TABLE cis_outputs ADD COLUMN extra TEXT", "ALTER TABLE nowhere ADD COLUMN x TEXT"),
    )
    monkeypatch.setattr(schema, "STEPS", steps)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    with pytest.raises(StoreError, match="nowhere"):
        ContextStore.default().result(KEY)
    monkeypatch.undo()
    with store.cursor() as cursor:
        cursor.execute("SELECT version FROM cis_schema")
        assert cursor.fetchone()[0] == schema.VERSION
    with pytest.raises(StoreError), store.cursor() as cursor:
        cursor.execute("SELECT extra FROM cis_outputs")


def _save_from_a_process(number: int, barrier) -> None:
    barrier.wait(30)
    put(ContextStore.default(), SessionKey("dag", "run", f"p{number}"), output=str(number))


def test_forked_processes_make_the_tables_and_save_at_once(store: ContextStore) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(5)
    children = [context.Process(target=_save_from_a_process, args=(n, barrier)) for n in range(5)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 5
    assert sorted(store.outputs("dag", "run")) == [f"p{n}" for n in range(5)]


# --- the file ------------------------------------------------------------------------------------


def test_the_file_is_ours_alone_and_writes_ahead(cis_home) -> None:
    put(ContextStore.default())
    files = list(cis_home.glob("context.db*"))
    assert paths.context_db() in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with closing(sqlite3.connect(paths.context_db())) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_home_with_odd_characters_works(cis_home, monkeypatch) -> None:
    monkeypatch.setenv("CIS_HOME", str(cis_home / "50% of? #1 \u4f60"))
    put(ContextStore.default())
    assert paths.context_db().stat().st_size > 0
    assert ContextStore.at(paths.context_db()).result(KEY) == result()


def test_a_writer_waits_for_another_one(cis_home) -> None:
    store = ContextStore.default()
    put(store)
    with closing(sqlite3.connect(paths.context_db(), isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(put, store, KEY, "after")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            other.execute("ROLLBACK")
            waiting.result(timeout=20)
    assert store.outputs("dag", "run")["agent"].output == "after"


def test_a_file_that_is_no_database_is_a_store_error_with_its_name(cis_home) -> None:
    cis_home.mkdir()
    paths.context_db().write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=r"context\.db.*not a database"):
        ContextStore.default().result(KEY)


def test_no_connection_stays_open(store: ContextStore) -> None:
    put(store)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        store.outputs("dag", "run")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


# --- finding the connection ----------------------------------------------------------------------


def test_another_type_of_connection_is_refused_by_name(cis_home, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CIS_DEFAULT", "mysql://u:pw@host/db")
    with pytest.raises(ConfigError, match=r"cis_default.*mysql") as caught:
        ContextStore.default()
    assert "pw" not in str(caught.value)


def test_a_server_that_is_down_is_a_store_error_without_its_password(cis_home, monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CIS_DEFAULT", "postgres://u:topsecret@127.0.0.1:1/db")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/db") as caught:
        ContextStore.default().result(KEY)
    assert "topsecret" not in str(caught.value)


def supervisor(monkeypatch, *, answer=None, error: ErrorType | None = None) -> list[object]:
    """A task process whose supervisor answers like this; what it was asked comes back."""
    asked: list[object] = []

    def send(message):
        asked.append(message)
        if error:
            raise AirflowRuntimeError(ErrorResponse(error=error, detail={"status_code": 500}))
        return answer

    from airflow.sdk.execution_time import task_runner

    assert sys.modules[task_runner.__name__] is task_runner
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    return asked


def test_in_a_task_a_missing_connection_costs_one_question(cis_home, monkeypatch) -> None:
    asked = supervisor(monkeypatch, error=ErrorType.CONNECTION_NOT_FOUND)
    assert ContextStore.default().name == str(paths.context_db())
    assert len(asked) == 1


def test_in_a_task_an_api_server_in_trouble_is_not_taken_for_a_missing_connection(
    cis_home, monkeypatch
) -> None:
    supervisor(monkeypatch, error=ErrorType.API_SERVER_ERROR)
    with pytest.raises(StoreError, match="did not say"):
        ContextStore.default()


def test_in_a_task_the_connection_of_the_api_server_is_used(cis_home, monkeypatch, tmp_path) -> None:
    answer = ConnectionResult(
        conn_id="cis_default", conn_type="sqlite", host=str(tmp_path / "x.db"), schema=None,
        login=None, password=None, port=None, extra=None,
    )  # fmt: skip
    asked = supervisor(monkeypatch, answer=answer)
    store = ContextStore.default()
    put(store)
    assert (tmp_path / "x.db").exists() and not paths.context_db().exists()
    assert store.result(KEY) == result() and len(asked) == 1


@pytest.mark.parametrize("slashes", ["sqlite://", "sqlite:///"])
def test_in_a_task_the_environment_comes_first_and_nothing_is_asked(
    cis_home, monkeypatch, tmp_path, slashes
) -> None:
    asked = supervisor(monkeypatch, error=ErrorType.API_SERVER_ERROR)
    monkeypatch.setenv("AIRFLOW_CONN_CIS_DEFAULT", f"{slashes}{tmp_path / 'env.db'}")
    put(ContextStore.default())
    assert (tmp_path / "env.db").exists() and asked == []


def test_a_hook_can_be_asked_for_a_connection_that_is_nowhere(cis_home) -> None:
    assert hooks.find_connection("cis_nowhere") is None

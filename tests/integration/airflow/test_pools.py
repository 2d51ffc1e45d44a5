"""Pools that appear by themselves, in real databases, beside a transaction that must not be hurt."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
import uuid
from contextlib import contextmanager

import pytest
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.orm import Session, object_session

from cis_provider.listeners import lifecycle
from cis_provider.listeners.pools import LOCK_TIMEOUT, ensure_pools, heal_pools
from cis_provider.operators.agent import AgentOperator
from cis_provider.pools import PoolSpec, ScopedPool, asker_of, dag_pool, dag_pool_name, number_set

pytestmark = pytest.mark.integration

POOL_OF_ANOTHER = {"pool": "cis-dag-d", "slots": 7, "include_deferred": True}


def pools(engine):
    """Slots, and whether deferred tasks count, by name."""
    with engine.connect() as connection:
        rows = connection.execute(select(Pool.pool, Pool.slots, Pool.include_deferred))
        return {name: (slots, deferred) for name, slots, deferred in rows}


def descriptions(engine):
    with engine.connect() as connection:
        return dict(connection.execute(select(Pool.pool, Pool.description)).all())


def agent(name, size=None, task_id="a"):
    return AgentOperator(task_id=task_id, agent_type="shell", prompt="true", pool=name, pool_size=size)


def dag_of(*tasks, dag_id="d"):
    with DAG(dag_id, schedule=None) as dag:
        for make in tasks:
            make()
    return dag


def a_run(session, dag, run_id="r"):
    """A run that the scheduler is about to set to running."""
    now = dt.datetime.now(dt.UTC)
    run = DagRun(dag_id=dag.dag_id, run_id=run_id, run_type="manual", run_after=now, logical_date=None)
    run.state = "queued"
    session.add(run)
    session.commit()
    run.dag = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    return run


@contextmanager
def scheduler(engine, dag, run_id="r"):
    """What the scheduler does: the run is set to running, listeners are told, all is committed."""
    with Session(engine) as session:
        run = a_run(session, dag, run_id)
        run.state = "running"
        yield run
        session.commit()
    with Session(engine) as session:
        state = session.scalar(select(DagRun.state).where(DagRun.run_id == run_id))
    assert state == "running", "the scheduler's own work is lost"


def begin(engine, dag, run_id="r"):
    with scheduler(engine, dag, run_id) as run:
        lifecycle.on_dag_run_running(run, "")


# --- at the start of a run ------------------------------------------------------------------------------


def test_every_pool_of_ours_that_a_run_names_is_made_and_no_other(engine):
    dag = dag_of(
        lambda: agent("cis-dag-d", 3),
        lambda: agent("cis-user-ann", 2, "b"),
        lambda: agent("somebody-elses", 7, "c"),
        lambda: BashOperator(task_id="e", bash_command="true", pool=ScopedPool("project:p", slots=9)),
        lambda: BashOperator(task_id="f", bash_command="true", pool="cis-dag-other"),
        lambda: BashOperator.partial(task_id="g", pool="cis-type-t").expand(bash_command=["true"]),
    )
    begin(engine, dag)
    assert pools(engine) == {
        "cis-dag-d": (3, True),
        "cis-user-ann": (2, True),
        "cis-project-p": (4, True),
        "cis-dag-other": (4, True),
        "cis-type-t": (4, True),
    }


def test_the_scopes_number_is_the_setting(engine, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_MAX_CONCURRENT_TASKS", "7")
    begin(engine, dag_of(lambda: agent(ScopedPool("project:p"))))
    assert pools(engine) == {"cis-project-p": (7, True)}


def test_a_broken_setting_is_no_reason_to_wait_for_ever(engine, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_MAX_CONCURRENT_TASKS", "many")
    begin(engine, dag_of(lambda: agent(ScopedPool("project:p"))))
    assert pools(engine) == {"cis-project-p": (4, True)}


def test_an_agents_author_says_the_number(engine):
    begin(engine, dag_of(lambda: agent(ScopedPool("project:p", slots=2))))
    assert pools(engine) == {"cis-project-p": (2, True)}
    assert asker_of(descriptions(engine)["cis-project-p"]) == "d"


def test_a_run_without_pools_of_ours_costs_no_query(engine):
    with scheduler(engine, dag_of(lambda: agent("default_pool"))) as run:
        asked = []
        event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        lifecycle.on_dag_run_running(run, "")
        assert asked == []


def test_a_name_that_exists_already_does_no_harm(engine):
    with Session(engine) as session:
        session.add(Pool(pool="cis-dag-d", slots=9, description="mine", include_deferred=False))
        session.commit()
    begin(engine, dag_of(lambda: agent("cis-dag-d", 3)))
    assert pools(engine) == {"cis-dag-d": (9, False)}


def test_a_name_that_appears_between_the_look_and_the_insert_does_no_harm(engine, monkeypatch):
    from cis_provider.listeners import pools as listener

    real, another = listener._insert_unless_there, insert(Pool.__table__).values(POOL_OF_ANOTHER)

    def insert_after_another(pool, dialect):
        if dialect == "sqlite":  # has one writer: ours
            object_session(run).execute(another)
        else:
            with engine.begin() as connection:
                connection.execute(another)
        return real(pool, dialect)

    monkeypatch.setattr(listener, "_insert_unless_there", insert_after_another)
    with scheduler(engine, dag_of(lambda: agent("cis-dag-d", 3))) as run:
        lifecycle.on_dag_run_running(run, "")
    assert pools(engine) == {"cis-dag-d": (7, True)}


def test_two_schedulers_at_once_make_each_pool_once(engine, caplog):
    both = ("cis-dag-d", "cis-project-p")
    failures = []

    def one(run_id, names):
        try:
            dag = dag_of(*(lambda name=name: agent(name, 2, name) for name in names), dag_id=run_id)
            with scheduler(engine, dag, run_id) as run:
                together.wait(20)
                lifecycle.on_dag_run_running(run, "")
        except BaseException as error:
            failures.append(error)

    for turn in range(10):
        together = threading.Barrier(2)
        threads = [
            threading.Thread(target=one, args=(f"one-{turn}", both)),
            threading.Thread(target=one, args=(f"two-{turn}", both[::-1])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert pools(engine) == dict.fromkeys(both, (2, True))
        with engine.begin() as connection:
            connection.execute(Pool.__table__.delete())
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_pool_that_another_holds_locked_costs_the_scheduler_a_moment_only(engine, caplog):
    with engine.connect() as other:
        begun = other.begin()
        other.execute(insert(Pool.__table__).values(POOL_OF_ANOTHER))
        since = time.monotonic()
        begin(engine, dag_of(lambda: agent("cis-dag-d", 3)))
        assert time.monotonic() - since < LOCK_TIMEOUT + 3
        begun.rollback()
    assert "the pools of run r of d could not be made" in caplog.text
    assert pools(engine) == {}
    begin(engine, dag_of(lambda: agent("cis-dag-d", 3)), "r2")
    assert pools(engine) == {"cis-dag-d": (3, True)}


REFUSE = {
    "sqlite": ["create trigger no before insert on slot_pool begin select raise(abort, 'no room'); end"],
    "postgresql": [
        "create function no() returns trigger language plpgsql as $$ begin raise 'no room'; end $$",
        "create trigger no before insert on slot_pool for each row execute function no()",
    ],
}


def test_an_error_of_the_database_leaves_the_schedulers_transaction_whole(engine, caplog):
    with engine.begin() as connection:
        for statement in REFUSE[engine.dialect.name]:
            connection.execute(text(statement))
    begin(engine, dag_of(lambda: agent("cis-dag-d", 3)))
    assert "no room" in caplog.text
    assert pools(engine) == {}


# --- numbers --------------------------------------------------------------------------------------------


def ensure(engine, *wanted):
    with engine.begin() as connection:
        ensure_pools(wanted, connection)


def test_a_number_that_changed_in_the_file_is_followed(engine):
    ensure(engine, dag_pool("d", 3))
    ensure(engine, dag_pool("d", 5))
    assert pools(engine) == {"cis-dag-d": (5, True)}
    assert number_set(descriptions(engine)["cis-dag-d"]) == 5


def test_a_number_that_a_human_changed_stays(engine):
    ensure(engine, dag_pool("d", 3))
    with engine.begin() as connection:
        connection.execute(update(Pool).values(slots=1))
    ensure(engine, dag_pool("d", 5))
    begin(engine, dag_of(lambda: agent("cis-dag-d", 6)))
    assert pools(engine) == {"cis-dag-d": (1, True)}


def test_two_dags_with_two_numbers_do_not_take_turns(engine):
    small = PoolSpec("cis-project-p", 2, "small", explicit=True)
    large = PoolSpec("cis-project-p", 6, "large", explicit=True)
    seen = []
    for wanted in (large, small, large, PoolSpec("cis-project-p", 4, "silent"), large):
        ensure(engine, wanted)
        seen.append(pools(engine)["cis-project-p"][0])
    assert seen == [6, 2, 2, 2, 2]
    ensure(engine, PoolSpec("cis-project-p", 4, "small"))
    assert pools(engine) == {"cis-project-p": (4, True)}


def test_the_longest_dag_id_has_a_pool_that_fits_airflows_column(engine):
    first, second = dag_pool_name("d" * 249 + "1"), dag_pool_name("d" * 249 + "2")
    assert first != second
    ensure(engine, PoolSpec(first, 1), PoolSpec(second, 1))
    assert set(pools(engine)) == {first, second}


# --- healing --------------------------------------------------------------------------------------------


@pytest.fixture
def airflows_session(engine, monkeypatch):
    """Airflow's own way to a session leads to this database."""

    @contextmanager
    def create_session():
        with Session(engine) as session:
            yield session
            session.commit()

    monkeypatch.setattr("airflow.utils.session.create_session", create_session)


def scheduled(engine, dag, *, state="scheduled"):
    """The DAG as the dag processor would have saved it, and a task of each pool in a state."""
    with Session(engine) as session:
        session.add(DagBundleModel(name="b"))
        session.flush()
        session.add(DagModel(dag_id=dag.dag_id, bundle_name="b", fileloc="f"))
        session.flush()
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="b", session=session)
        session.commit()
        a_run(session, dag)
        for task in dag.tasks:
            _task(session, dag.dag_id, task.task_id, str(task.pool), state)
        session.commit()


def _task(session, dag_id, task_id, pool, state):
    values = {"dag_id": dag_id, "run_id": "r", "task_id": task_id, "pool": pool, "state": state}
    needed = {"id": uuid.uuid4(), "map_index": -1, "try_number": 0, "max_tries": 0, "hostname": ""}
    more = {"unixname": "", "queue": "default", "priority_weight": 1, "operator": "x", "pool_slots": 1}
    more |= {"custom_operator_name": "x", "executor_config": {}, "trigger_timeout": None}
    session.execute(insert(TaskInstance.__table__).values(**values, **needed, **more))


def test_a_pool_that_was_deleted_is_made_again_with_the_dags_number(engine, airflows_session):
    scheduled(engine, dag_of(lambda: agent("cis-dag-d", 3), lambda: agent("cis-project-p", 2, "b")))
    heal_pools()
    assert pools(engine) == {"cis-dag-d": (3, True), "cis-project-p": (2, True)}
    assert asker_of(descriptions(engine)["cis-project-p"]) == "d"


def test_a_task_of_an_older_dag_gets_its_pool_too(engine, airflows_session):
    scheduled(engine, dag_of(lambda: agent("cis-dag-d", 3)))
    with Session(engine) as session:
        _task(session, "d", "gone", "cis-project-old", "scheduled")
        session.commit()
    heal_pools()
    assert pools(engine) == {"cis-dag-d": (3, True), "cis-project-old": (4, True)}


def test_only_tasks_that_wait_for_a_pool_of_ours_are_healed(engine, airflows_session):
    dag = dag_of(lambda: agent("cis-dag-d", 3), lambda: agent("somebody-elses", 1, "b"))
    scheduled(engine, dag, state="success")
    with Session(engine) as session:
        _task(session, "d", "c", "somebody-elses", "scheduled")
        session.commit()
    heal_pools()
    assert pools(engine) == {}


def test_healing_asks_once_when_nothing_is_missing(engine, airflows_session):
    scheduled(engine, dag_of(lambda: agent("cis-dag-d", 3)))
    ensure(engine, dag_pool("d", 1))
    asked = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    heal_pools()
    assert len(asked) == 1
    assert pools(engine) == {"cis-dag-d": (1, True)}


def test_trouble_with_the_database_is_logged_and_not_raised(engine, airflows_session, caplog):
    scheduled(engine, dag_of(lambda: agent("cis-dag-d", 3)))
    with engine.begin() as connection:
        for statement in REFUSE[engine.dialect.name]:
            connection.execute(text(statement))
    heal_pools()
    assert "no room" in caplog.text


# --- from the author's file to the scheduler ------------------------------------------------------------


def test_an_authors_pool_survives_the_way_from_the_parser_to_the_dag_processor():
    """The serialisation and the frame that Airflow's parser process really sends."""
    import msgspec
    from airflow.dag_processing.processor import DagFileParsingResult
    from airflow.sdk.execution_time.comms import _RequestFrame

    pool = ScopedPool("project:p", slots=2)
    with DAG("d", schedule=None, default_args={"pool": pool}) as dag:
        BashOperator(task_id="a", bash_command="true", pool=pool)
        BashOperator(task_id="b", bash_command="true")
        BashOperator.partial(task_id="c", pool=pool).expand(bash_command=["true"])
        agent(pool, task_id="e")
    sent = DagFileParsingResult(fileloc="f", serialized_dags=[LazyDeserializedDAG.from_dag(dag)])
    frame = bytes(_RequestFrame(id=1, body=sent.model_dump()).as_bytes())
    received = DagFileParsingResult(**msgspec.msgpack.decode(frame[4:])[1])
    data = received.serialized_dags[0].data
    tasks = DagSerialization.from_dict(data).tasks
    assert {task.task_id: task.pool for task in tasks} == dict.fromkeys("abce", "cis-project-p")
    assert {type(task.pool) for task in tasks} == {str}
    assert {task.task_id: getattr(task, "pool_size", None) for task in tasks}["e"] == 2

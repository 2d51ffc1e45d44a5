"""What is written into Airflow's database for questions: forms, and tasks that come back."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import contextmanager

import pytest
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from sqlalchemy import select
from sqlalchemy.orm import Session

from cis_provider.api import forms
from cis_provider.api.approvers import Approver
from cis_provider.api.forms import look_again_for_strangers, write_form
from cis_provider.interventions import interventions
from cis_provider.listeners.interventions import bring_back
from cis_provider.operators.agent import AgentOperator

pytestmark = pytest.mark.integration

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
ASKS, AGENT = "interventions.a", "a"


@pytest.fixture(autouse=True)
def airflows_session(engine, monkeypatch):
    @contextmanager
    def create_session():
        with Session(engine) as session:
            yield session
            session.commit()

    monkeypatch.setattr("airflow.utils.session.create_session", create_session)
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ann:admin,bob:op")


@pytest.fixture
def run(engine):
    """A running run of an agent and the task that asks for it, saved as Airflow does."""
    with DAG("d", schedule=None) as dag:
        AgentOperator(task_id=AGENT, agent_type="claude", prompt="x")
        interventions(dag)
    with Session(engine) as session:
        session.add(DagBundleModel(name="b"))
        session.flush()
        session.add(DagModel(dag_id="d", bundle_name="b", fileloc="f"))
        session.flush()
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="b", session=session)
        session.commit()
        version = session.scalar(select(DagVersion))
        assert version is not None
        made = DagRun(dag_id="d", run_id="r", run_type="manual", run_after=NOW, logical_date=None)
        made.state = "running"
        made.created_dag_version_id = version.id
        session.add(made)
        session.commit()
        scheduler = SerializedDagModel.get_dag("d", session=session)
        assert scheduler is not None
        for task in scheduler.tasks:
            session.add(TaskInstance(task, run_id="r", dag_version_id=version.id))
        session.commit()
    return engine


def set_task(
    engine, task_id: str, state: str | None, *, started: float | None = None, ended: float | None = None
):
    """State and times, in minutes."""
    with Session(engine) as session:
        task = session.scalar(select(TaskInstance).where(TaskInstance.task_id == task_id))
        assert task is not None
        task.state = state
        task.try_number = 1
        task.start_date = None if started is None else NOW + dt.timedelta(minutes=started)
        task.end_date = None if ended is None else NOW + dt.timedelta(minutes=ended)
        session.commit()
        return task.id


def state_of(engine, task_id: str = ASKS):
    with Session(engine) as session:
        return session.scalar(select(TaskInstance.state).where(TaskInstance.task_id == task_id))


def test_a_form_gets_the_text_of_now_and_no_answer_of_before(run) -> None:
    ti_id = set_task(run, ASKS, "running", started=0)
    with Session(run) as session:
        session.add(
            HITLDetail(
                ti_id=ti_id,
                options=["Allow (1)"],
                subject="first",
                body="first",
                responded_at=NOW,
                responded_by={"id": "1", "name": "ann"},
                chosen_options=["Allow (1)"],
            )
        )
        session.commit()
    write_form(
        ti_id,
        {
            "subject": "second",
            "body": "second",
            "options": ["Allow (2)"],
            "params": {"answer": {"value": ""}},
            "assigned_users": [{"id": "bob", "name": "bob"}],
        },
    )
    with Session(run) as session:
        form = session.get(HITLDetail, ti_id)
        assert form is not None
        assert (form.subject, form.body, form.options) == ("second", "second", ["Allow (2)"])
        assert (form.responded_at, form.responded_by, form.chosen_options) == (None, None, None)
        assert form.assigned_users == [{"id": "bob", "name": "bob"}]


def test_a_form_names_those_whom_airflow_does_not_know_and_finds_them_when_they_are_there(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"ann": "1"}

    def looked_up(session, dag_id, names):
        assert dag_id == "d"
        return [
            Approver(name, numbers.get(name, f"unknown:{name}"), "" if name in numbers else "unknown")
            for name in names
        ]

    monkeypatch.setattr(forms, "approvers", looked_up)
    ti_id = set_task(run, ASKS, "running", started=0)
    with Session(run) as session:
        session.add(HITLDetail(ti_id=ti_id, options=["x"], subject="s"))
        session.commit()
    users = [{"id": name, "name": name} for name in ("ann", "carol")]
    told = write_form(ti_id, {"subject": "s", "body": "b", "options": ["x"], "assigned_users": users})
    assert told == [{"id": "1", "name": "ann"}, {"id": "unknown:carol", "name": "carol"}]
    look_again_for_strangers("d", "r", ASKS, -1)
    with Session(run) as session:
        form = session.get(HITLDetail, ti_id)
        assert form is not None
        assert form.assignees == told
        assert form.body is not None
        assert form.body.startswith(
            "> Airflow has no active user `carol` (`approvers` or `escalate_to` of `a`):"
        )
        assert form.body.endswith("\n\nb")
    numbers["carol"] = "2"
    look_again_for_strangers("d", "r", "another", -1)
    look_again_for_strangers("d", "r", ASKS, -1)
    with Session(run) as session:
        form = session.get(HITLDetail, ti_id)
        assert form is not None
        assert form.assignees == [{"id": "1", "name": "ann"}, {"id": "2", "name": "carol"}]


def test_where_airflow_writes_the_question_itself_approvers_still_get_their_ids(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forms, "is_needed", lambda version: False)
    ti_id = set_task(run, ASKS, "running", started=0)
    with Session(run) as session:
        session.add(HITLDetail(ti_id=ti_id, options=["x"], subject="theirs"))
        session.commit()
    users = [{"id": "bob", "name": "bob"}]
    write_form(ti_id, {"subject": "ours", "options": ["y"], "assigned_users": users})
    with Session(run) as session:
        form = session.get(HITLDetail, ti_id)
        assert form is not None
        assert (form.subject, form.options, form.assignees) == ("theirs", ["x"], users)


def test_a_form_of_somebody_elses_task_is_left_alone(run) -> None:
    ti_id = set_task(run, AGENT, "running", started=0)
    with Session(run) as session:
        session.add(HITLDetail(ti_id=ti_id, options=["x"], subject="theirs"))
        session.commit()
    assert write_form(ti_id, {"subject": "ours", "options": ["y"]}) is None
    assert write_form(uuid.uuid4(), {"subject": "ours", "options": ["y"]}) is None
    with Session(run) as session:
        form = session.get(HITLDetail, ti_id)
        assert form is not None
        assert form.subject == "theirs"


@pytest.mark.parametrize("ended", ["skipped", "success"])
@pytest.mark.parametrize("again", [6, 4.98], ids=["after it had ended", "while it was ending"])
def test_a_task_that_asked_comes_back_when_its_agent_is_at_work_again(run, ended: str, again: float) -> None:
    set_task(run, ASKS, ended, started=0, ended=5)
    set_task(run, AGENT, "deferred", started=again)
    assert bring_back() == 1
    assert state_of(run) is None
    assert bring_back() == 0


@pytest.mark.parametrize(
    ("asks", "agent", "started"),
    [
        ("success", "deferred", 1),  # a human marked it while its agent was at work
        ("failed", "deferred", 6),  # a human wanted it to fail
        ("deferred", "deferred", 6),
        ("skipped", "success", 6),
        ("skipped", "failed", 6),
    ],
)
def test_everything_else_stays_as_it_is(run, asks: str, agent: str, started: int) -> None:
    set_task(run, ASKS, asks, started=0, ended=5)
    set_task(run, AGENT, agent, started=started)
    assert bring_back() == 0
    assert state_of(run) == asks


def test_a_run_that_is_over_stays_over(run) -> None:
    set_task(run, ASKS, "skipped", started=0, ended=5)
    set_task(run, AGENT, "deferred", started=6)
    with Session(run) as session:
        made = session.scalar(select(DagRun))
        assert made is not None
        made.state = "failed"
        session.commit()
    assert bring_back() == 0


def test_trouble_with_the_database_is_logged_and_not_raised(run, monkeypatch, caplog) -> None:
    def broken():
        raise OSError("no database")

    monkeypatch.setattr("airflow.utils.session.create_session", broken)
    assert bring_back() == 0
    assert "no database" in caplog.text

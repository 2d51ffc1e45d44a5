"""Pools that appear by themselves, in a real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from airflow.models.pool import Pool
from sqlalchemy import create_engine, select, update
from sqlalchemy.orm import Session

from cis_provider.pools import dag_pool, dag_pool_name, ensure_pools, number_set

pytestmark = pytest.mark.integration


@pytest.fixture
def session(tmp_path) -> Iterator[Session]:
    engine = create_engine(f"sqlite:///{tmp_path}/pools.db")
    Pool.__table__.create(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def found(session: Session) -> dict[str, tuple[int, bool]]:
    rows = session.execute(select(Pool.pool, Pool.slots, Pool.include_deferred))
    return {name: (slots, deferred) for name, slots, deferred in rows}


def test_a_missing_pool_is_made_and_counts_deferred_tasks(session):
    ensure_pools([dag_pool("nightly", 3)], session)
    assert found(session) == {"cis-dag-nightly": (3, True)}


def test_a_number_that_changed_in_the_file_is_followed(session):
    ensure_pools([dag_pool("nightly", 3)], session)
    ensure_pools([dag_pool("nightly", 5)], session)
    assert found(session) == {"cis-dag-nightly": (5, True)}
    assert number_set(session.scalar(select(Pool.description))) == 5


def test_a_number_that_a_human_changed_stays(session):
    ensure_pools([dag_pool("nightly", 3)], session)
    session.execute(update(Pool).values(slots=1))
    ensure_pools([dag_pool("nightly", 5)], session)
    assert found(session) == {"cis-dag-nightly": (1, True)}


def test_a_pool_that_somebody_else_made_is_left_alone(session):
    session.add(Pool(pool="cis-dag-nightly", slots=9, description="mine", include_deferred=False))
    session.flush()
    ensure_pools([dag_pool("nightly", 3)], session)
    assert found(session) == {"cis-dag-nightly": (9, False)}


def test_one_that_appears_between_the_look_and_the_insert_does_no_harm(session, monkeypatch):
    real = session.execute

    def execute(statement, *args, **kwargs):
        result = real(statement, *args, **kwargs)
        if statement.is_select:
            rows = result.all()
            real(Pool.__table__.insert().values(pool="cis-dag-nightly", slots=7, include_deferred=True))
            return rows
        return result

    monkeypatch.setattr(session, "execute", execute)
    ensure_pools([dag_pool("nightly", 3)], session)
    monkeypatch.undo()
    assert found(session) == {"cis-dag-nightly": (7, True)}


def test_the_longest_dag_id_has_a_pool_that_fits_airflows_column():
    first, second = dag_pool_name("d" * 249 + "1"), dag_pool_name("d" * 249 + "2")
    assert len(first) <= 256
    assert first != second

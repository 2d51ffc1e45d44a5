"""The coordinator's database: what it forgets, and how much at a time."""

from __future__ import annotations

import msgspec
import pytest

from cis_provider import paths
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest, SessionState
from cis_provider.node import store as store_module
from cis_provider.node.store import SessionStore

pytestmark = pytest.mark.integration


@pytest.fixture
def store(cis_home):
    store = SessionStore()
    yield store
    store.close()


def add(store, number, *, created_at, ended_at):
    key = SessionKey("d", f"r{number}", "a")
    common = {"key": key, "try_number": 1, "max_tries": 0, "agent_id": "a", "agent_type": "shell"}
    record = SessionRecord(
        session_id=f"{number:016x}",
        scope="global",
        worker="worker-global",
        created_at=created_at,
        **common,
    )
    store.add(record, number, SessionRequest(command="true", **common))
    if ended_at:
        store.update(msgspec.structs.replace(record, state=SessionState.ENDED, ended_at=ended_at))


def test_what_ended_long_ago_is_forgotten_and_nothing_else(store):
    add(store, 1, created_at=10, ended_at=20)
    add(store, 2, created_at=11, ended_at=200)
    add(store, 3, created_at=12, ended_at=0)
    add(store, 4, created_at=13, ended_at=20)
    add(store, 5, created_at=150, ended_at=160)
    assert store.forget_older(100) == 2
    left = [record.session_id for record in store.find()]
    assert left == [f"{number:016x}" for number in (2, 3, 5)]
    assert sorted(path.name for path in (paths.cis_home() / "sessions").iterdir()) == left


def test_a_node_that_was_off_for_long_is_not_held_up_by_all_that_it_forgets(store, monkeypatch):
    monkeypatch.setattr(store_module, "_FORGET_AT_ONCE", 3)
    for number in range(1, 6):
        add(store, number, created_at=10, ended_at=20)
    assert [store.forget_older(100) for _ in range(3)] == [3, 2, 0]
    assert not list((paths.cis_home() / "sessions").iterdir())

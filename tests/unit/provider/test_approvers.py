"""Names in a file, and the users that an auth manager has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from sqlalchemy import Boolean, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from cis_provider.api.approvers import Approver, approvers, barred, is_fab, pick, renewed


class Base(DeclarativeBase):
    """The tables of FAB that matter."""


class User(Base):
    """As in ``airflow.providers.fab.auth_manager.models``."""

    __tablename__ = "ab_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(512), unique=True, nullable=False)
    active: Mapped[bool | None] = mapped_column(Boolean, default=True)

    def get_id(self) -> str:
        """A number, as text."""
        return str(self.id)


class Fab(BaseAuthManager):
    """FAB's auth manager, by where it comes from."""

    __module__ = "airflow.providers.fab.auth_manager.fab_auth_manager"

    def is_authorized_dag(
        self, *, method: str, user: Any, access_entity: Any = None, details: Any = None
    ) -> bool:
        """By role: bob is a viewer."""
        assert (method, access_entity, details.id) == ("PUT", DagAccessEntity.HITL_DETAIL, "d")
        return user.username != "bob"

    @property
    def security_manager(self) -> None:
        """As the real one outside of Flask."""
        raise RuntimeError("Working outside of application context.")


@pytest.fixture
def fab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """An Airflow with FAB's users: ann is 1, bob 2, Ann-Lee 3, out 4 (switched off)."""
    models = ModuleType("airflow.providers.fab.auth_manager.models")
    monkeypatch.setattr(models, "User", User, raising=False)
    for name in ("airflow.providers.fab", "airflow.providers.fab.auth_manager"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, models.__name__, models)
    manager = type("Own", (Fab,), {})
    # Ready to be made, with the little that it does.
    monkeypatch.setattr(manager, "__abstractmethods__", frozenset())
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager_cls", lambda: manager)
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager", manager)
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([User(username=name) for name in ("ann", "bob", "Ann-Lee")])
        session.add(User(username="out", active=False))
        session.commit()
        yield session
    engine.dispose()


def test_fab_knows_its_users_by_number(fab: Session) -> None:
    assert approvers(fab, "d", ["ann", "ann-lee"]) == [Approver("ann", "1"), Approver("ann-lee", "3")]
    assert approvers(fab, "d", []) == []


def test_a_name_that_is_a_number_is_not_the_user_with_that_number(fab: Session) -> None:
    [found] = approvers(fab, "d", ["2"])
    assert found.stored() == {"id": "unknown:2", "name": "2"}


@pytest.mark.parametrize("name", ["carol", "out"])
def test_who_is_unknown_or_switched_off_is_told_to_the_task(fab: Session, name: str) -> None:
    found = approvers(fab, "d", ["ann", name])
    assert [one.trouble for one in found] == ["", "unknown"]
    assert barred([SimpleNamespace(**one.told()) for one in found]) == {name: "unknown"}


def test_whose_role_fills_no_forms_in_is_told_but_may_once_it_does(fab: Session) -> None:
    [found] = approvers(fab, "d", ["bob"])
    assert found.stored() == {"id": "2", "name": "bob"}
    assert barred([SimpleNamespace(**found.told())]) == {"bob": "powerless"}


def test_airflow_has_the_last_word_on_who_may_what(fab: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_there() -> None:
        raise RuntimeError("Auth Manager has not been initialized yet.")

    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager", not_there)
    assert approvers(fab, "d", ["bob"]) == [Approver("bob", "2")]


def test_trouble_with_the_database_is_not_a_user_who_is_not_there(fab: Session) -> None:
    Base.metadata.drop_all(fab.get_bind())
    with pytest.raises(Exception, match="no such table"):
        approvers(fab, "d", ["ann"])


def test_who_was_added_since_may_answer_a_form_that_is_there(fab: Session) -> None:
    form = [one.stored() for one in approvers(fab, "d", ["ann", "carol"])]
    assert renewed(form, lambda names: approvers(fab, "d", names)) is None
    fab.add(User(username="carol"))
    fab.commit()
    now = renewed(form, lambda names: approvers(fab, "d", names))
    assert now == [{"id": "1", "name": "ann"}, {"id": "5", "name": "carol"}]
    assert now is not None
    assert renewed(now, lambda names: pytest.fail("everybody is known")) is None


def test_names_that_nobody_looked_up_are_looked_up_when_the_form_is_filled_in(fab: Session) -> None:
    form = [{"id": name, "name": name} for name in ("ann", "2")]
    now = renewed(form, lambda names: approvers(fab, "d", names))
    assert now == [{"id": "1", "name": "ann"}, {"id": "unknown:2", "name": "2"}]


def test_the_simple_auth_manager_knows_users_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager_cls", lambda: SimpleAuthManager)
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager", SimpleAuthManager)
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "ann:viewer,bob:op")
    assert approvers(None, "d", ["ann"]) == [Approver("ann", "ann", "powerless")]
    found = approvers(None, "d", ["bob", "carol"])
    assert found == [Approver("bob", "bob"), Approver("carol", "carol", "unknown")]
    # Whoever is added there later has that id, whatever was known when the form was shown.
    assert found[1].stored() == {"id": "carol", "name": "carol"}
    assert found[1].told() == {"id": "unknown:carol", "name": "carol"}
    assert renewed([one.stored() for one in found], lambda names: approvers(None, "d", names)) is None


def test_where_nobody_logs_in_nobody_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager_cls", lambda: SimpleAuthManager)
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager", SimpleAuthManager)
    assert [one.trouble for one in approvers(None, "d", ["Anonymous", "admin"])] == ["", "unknown"]


def test_of_another_auth_manager_a_name_is_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager_cls", lambda: BaseAuthManager)
    assert approvers(None, "d", ["ann"]) == [Approver("ann", "ann")]


def test_an_auth_manager_made_from_fabs_is_fabs() -> None:
    assert is_fab(type("Own", (Fab,), {"__module__": "ours"}))
    assert not is_fab(SimpleAuthManager)


def test_capital_letters_decide_only_between_two() -> None:
    users = [
        SimpleNamespace(id=number, username=name) for number, name in ((1, "Ann"), (2, "ann"), (3, "Bob"))
    ]
    found = pick(["ann", "Ann", "bob", "ANN"], users)
    assert {name: user.id for name, user in found.items()} == {"ann": 2, "Ann": 1, "bob": 3}


def test_a_reply_without_trouble_bars_nobody() -> None:
    assert barred(None) == {}
    assert barred([SimpleNamespace(id="ann", name="ann")]) == {}

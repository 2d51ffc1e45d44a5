"""Approvers in an Airflow whose auth manager is FAB's. Runs where its provider is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from cis_provider.api.approvers import Approver, approvers, is_fab

pytestmark = pytest.mark.integration

models = pytest.importorskip("airflow.providers.fab.auth_manager.models")


@pytest.fixture
def fab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """FAB's tables, with a user who may fill forms in, one who may not, and one who is switched off."""
    from airflow.api_fastapi.app import get_auth_manager_cls
    from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

    monkeypatch.setenv(
        "AIRFLOW__CORE__AUTH_MANAGER", f"{FabAuthManager.__module__}.{FabAuthManager.__qualname__}"
    )
    assert get_auth_manager_cls() is FabAuthManager
    monkeypatch.setattr("airflow.api_fastapi.app.get_auth_manager", FabAuthManager)
    engine = create_engine(f"sqlite:///{tmp_path / 'fab.db'}")
    models.User.metadata.create_all(engine)
    with Session(engine) as session:
        may = [
            models.Permission(action=action, resource=models.Resource(name=name))
            for action in [models.Action(name="can_edit")]
            for name in ("DAGs", "HITL Detail")
        ]
        user, viewer = models.Role(name="User", permissions=may), models.Role(name="Viewer")
        for name, role, active in (("ann", user, True), ("Vera", viewer, True), ("out", user, False)):
            session.add(
                models.User(
                    username=name,
                    first_name=name,
                    last_name=name,
                    email=f"{name}@example.com",
                    roles=[role],
                    active=active,
                )
            )
            session.flush()
        session.commit()
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_fabs_users_are_found_by_name_with_what_their_roles_may(fab: Session) -> None:
    assert approvers(fab, "d", ["ann", "vera", "out", "1"]) == [
        Approver("ann", "1"),
        Approver("vera", "2", "powerless"),
        Approver("out", "unknown:out", "unknown"),
        Approver("1", "unknown:1", "unknown"),
    ]


def test_the_id_is_what_airflow_compares(fab: Session) -> None:
    [found] = approvers(fab, "d", ["ann"])
    user = fab.get(models.User, 1)
    from airflow.api_fastapi.app import get_auth_manager_cls

    manager = get_auth_manager_cls()
    assert is_fab(manager)
    assert manager().is_authorized_hitl_task(assigned_users={found.id}, user=user)
    assert not manager().is_authorized_hitl_task(assigned_users={found.name}, user=user)

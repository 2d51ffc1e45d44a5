"""
Who may fill a form in. People write names; Airflow compares ids, and what those are is the auth manager's matter.

The simple auth manager's ids are its names. FAB's are the numbers of its users, so each name is looked up, in its
table: its own way, ``security_manager.find_user``, takes trouble with the database for a user who is not there.
Of other auth managers, what the file says is taken for the id.

Light: every process of Airflow imports it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

#: There is no such user; there is, with a role that fills no forms in.
UNKNOWN, POWERLESS = "unknown", "powerless"

#: In the reply to a task whose form was mended; of an api-server without our plugin, it is not there.
MENDED = {"mended": "cis"}

#: The name of everybody where the simple auth manager asks nobody who they are.
_ANYBODY = "Anonymous"


class Approver(NamedTuple):
    """
    One of those who may fill a form in.

    :param id: What the auth manager calls them.
    :param trouble: Why they may not after all; empty: they may, as far as can be said.
    """

    name: str
    id: str
    trouble: str = ""

    def stored(self) -> dict[str, str]:
        """As Airflow keeps it."""
        return {"id": self.id, "name": self.name}

    def told(self) -> dict[str, str]:
        """As the task is told, whose log says who may not."""
        return {"id": _no_id(self.trouble, self.name) if self.trouble else self.id, "name": self.name}


def approvers(session: Any, dag_id: str, names: Sequence[str]) -> list[Approver]:
    """
    Look up who may fill in the forms of a DAG. Blocks.

    :raises Exception: Whatever the database raises.
    """
    from airflow.api_fastapi.app import get_auth_manager_cls

    if not names:
        return []
    manager = get_auth_manager_cls()
    if is_fab(manager):
        users, unknown = _fab_users(session, names), UNKNOWN
    else:
        found = _simple_users(manager)
        users = found if found is not None else {}
        unknown = UNKNOWN if found is not None else ""
    return [
        Approver(name, str(users[name].get_id()), "" if _may_answer(users[name], dag_id) else POWERLESS)
        if name in users
        # A name such as `3` must not become FAB's third user.
        else Approver(name, _no_id(UNKNOWN, name) if is_fab(manager) else name, unknown)
        for name in names
    ]


def is_fab(manager: type) -> bool:
    """Whether an auth manager is FAB's, or made from it."""
    return any(one.__module__.startswith("airflow.providers.fab.") for one in manager.__mro__)


def barred(assigned: Iterable[Any] | None) -> dict[str, str]:
    """
    Those who may not fill a form in: name to trouble.

    :param assigned: The reply to a form that was shown: ``id`` and ``name`` of each.
    """
    return {
        one.name: trouble
        for one in assigned or ()
        for trouble in (UNKNOWN, POWERLESS)
        if one.id == _no_id(trouble, one.name)
    }


def pick(names: Iterable[str], users: Collection[Any]) -> dict[str, Any]:
    """
    Users by name: the one who is written so, or the only one who is but for capital letters, which FAB does not
    care about at its login either.

    :param users: Each with a ``username``.
    """
    found: dict[str, Any] = {}
    for name in names:
        exact = [user for user in users if user.username == name]
        alike = exact or [user for user in users if user.username.lower() == name.lower()]
        if len(alike) == 1:
            found[name] = alike[0]
    return found


def renewed(
    stored: Sequence[Mapping[str, str]], look_up: Callable[[Sequence[str]], Sequence[Approver]]
) -> list[dict[str, str]] | None:
    """
    Those of a form, once more: somebody may have been unknown when it was shown, or nobody was looked up then.

    :return: ``None``: nothing is new.
    """
    unsure = [user["name"] for user in stored if user["id"] in (user["name"], _no_id(UNKNOWN, user["name"]))]
    found = {one.name: one.stored() for one in look_up(unsure)} if unsure else {}
    now = [found.get(user["name"], dict(user)) for user in stored]
    return now if now != list(stored) else None


def _no_id(trouble: str, name: str) -> str:
    # FAB's ids are numbers, and the simple auth manager's cannot have a colon.
    return f"{trouble}:{name}"


def _may_answer(user: Any, dag_id: str) -> bool:
    """What Airflow asks before anything else when a form is filled in."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails

    try:
        return get_auth_manager().is_authorized_dag(
            method="PUT", access_entity=DagAccessEntity.HITL_DETAIL, details=DagDetails(id=dag_id), user=user
        )
    except Exception as error:
        # Airflow has the last word anyhow; this is only to say it in time.
        log.info("it cannot be said whether %s may fill forms in: %s", user, error)
        return True


def _fab_users(session: Any, names: Sequence[str]) -> dict[str, Any]:
    # Not part of Airflow itself.
    from airflow.providers.fab.auth_manager.models import User  # type: ignore[import-not-found, unused-ignore]
    from sqlalchemy import func, or_, select

    lower = [name.lower() for name in names]
    users = session.scalars(
        select(User).where(
            or_(User.username.in_(names), func.lower(User.username).in_(lower)),
            # Whoever is switched off cannot log in.
            User.active.is_(True),
        )
    )
    return pick(names, users.unique().all())


def _simple_users(manager: Any) -> dict[str, Any] | None:
    """``None``: it cannot be said."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.configuration import conf

    if not issubclass(manager, SimpleAuthManager):
        return None
    if conf.getboolean("core", "simple_auth_manager_all_admins"):
        return {_ANYBODY: SimpleAuthManagerUser(username=_ANYBODY, role="admin")}
    return {user.username: user for user in SimpleAuthManager.get_users()}

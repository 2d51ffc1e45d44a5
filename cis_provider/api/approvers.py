"""
Who may fill a form in. People write names; Airflow compares ids, and what those are is the auth manager's matter.

The simple auth manager's ids are its names. FAB's are the numbers of its users, so each name is looked up, in its
table: its own way, ``security_manager.find_user``, takes trouble with the database for a user who is not there.
Of other auth managers, what the file says is taken for the id.

Light: every process of Airflow imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

#: Before the name of somebody whom nobody knows, in place of an id. No user's id begins so: a name such as ``3``
#: must not become the third user.
UNKNOWN = "unknown:"

#: The name of everybody where the simple auth manager asks nobody who they are.
_ANYBODY = "Anonymous"


class Approver(NamedTuple):
    """
    One of those who may fill a form in.

    :param id: What the auth manager calls them.
    :param is_known: Whether there is such a user, as far as can be said.
    """

    name: str
    id: str
    is_known: bool = True

    def stored(self) -> dict[str, str]:
        """As Airflow keeps it."""
        return {"id": self.id, "name": self.name}

    def told(self) -> dict[str, str]:
        """As the task is told, whose log says who is missing."""
        return {"id": self.id if self.is_known else UNKNOWN + self.name, "name": self.name}


def approvers(session: Any, names: Sequence[str]) -> list[Approver]:
    """
    Look names up. Blocks.

    :raises Exception: Whatever the database raises.
    """
    from airflow.api_fastapi.app import get_auth_manager_cls

    if not names:
        return []
    manager = get_auth_manager_cls()
    if is_fab(manager):
        numbers = _fab_numbers(session, names)
        return [
            Approver(name, str(numbers[name])) if name in numbers else Approver(name, UNKNOWN + name, False)
            for name in names
        ]
    known = _simple_names(manager)
    return [Approver(name, name, known is None or name in known) for name in names]


def is_fab(manager: type) -> bool:
    """Whether an auth manager is FAB's, or made from it."""
    return any(one.__module__.startswith("airflow.providers.fab.") for one in manager.__mro__)


def strangers(assigned: Iterable[Any] | None) -> list[str]:
    """
    Names of those whom nobody knows.

    :param assigned: The reply to a form that was shown: ``id`` and ``name`` of each.
    """
    return [one.name for one in assigned or () if str(one.id).startswith(UNKNOWN)]


def pick(names: Iterable[str], users: Collection[tuple[int, str]]) -> dict[str, int]:
    """
    Numbers of users by name: the one who is written so, or the only one who is but for capital letters, which FAB
    does not care about at its login either.

    :param users: Number and name of each.
    """
    found: dict[str, int] = {}
    for name in names:
        exact = [number for number, user in users if user == name]
        alike = exact or [number for number, user in users if user.lower() == name.lower()]
        if len(alike) == 1:
            found[name] = alike[0]
    return found


def renewed(
    stored: Sequence[Mapping[str, str]], look_up: Callable[[Sequence[str]], Sequence[Approver]]
) -> list[dict[str, str]] | None:
    """Those of a form, with somebody who was unknown when it was shown; ``None``: nothing is new."""
    missing = [user["name"] for user in stored if user["id"].startswith(UNKNOWN)]
    found = {one.name: one for one in look_up(missing) if one.is_known} if missing else {}
    if not found:
        return None
    return [found[user["name"]].stored() if user["name"] in found else dict(user) for user in stored]


def _fab_numbers(session: Any, names: Sequence[str]) -> dict[str, int]:
    # Not part of Airflow itself.
    from airflow.providers.fab.auth_manager.models import User  # type: ignore[import-not-found, unused-ignore]
    from sqlalchemy import func, or_, select

    lower = [name.lower() for name in names]
    rows = session.execute(
        select(User.id, User.username).where(
            or_(User.username.in_(names), func.lower(User.username).in_(lower)),
            # Whoever is switched off cannot log in.
            User.active.is_(True),
        )
    )
    return pick(names, [(row[0], row[1]) for row in rows])


def _simple_names(manager: Any) -> set[str] | None:
    """``None``: it cannot be said."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.configuration import conf

    if not issubclass(manager, SimpleAuthManager):
        return None
    if conf.getboolean("core", "simple_auth_manager_all_admins"):
        return {_ANYBODY}
    return {user.username for user in SimpleAuthManager.get_users()}

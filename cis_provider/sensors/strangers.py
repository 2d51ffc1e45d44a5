"""What is said of approvers whom Airflow does not know. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_NOBODY = ", and nobody else may answer this form"

_WAY_OUT = (
    "Add the user to Airflow under this name, or have them log in for the first time, where that adds them: "
    "then they may answer this form at once. If the name is wrong, correct it in the file, for what is asked later."
)


def in_log(unknown: Mapping[str, str], agent: str, *, nobody: bool) -> str:
    """
    For the log of the task that asks.

    :param unknown: Names, each with the key of the file that it stands under.
    :param nobody: Whether there is nobody else who may answer.
    """
    users = " or ".join(f"{name!r} ({key} of {agent})" for name, key in unknown.items())
    return f"Airflow has no active user {users}{_NOBODY if nobody else ''}. {_WAY_OUT}"


def in_form(unknown: Sequence[str], agent: str, *, nobody: bool) -> str:
    """The same as Markdown, for those who see the form; whose form it is knows no keys."""
    users = " or ".join(f"`{name}`" for name in unknown)
    keys = f"`approvers` or `escalate_to` of `{agent}`"
    return f"> **Airflow has no active user {users} ({keys}){_NOBODY if nobody else ''}.** {_WAY_OUT}"

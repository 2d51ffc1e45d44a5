"""What is said of approvers who may not fill a form in after all. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from cis_provider.api.approvers import POWERLESS, UNKNOWN

#: Finding and way out, by trouble.
_SAID = {
    UNKNOWN: "Airflow has no active user {users}: add them under this name, or have them log in for the first time, "
    "where that adds them; then they may answer this form.",
    POWERLESS: "The role of {users} in Airflow may not fill forms in: give them one that may edit the DAG and its "
    "HITL details, such as User; then they may answer this form.",
}

#: For the log of the task that asks.
NOT_MENDED = (
    "The api-server that this task talks to has no plugin `cis` (one with `--apps execution` alone loads no plugins): "
    "a question after the first shows the text of the first, and who of the approvers may not answer is not known. "
    "Let [core] execution_api_server_url be one with `--apps all`, or `core,execution`, where cis-provider is "
    "installed."
)


def in_log(trouble: Mapping[str, str], keys: Mapping[str, str], agent: str, *, nobody: bool) -> str:
    """
    For the log of the task that asks.

    :param trouble: Of each of them, by name.
    :param keys: The key of the file that each name stands under.
    :param nobody: Whether there is nobody else who may answer.
    """
    return _all({name: f"{name!r} ({keys[name]} of {agent})" for name in trouble}, trouble, nobody)


def in_form(trouble: Mapping[str, str], agent: str, *, nobody: bool) -> str:
    """The same as Markdown, for those who see the form; whose form it is knows no keys."""
    keys = f"`approvers` or `escalate_to` of `{agent}`"
    return "> " + _all({name: f"`{name}` ({keys})" for name in trouble}, trouble, nobody)


def _all(names: Mapping[str, str], trouble: Mapping[str, str], nobody: bool) -> str:
    parts = ["Nobody may answer this form."] if nobody else []
    for kind, said in _SAID.items():
        if users := [names[name] for name in trouble if trouble[name] == kind]:
            parts.append(said.format(users=" or ".join(users)))
    return " ".join([*parts, "A name that is wrong is corrected in the file, for what is asked later."])

"""Which types of agent there are, and the runtime of each."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from cis_provider.errors import PermanentAgentError
from cis_provider.runtimes.base import Runtime

#: Other packages add theirs by an entry point of this group: ``NAME = "package.module:RuntimeClass"``.
GROUP = "cis_provider.runtimes"

_BUILT_IN = {"shell": "cis_provider.runtimes.shell:ShellRuntime"}

#: Names that a CIS file may use, whether or not this version can run them.
KNOWN_TYPES = ("claude", "kimi", "opencode", "codex", "aider", "acp", "terminal", "shell")


def known_types() -> list[str]:
    """Every type that a CIS file may name. Loads no runtime."""
    return [*KNOWN_TYPES, *sorted(_installed().keys() - set(KNOWN_TYPES))]


def check_type(agent_type: str) -> None:
    """
    :raises PermanentAgentError: There is no runtime for this type here; says which there are.
    """
    if agent_type in _BUILT_IN:
        return
    installed = _installed()
    if agent_type not in installed:
        runnable = ", ".join(sorted({*_BUILT_IN, *installed}))
        known = "is known, but" if agent_type in KNOWN_TYPES else "is unknown:"
        raise PermanentAgentError(
            f"agent type {agent_type!r} {known} no runtime for it is installed on this node; "
            f"it can run: {runnable}. A package adds one by an entry point of the group {GROUP!r}"
        )


def load(agent_type: str) -> Runtime:
    """
    The runtime of a type.

    :raises PermanentAgentError: There is none, or it cannot be imported.
    """
    check_type(agent_type)
    try:
        if target := _BUILT_IN.get(agent_type):
            module, _, name = target.partition(":")
            runtime = getattr(import_module(module), name)()
        else:
            runtime = _installed()[agent_type].load()()
    except Exception as error:
        raise PermanentAgentError(
            f"the runtime of agent type {agent_type!r} cannot be loaded: {error}"
        ) from error
    if not isinstance(runtime, Runtime):
        raise PermanentAgentError(f"the entry point of agent type {agent_type!r} is no Runtime")
    return runtime


def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}

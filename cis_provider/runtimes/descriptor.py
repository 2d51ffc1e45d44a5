"""What is known of a type of agent without loading its runtime."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from cis_provider.model.capability import Capability
from cis_provider.runtimes.base import Runtime

#: A path in a config, a message, and a way out.
ConfigMistake = tuple[tuple[str | int, ...], str, str]

_PLACEHOLDER = re.compile(r"\$\{[^}]+\}")


@dataclass(frozen=True, kw_only=True)
class RuntimeDescriptor:
    """
    A type of agent.

    :param type: As ``type:`` of a CIS file names it.
    :param capabilities: What it can be asked to do.
    :param config_schema: JSON schema (2020-12) of ``config``, an object. A property with
        ``"format": "password"`` is secret: its value must be ``${NAME}``, which is read on the node. One with
        ``"x-public": "reason"`` must hold no ``${NAME}``, also not further down.
    :param factory: ``"module:Class"``, or what gives a :class:`~cis_provider.runtimes.base.Runtime`.
    :param requires: Python modules that the runtime imports and that may be missing.
    :param program: The program it starts; empty: none of its own.
    :param tested: Oldest version that was tested, and the first that was not; empty: any is good.
    :param how_to_install: One line for people.
    """

    type: str
    display_name: str
    factory: str | Callable[[], Runtime]
    capabilities: frozenset[Capability] = frozenset()
    config_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    requires: tuple[str, ...] = ()
    program: str = ""
    tested: tuple[str, str] = ("", "")
    how_to_install: str = ""

    @property
    def missing(self) -> list[str]:
        """Python modules that must be installed before it can be loaded. Imports parent packages only."""
        modules = list(self.requires)
        if isinstance(self.factory, str):
            modules.append(self.factory.partition(":")[0])
        return [module for module in modules if not _is_there(module)]

    def make(self) -> Runtime:
        """
        The runtime.

        :raises Exception: Whatever its module raises when it is imported.
        :raises TypeError: What comes out is no :class:`Runtime`.
        """
        if isinstance(self.factory, str):
            module, _, name = self.factory.partition(":")
            runtime = getattr(import_module(module), name)()
        else:
            runtime = self.factory()
        if not isinstance(runtime, Runtime):
            raise TypeError(f"its factory gives {type(runtime).__name__}, which is no Runtime")
        return runtime

    def config_mistakes(self, config: Mapping[str, Any]) -> list[ConfigMistake]:
        """What is wrong with a ``config``. Values with ``${NAME}`` are judged by being text only."""
        import jsonschema

        validator = jsonschema.Draft202012Validator(dict(self.config_schema))
        found = [
            mistake
            for error in validator.iter_errors(dict(config))
            if not (isinstance(error.instance, str) and _PLACEHOLDER.search(error.instance))
            for mistake in _reworded(error)
        ]
        for name, schema in self.config_schema.get("properties", {}).items():
            value = config.get(name)
            if (
                schema.get("format") == "password"
                and isinstance(value, str)
                and not _PLACEHOLDER.search(value)
            ):
                found.append(((name,), f'"{name}" is a secret', "write ${NAME}, and set NAME on the node"))
            if "x-public" in schema and _PLACEHOLDER.search(str(value)):
                found.append(((name,), f'"{name}" must hold no secret', schema["x-public"]))
        return found


def _reworded(error: Any) -> list[ConfigMistake]:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        known = list(error.schema.get("properties", {}))
        hint = f"there are {', '.join(known)}" if known else "it takes none"
        return [((*path, key), f'unknown key "{key}"', hint) for key in error.instance if key not in known]
    where = f'"{path[-1]}": ' if path else ""
    return [(path, f"{where}{error.message}", "")]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False

"""Which types of agent there are, what they can do, and the runtime of each."""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.capability import Capability
from cis_provider.runtimes.base import Runtime
from cis_provider.runtimes.catalogue import BUILT_IN
from cis_provider.runtimes.descriptor import ConfigMistake, RuntimeDescriptor

#: Other packages add theirs by an entry point of this group: ``NAME = "package.module:RuntimeClass"``, or
#: that of a :class:`~cis_provider.runtimes.descriptor.RuntimeDescriptor`.
GROUP = "cis_provider.runtimes"

#: Names that come with this package.
KNOWN_TYPES = tuple(descriptor.type for descriptor in BUILT_IN)


class AgentRegistry:
    """
    Descriptors by type. Safe to use from several threads.

    :param built_in: What is there from the start.
    :param discover: Gives what other packages have installed; asked each time that a name is not known.
    """

    def __init__(
        self,
        built_in: Iterable[RuntimeDescriptor] = BUILT_IN,
        discover: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP),
    ) -> None:
        self._own = {descriptor.type: descriptor for descriptor in built_in}
        self._built_in = frozenset(self._own)
        self._discover = discover
        self._lock = threading.Lock()

    def register(self, descriptor: RuntimeDescriptor, *, replace: bool = False) -> None:
        """
        Add a type.

        :param replace: Take the place of one that was registered before.
        :raises ConfigError: There is one of that name, or the name cannot stand in a CIS file.
        """
        name = descriptor.type
        if not name or name != name.strip() or any(char.isspace() for char in name):
            raise ConfigError(f"agent type {name!r}: a type is a word without spaces")
        with self._lock:
            if name in self._own and not replace:
                raise ConfigError(f"agent type {name!r} is registered already; replace=True takes its place")
            self._own[name] = descriptor

    def unregister(self, name: str) -> None:
        """
        Take a type away that was registered at run time.

        :raises ConfigError: There is none of that name, or it comes with this package.
        """
        with self._lock:
            if name in self._built_in:
                raise ConfigError(f"agent type {name!r} comes with cis-provider and stays")
            if self._own.pop(name, None) is None:
                raise ConfigError(f"agent type {name!r} was never registered")

    def types(self) -> list[str]:
        """All names: those of this package first. Loads nothing."""
        own = list(self._own)
        return [*own, *sorted({point.name for point in self._discover()} - set(own))]

    def get(self, name: str) -> RuntimeDescriptor:
        """
        The descriptor of a type. An entry point of another package is loaded for it.

        :raises PermanentAgentError: There is none, or its entry point is of no use.
        """
        if (descriptor := self._own.get(name)) is not None:
            return descriptor
        points = {point.name: point for point in self._discover()}
        if name not in points:
            known = [*self._own, *sorted(points.keys() - self._own.keys())]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PermanentAgentError(
                f"agent type {name!r} is unknown: no runtime for it is installed on this node; there are "
                f"{', '.join(known)}{hint}. A package adds one by an entry point of the group {GROUP!r}"
            )
        return _of_entry_point(points[name])

    def find_by_capability(self, *wanted: Capability | str) -> list[RuntimeDescriptor]:
        """
        Descriptors of all types that can do all of this.

        :raises ConfigError: There is no such capability.
        """
        try:
            needed = {Capability(one) for one in wanted}
        except ValueError as error:
            raise ConfigError(f"{error}; there are {', '.join(Capability)}") from None
        found = []
        for name in self.types():
            # A package whose entry point is broken has no say in what the others can do.
            with contextlib.suppress(PermanentAgentError):
                if needed <= (descriptor := self.get(name)).capabilities:
                    found.append(descriptor)
        return found

    def check(self, name: str) -> RuntimeDescriptor:
        """
        The descriptor of a type that can be loaded here.

        :raises PermanentAgentError: There is no such type, or parts of it are not installed; says how to.
        """
        descriptor = self.get(name)
        if missing := descriptor.missing:
            how = f": {descriptor.how_to_install}" if descriptor.how_to_install else ""
            raise PermanentAgentError(
                f"agent type {name!r} is known, but no runtime for it is installed on this node "
                f"(missing: {', '.join(missing)}){how}"
            )
        return descriptor

    def load(self, name: str) -> Runtime:
        """
        The runtime of a type.

        :raises PermanentAgentError: There is none, or it cannot be imported.
        """
        descriptor = self.check(name)
        try:
            return descriptor.make()
        except Exception as error:
            raise PermanentAgentError(
                f"the runtime of agent type {name!r} cannot be loaded: {error}"
            ) from error


def _of_entry_point(point: EntryPoint) -> RuntimeDescriptor:
    try:
        given = point.load()
    except Exception as error:
        raise PermanentAgentError(
            f"the runtime of agent type {point.name!r} cannot be loaded: {point.value}: {error}"
        ) from error
    if isinstance(given, RuntimeDescriptor):
        return given
    if isinstance(given, type) and issubclass(given, Runtime):
        return RuntimeDescriptor(type=point.name, display_name=point.name, factory=given)
    raise PermanentAgentError(
        f"the entry point of agent type {point.name!r} ({point.value}) is neither a Runtime nor a "
        "RuntimeDescriptor"
    )


#: The one of this process.
REGISTRY = AgentRegistry()


def known_types() -> list[str]:
    """Every type that a CIS file may name. Loads no runtime."""
    return REGISTRY.types()


def check_type(agent_type: str) -> None:
    """
    :raises PermanentAgentError: There is no runtime for this type here; says which there are.
    """
    REGISTRY.check(agent_type)


def load(agent_type: str) -> Runtime:
    """
    The runtime of a type.

    :raises PermanentAgentError: There is none, or it cannot be imported.
    """
    return REGISTRY.load(agent_type)


def config_mistakes(agent_type: str, config: Mapping[str, Any]) -> list[ConfigMistake]:
    """What is wrong with an agent's ``config``; nothing where the type is unknown or cannot be asked."""
    if not config:
        return []
    try:
        return REGISTRY.get(agent_type).config_mistakes(config)
    except PermanentAgentError:
        return []


def check_config(agent_type: str, config: Mapping[str, Any]) -> None:
    """
    :raises PermanentAgentError: Its runtime does not take this ``config``.
    """
    if found := config_mistakes(agent_type, config):
        words = "; ".join(f"{message} ({hint})" if hint else message for _, message, hint in found)
        raise PermanentAgentError(f"config of agent type {agent_type!r}: {words}")

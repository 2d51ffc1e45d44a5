"""What an agent's upstream agents handed on, read from the context store when first asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cis_provider.errors import PermanentAgentError

if TYPE_CHECKING:
    from cis_provider.context.store import StoredOutput


class UpstreamOutputs(Mapping[str, str]):
    """
    ``{{ outputs['analyze-deps'] }}``: whole outputs by agent id.

    :param agent_ids: Those that may be asked for.
    """

    def __init__(self, dag_id: str, run_id: str, agent_ids: Collection[str]) -> None:
        self._dag_id, self._run_id = dag_id, run_id
        self._agent_ids = list(agent_ids)
        self._stored: dict[str, StoredOutput] | None = None

    @classmethod
    def of(cls, context: Mapping[str, Any], agent_ids: Collection[str]) -> UpstreamOutputs:
        """Those of a task's run; read once, however often they are asked for."""
        ti = context["ti"]
        return cls(ti.dag_id, ti.run_id, agent_ids)

    @property
    def stored(self) -> dict[str, StoredOutput]:
        """
        With everything the store knows of them; agents that left nothing are missing.

        :raises StoreError: The store cannot be read.
        """
        if self._stored is None:
            if self._agent_ids:
                from cis_provider.context.store import ContextStore

                self._stored = ContextStore.default().outputs(self._dag_id, self._run_id, self._agent_ids)
            else:
                self._stored = {}
        return self._stored

    def __getitem__(self, agent_id: str) -> str:
        if agent_id not in self.stored:
            known = ", ".join(self.stored) or "none"
            raise PermanentAgentError(
                f"outputs[{agent_id!r}]: no such output of an upstream agent; there are: {known}"
            )
        return self.stored[agent_id].output

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

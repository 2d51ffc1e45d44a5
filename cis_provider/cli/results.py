"""What agents handed on, and what they printed: from this node's files, else from Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cis_provider import paths
from cis_provider.cli.rows import Row, RunView, newest_sessions
from cis_provider.model.text import plain_text

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer

#: The task's result, all of its fields.
RESULT_KEY = "return_value"
#: Bytes at the end of a log that hold its last lines, surely.
_TAIL_BYTES = 64 * 1024


def results(gather: Gatherer, view: RunView) -> dict[tuple[str, int], dict[str, Any]]:
    """
    The result of each agent of a run that has one, by agent and map index.

    Fields as in :class:`~cis_provider.model.result.AgentResult`. What the node still has is nearest; an
    agent of another node, or of last month, left its result in Airflow.
    """
    sessions = newest_sessions(gather.sessions(view.dag_id, view.run_id))
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in view.agents:
        record = sessions.get((row.agent, row.map_index))
        if record is not None and record.session_id == row.session_id and record.result is not None:
            found[row.agent, row.map_index] = record.result.to_dict()
        elif row.status in ("done", "failed", "retrying"):
            value = gather.api.xcom(view.dag_id, view.run_id, row.agent, RESULT_KEY, row.map_index)
            if value is not None:
                found[row.agent, row.map_index] = _as_result(value)
    return found


def whole_output(result: dict[str, Any]) -> str:
    """The output of a result, read from where the whole of it is when the result holds its head only."""
    ref = str(result.get("output_ref") or "")
    if ref:
        try:
            return Path(ref).read_text(encoding="utf-8", errors="replace")
        except (OSError, ValueError):
            pass
    return str(result.get("output") or "")


def log_file(session_id: str) -> Path:
    """The bytes that an agent printed, on the node where it worked."""
    return paths.session_dir(session_id) / "output.log"


def last_lines(gather: Gatherer, row: Row, count: int) -> list[str]:
    """The last lines that an agent printed; of Airflow's log where its node is not here."""
    if row.session_id:
        try:
            with log_file(row.session_id).open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _TAIL_BYTES))
                return plain_text(file.read()).splitlines()[-count:]
        except OSError:
            pass
    return airflow_log(gather, row)[-count:]


def airflow_log(gather: Gatherer, row: Row) -> list[str]:
    """What Airflow has of the agent's log; nothing where it has none."""
    return [line.text for line in gather.airflow_log(row)]


def _as_result(value: Any) -> dict[str, Any]:
    """A task that is no agent may hand on anything."""
    if isinstance(value, dict) and "output" in value:
        return value
    return {"output": value if isinstance(value, str) else repr(value)}

"""What came of a session, as it is told and kept."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from cis_provider.model.result import AgentResult
from cis_provider.worker.cleaning import clean
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.environment import output_file
from cis_provider.worker.output import handed_on
from cis_provider.workspaces.manager import Conclusion


async def result_of(outcome: Outcome, work: WorkContext, printed: Path, duration: float) -> AgentResult:
    """
    The result, with what the agent hands on.

    :param printed: ``output.log``.
    :param duration: Seconds at work.
    :raises OSError: What it hands on cannot be written.
    """
    # A hundred megabytes take a second, in which the other sessions must be served.
    output, whole = await asyncio.to_thread(
        handed_on,
        output_file(work.folder),
        printed if outcome.text is None else outcome.text,
        work.folder / "output.txt",
        work.mask,
    )
    return AgentResult(
        session_id=work.session_id,
        is_error=outcome.subtype != "success",
        subtype=outcome.subtype,
        output=output,
        output_ref=whole,
        exit_code=outcome.exit_code,
        duration=round(duration, 3),
        workspace=str(work.workspace),
        error=clean(outcome.error, work.mask),
        num_turns=outcome.num_turns,
        usage=outcome.usage,
        cost_usd=outcome.cost_usd,
        denied=outcome.denied,
        checked=outcome.checked,
        structured=outcome.structured,
        conversation_id=outcome.conversation_id,
        agent_type=outcome.agent_type or work.request.agent_type,
        answers=outcome.answers,
    )


def concluded(result: AgentResult, end: Conclusion) -> AgentResult:
    """The result, with what became of the workspace."""
    result = msgspec.structs.replace(
        result, commit=end.commit, branch=end.branch, diff_stat=end.diff_stat, workspace_note=end.note
    )
    return not_concluded(result, end.error) if end.error else result


def not_concluded(result: AgentResult, trouble: str) -> AgentResult:
    """An agent whose work cannot be found afterwards has not succeeded."""
    why = f"its workspace could not be concluded: {trouble}"
    if not result.is_error:
        return msgspec.structs.replace(result, is_error=True, subtype="workspace", error=why)
    return msgspec.structs.replace(result, error=f"{result.error}\n{why}".strip())


def output_lost(result: AgentResult, trouble: OSError) -> AgentResult:
    """An agent whose words are lost must not look like one that succeeded."""
    why = f"its output could not be written to disk: {trouble}"
    if not result.is_error:
        return msgspec.structs.replace(result, is_error=True, subtype="not_started", error=why)
    return msgspec.structs.replace(result, error=f"{result.error}\n{why}".strip())

"""A program at work from start to end on a terminal: started, bounded in time, ended with all it started."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import Any

from cis_provider.errors import CisError
from cis_provider.model.duration import format_duration
from cis_provider.runtimes.base import ProgramRuntime
from cis_provider.worker import processes
from cis_provider.worker.check import run_check
from cis_provider.worker.context import Outcome, StopOrder, WorkContext
from cis_provider.worker.terminal import Terminal

#: Seconds of silence after which processes that outlive the agent's own are ended, and seconds that they may
#: go on talking.
_DRAIN, _LAST_WORDS = 0.5, 30.0


async def run_program(work: WorkContext, runtime: ProgramRuntime) -> Outcome:
    """Run it to its end, a stop or the time limit. Nothing of it is left running."""
    try:
        launch = runtime.launch(work.request, work.folder)
        terminal = Terminal.spawn(
            launch.argv, folder=work.workspace, env=work.env | launch.env, on_output=work.write
        )
    except CisError as error:
        return Outcome(subtype="unsupported", error=str(error))
    except OSError as error:
        return Outcome(subtype="not_started", error=f"the agent's program could not be started: {error}")
    work.on_process(terminal.pid)
    order = await _until_done(work, terminal)
    exit_code = terminal.close()
    work.output.write(work.mask.finish())
    if work.broken:
        order = StopOrder("not_started", f"its output could not be written to disk: {work.broken}")
    if order:
        return Outcome(subtype=order.subtype, error=order.reason, exit_code=exit_code)
    verdict = runtime.verdict(exit_code, work.output.tail)
    if verdict.subtype != "success" or not work.request.options.check:
        return Outcome(subtype=verdict.subtype, error=verdict.error, exit_code=exit_code)
    report = await run_check(work)
    return Outcome(
        subtype="success" if report.passed else "check_failed",
        error="" if report.passed else report.error,
        exit_code=exit_code,
        checked=report.to_dict(),
    )


async def _until_done(work: WorkContext, terminal: Terminal) -> StopOrder | None:
    exited: asyncio.Future[None] = asyncio.ensure_future(terminal.exited())
    limit = work.request.timeout or None
    either: set[asyncio.Future[Any]] = {exited, work.stop}
    done, _ = await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if exited in done:
        await _let_go(work, terminal)
        return None
    if not done:
        work.order(
            StopOrder("timeout", f"still at work after its time limit of {format_duration(limit or 0)}")
        )
    await _end_processes(work, terminal, exited)
    return work.stop.result()


async def _let_go(work: WorkContext, terminal: Terminal) -> None:
    """What the program left behind may finish its words (a ``tee``), but not stay."""
    deadline, said = time.monotonic() + _LAST_WORDS, -1
    while work.output.size > said and time.monotonic() < deadline:
        said = work.output.size
        if await terminal.drained(_DRAIN):
            break
    processes.signal_group(terminal.pid, signal.SIGHUP)
    if not await terminal.drained(_DRAIN):
        processes.signal_group(terminal.pid, signal.SIGKILL)
        await terminal.drained(_DRAIN)


async def _end_processes(work: WorkContext, terminal: Terminal, exited: asyncio.Future[None]) -> None:
    processes.signal_group(terminal.pid, signal.SIGHUP)
    await asyncio.wait({exited}, timeout=work.request.stop_grace)
    # Twice: a process may have forked between the look and the kill.
    for _ in range(2):
        processes.signal_all(processes.belonging_to(work.session_id, terminal.pid), signal.SIGKILL)
        processes.signal_group(terminal.pid, signal.SIGKILL)
    await exited
    await terminal.drained(_DRAIN)

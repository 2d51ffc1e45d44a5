"""A session that waited when its worker was killed waits on in the next worker."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cis_provider.model.blockage import Answer
from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.events import Event, Usage
from cis_provider.testing.conversation import ScriptedRuntime
from cis_provider.worker.drive import Drive
from tests.kit.desk import DONE, Desk, limit, question, sit


async def lost(desk: Desk, *turns: list[Event]) -> tuple[Path, ScriptedRuntime]:
    """A session whose worker is killed while it waits; its folder."""
    sitting = sit(desk, *turns)
    await sitting.asked()
    folder = desk.work.folder
    kept = (folder / "blockages.jsonl").read_bytes()
    sitting.running.cancel()
    await asyncio.wait({sitting.running})
    (folder / "blockages.jsonl").write_bytes(kept)
    return folder, sitting.runtime


async def go_on(desk: Desk, folder: Path, runtime: ScriptedRuntime) -> Drive:
    desk.sit(runtime, AgentOptions(), 0.0, "Build it.")
    (desk.work.folder / "blockages.jsonl").write_bytes((folder / "blockages.jsonl").read_bytes())
    desk.drive = Drive(desk.work, runtime)
    return desk.drive


async def test_the_next_worker_goes_on_in_the_conversation_and_asks_under_the_next_number(desk: Desk) -> None:
    folder, _ = await lost(desk, [Usage(input_tokens=5), question()])
    runtime = ScriptedRuntime([[Usage(input_tokens=2), question()], [DONE]])
    drive = await go_on(desk, folder, runtime)
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None)
    assert drive.blockage is not None and drive.blockage.number == 2
    assert runtime.settings[0].resume == "conversation-1"
    assert "has been started again" in runtime.prompts[0]
    await drive.answer(Answer(number=2, option="yes", by="cli:root"))
    outcome = await running
    assert [(one.number, one.by) for one in outcome.answers] == [(1, ""), (2, "cli:root")]
    assert outcome.usage == {"input_tokens": 7}, "what was used before counts, too"


async def test_the_next_worker_rests_on_until_a_limit_ends(desk: Desk) -> None:
    folder, _ = await lost(desk, [limit(0.8)])
    runtime = ScriptedRuntime([[DONE]])
    drive = await go_on(desk, folder, runtime)
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.resting)
    assert runtime.settings == []
    assert (await running).subtype == "success"
    assert runtime.settings[0].resume == "conversation-1"


async def test_a_journal_that_was_cut_in_the_middle_of_a_line_is_read_as_far_as_it_goes(desk: Desk) -> None:
    folder, _ = await lost(desk, [question()])
    with (folder / "blockages.jsonl").open("ab") as file:
        file.write(b'\n{"step":"settled","number":1,"settl')
    drive = await go_on(desk, folder, ScriptedRuntime([[question()], [DONE]]))
    running = asyncio.ensure_future(drive.run())
    await desk.until(lambda: drive.blockage is not None)
    assert drive.blockage is not None and drive.blockage.number == 2
    running.cancel()
    await asyncio.wait({running})

"""What ends by itself or is mended by somebody: a login, a usage limit, a budget."""

from __future__ import annotations

import asyncio

from cis_provider.errors import PermanentAgentError
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import Budget
from cis_provider.runtimes.events import Output, TurnEnded, Usage
from cis_provider.testing.conversation import ScriptedRuntime
from tests.kit.desk import DONE, LOGIN, USED, Desk, limit, outline, sit

NEW_SECRET = "correct-horse-battery"


async def test_a_mended_login_goes_on_in_the_same_conversation_with_the_new_secret(desk: Desk) -> None:
    sitting = sit(desk, [LOGIN], [Output(text=f"key {NEW_SECRET}"), DONE])
    desk.work.request = desk.work.request.__class__(
        **{name: getattr(desk.work.request, name) for name in desk.work.request.__struct_fields__}
        | {"secrets": {"KEY": "old-old-old"}, "env": {"API_KEY": "${KEY}"}}
    )
    desk.work.renewed = lambda request: {"API_KEY": request.secrets["KEY"]}
    blockage = await sitting.asked()
    assert [option.id for option in blockage.options] == ["retry", "stop"]
    assert sitting.runtime.at_work == 0
    await sitting.answer(1, "retry", secrets={"KEY": NEW_SECRET})
    outcome = await sitting.ended()
    assert outcome.subtype == "success"
    again = sitting.runtime.settings[1]
    assert (again.resume, again.env) == ("conversation-1", {"API_KEY": NEW_SECRET})
    written = b"".join(file.read_bytes() for file in desk.work.folder.iterdir() if file.is_file())
    assert NEW_SECRET.encode() not in written


async def test_a_login_that_nobody_mends_may_be_given_up(desk: Desk) -> None:
    sitting = sit(desk, [LOGIN])
    await sitting.asked()
    await sitting.answer(1, "stop", by="ui:admin")
    outcome = await sitting.ended()
    assert (outcome.subtype, outcome.error) == ("blocked", "stopped by ui:admin: login: 401 invalid key")


async def test_a_login_fails_at_once_where_that_is_the_rule(desk: Desk) -> None:
    outcome = await sit(desk, [LOGIN], rules=OnBlocked(login="fail")).ended()
    assert outcome.subtype == "blocked"
    assert outline(outcome.answers) == [(1, "stop the agent", "rule:login: fail")]


async def test_a_limit_need_not_be_waited_out(desk: Desk) -> None:
    sitting = sit(desk, [limit(3600)], [DONE])
    assert [option.id for option in (await sitting.asked()).options] == ["now"]
    await sitting.answer(1, "now")
    outcome = await sitting.ended()
    assert outcome.subtype == "success"
    assert sitting.runtime.settings[1].resume == "conversation-1"


async def test_a_budget_that_asks_is_raised_by_as_much_again(desk: Desk) -> None:
    sitting = sit(
        desk,
        [USED],
        [Usage(input_tokens=100, output_tokens=99), Output(text="more")],
        rules=OnBlocked(budget="ask"),
        budget=Budget(max_tokens=100),
    )
    blockage = await sitting.asked()
    assert [option.id for option in blockage.options] == ["more", "stop"]
    assert "max_tokens of 100" in blockage.title
    await sitting.answer(1, "more")
    await desk.until(lambda: b"more" in desk.work.output.tail)
    assert sitting.drive.blockage is None
    assert "as much again" in sitting.runtime.prompts[1]
    sitting.running.cancel()
    await asyncio.wait({sitting.running})


async def test_a_budget_that_is_not_raised_ends_the_agent_with_a_last_word(desk: Desk) -> None:
    sitting = sit(
        desk,
        [USED],
        [TurnEnded(text="Half is left.")],
        rules=OnBlocked(budget="ask"),
        budget=Budget(max_tokens=100),
    )
    await sitting.asked()
    await sitting.answer(1, "stop")
    outcome = await sitting.ended()
    assert (outcome.subtype, outcome.text) == ("budget", "Half is left.")


async def test_a_program_that_is_gone_for_good_in_a_question_is_no_endless_wait(desk: Desk) -> None:
    runtime = ScriptedRuntime([[LOGIN]])
    sitting = sit(desk, runtime=runtime)
    await sitting.asked()
    runtime.refuse_resume = PermanentAgentError("not found")
    runtime.turns.append([DONE])
    await sitting.answer(1, "retry")
    assert (await sitting.ended()).subtype == "success"
    assert runtime.prompts == ["Build it.", "Build it."]

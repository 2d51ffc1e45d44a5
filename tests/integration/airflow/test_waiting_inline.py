"""How long a task keeps its slot for an agent that may end at once."""

from __future__ import annotations

import pytest

from cis_provider.model.session import SessionKey, SessionRecord
from cis_provider.wire.messages import Submitted

pytestmark = pytest.mark.integration


def seconds(*, ahead: int = 0, at_work: int = 1, waiting_for: str = "") -> float:
    from cis_provider.operators.agent import _inline

    record = SessionRecord(
        session_id="s",
        key=SessionKey("d", "r", "t", -1),
        try_number=1,
        max_tries=0,
        agent_id="t",
        agent_type="shell",
        scope="global",
        worker="worker-global",
        waiting_for=waiting_for,
    )
    return _inline(Submitted(record, "start", ahead, at_work=at_work))


def test_short_work_does_not_defer():
    assert seconds() == 1.0


def test_nobody_waits_for_an_agent_that_waits_itself():
    assert seconds(ahead=1) == seconds(waiting_for="a place on this node") == 0.0


def test_among_many_agents_at_work_the_slot_is_given_back_sooner():
    assert 0 < seconds(at_work=100) < seconds(at_work=8)

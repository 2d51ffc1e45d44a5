"""The line of runs over time: who is silent for too long, and who is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.node.line import TurnLine

A = "project:a"


class Store:
    """Forgets at once; the line's memory is what is tested."""

    def turns(self):
        return []

    def keep_turn(self, turn):
        pass

    def drop_turn(self, turn):
        pass


@pytest.fixture
def world():
    world = SimpleNamespace(now=0.0, living=[])
    world.line = TurnLine(Store(), lambda: world.living, lambda: world.now)
    return world


def request(run_id, scope=A, turn=(A,)):
    key = SessionKey("d", run_id, "a")
    return SessionRequest(
        key=key,
        try_number=1,
        max_tries=0,
        agent_id="a",
        agent_type="shell",
        command="",
        scope=scope,
        exclusive="run" if scope in turn else "no",
        turn=turn,
    )


def test_a_run_that_asks_keeps_what_it_has_while_it_waits_for_another_scope(world):
    line = world.line
    assert line.ask(request("one", "global", ("global",))).granted
    line.arrive(request("one", "global", ("global",)))
    for _ in range(120):
        world.now += 60
        line.vouch([("d", "one")])
        assert not line.ask(request("two", "global")).granted
        line.expire()
        assert not line.ask(request("three")).granted


def test_a_run_that_does_not_come_loses_its_turn(world):
    line = world.line
    assert line.ask(request("one")).granted
    assert not line.ask(request("two")).granted
    world.now += 901
    line.expire()
    assert line.ask(request("two")).granted


def test_a_run_that_does_not_come_gives_its_turn_to_the_next(world):
    line = world.line
    assert line.ask(request("one")).granted
    assert not line.ask(request("two")).granted
    world.now = 899
    assert not line.expire()
    world.now = 901
    assert not line.ask(request("two")).granted
    assert line.expire()
    line.advance()
    assert [(turn.run_id, turn.waiting_for) for turn in line.info()] == [("two", "")]

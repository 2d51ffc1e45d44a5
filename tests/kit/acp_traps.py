"""Providers that fail in ways that look well, or have no end, with the real program and a scripted model server."""

from __future__ import annotations

from typing import ClassVar

from cis_provider.runtimes.events import ErrorClass, Output
from cis_provider.testing.model_server import ModelServer
from cis_provider.testing.model_server import steps as say
from tests.kit.acp_talks import AcpTalks, Talks
from tests.kit.talk import Talk

#: Seconds that its own tries may take here: enough for some of them.
_SHORT = {"retry_patience": 3.0}


class AcpTraps(AcpTalks):
    """
    To be inherited: see :class:`AcpTalks`.

    :cvar own_tries: How often it calls a broken provider when nobody stops it.
    :cvar nonsense: Class of a turn whose answers are none; empty: it ends it without a word.
    """

    own_tries: ClassVar[int]
    nonsense: ClassVar[ErrorClass] = "transient"

    async def test_a_provider_that_stays_broken_is_told_and_not_tried_to_the_programs_own_end(
        self, server: ModelServer, talks: Talks
    ) -> None:
        words = "The machines of the provider are on fire."
        server.push(say.text("They are back.", when={"any_contains": "once more"}))
        server.push(say.status(500, message=words, repeat="forever"))
        talk = talks()
        await talk.start()
        end = await talk.turn("go on")
        assert (end.stop_reason, end.error_class, end.text) == ("error", "transient", ""), end
        assert words in end.error
        told = retries(talk)
        assert len(told) >= 2 and all(words in line for line in told)
        assert 2 < len(server.calls) < self.own_tries
        assert (await talk.turn("once more")).text == "They are back."

    async def test_a_provider_that_is_gone_is_no_success(self, server: ModelServer, talks: Talks) -> None:
        talk = talks(config=_SHORT)
        await talk.start()
        server.stop()
        end = await talk.turn("go")
        assert (end.stop_reason, end.error_class, end.text) == ("error", "transient", ""), end
        assert "onnect" in end.error
        assert retries(talk)

    async def test_a_try_that_goes_well_ends_the_retries(self, server: ModelServer, talks: Talks) -> None:
        server.push(say.cut("Half a sentence that", after=3), say.status(500), say.text("All is well."))
        talk = talks()
        await talk.start()
        end = await talk.turn("go")
        assert (end.stop_reason, end.text) == ("end_turn", "All is well."), "no piece of the failed try"
        assert len(server.calls) == 3

    async def test_answers_that_are_none_are_not_asked_for_without_an_end(
        self, server: ModelServer, talks: Talks
    ) -> None:
        server.push(say.nonsense("html", repeat="forever"))
        talk = talks(config=_SHORT)
        await talk.start()
        end = await talk.turn("go")
        # An empty text is no success either, to whoever gets it.
        assert end.text == "" and end.error_class == self.nonsense, end
        assert bool(retries(talk)) == bool(end.error_class)


def retries(talk: Talk) -> list[str]:
    """The lines that tell of them; no part of the answer."""
    lines = "".join(one.text for one in talk.of(Output) if not one.thought).splitlines()
    return [line for line in lines if line.startswith("[retrying] try ")]

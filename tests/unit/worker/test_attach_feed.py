"""A client is never waited for: what it does not take is dropped for a picture of the screen."""

from __future__ import annotations

from cis_provider.wire.terminal import Attached, Drawn, Gone, Inbox, TerminalMessage
from cis_provider.worker.attach_feed import BURST, LIMIT, PACE, RATE, SLOWEST, Feed


class Wire:
    """A feed, its clock, and what it was asked to paint."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pictures = 0
        self.feed = Feed(self.paint, lambda: self.now)

    def paint(self) -> bytes:
        self.pictures += 1
        return b"picture %d" % self.pictures

    def take(self) -> list[TerminalMessage]:
        return Inbox().feed(self.feed.take())


def test_what_comes_slowly_is_passed_on_as_it_is() -> None:
    wire = Wire()
    wire.feed.write(b"one")
    wire.feed.write(b"two")
    assert wire.take() == [Drawn(b"onetwo")]
    assert not wire.feed.waits


def test_what_a_client_does_not_take_is_dropped_for_one_picture() -> None:
    wire = Wire()
    for _ in range(LIMIT // 1000 + 10):
        wire.feed.write(b"x" * 1000)
        wire.now += 1000 / RATE + 0.001
    assert wire.take() == [Drawn(b"picture 1", whole=True)]
    wire.feed.write(b"after")
    assert wire.take() == [Drawn(b"after")]


def test_a_flood_costs_a_few_pictures_a_second_however_fast_the_client_is() -> None:
    wire, sent = Wire(), 0
    for _ in range(1000):
        wire.feed.write(b"x" * 10_000)
        if not wire.feed.pause:
            sent += len(wire.feed.take())
        wire.now += 0.001
    assert wire.pictures <= 1.0 / PACE + 2
    assert sent < BURST + RATE + 30 * wire.pictures
    wire.now += SLOWEST
    assert wire.feed.waits
    assert wire.take()[-1] == Drawn(b"picture %d" % wire.pictures, whole=True)


def test_after_a_flood_keys_are_echoed_at_once() -> None:
    wire = Wire()
    for _ in range(100):
        wire.feed.write(b"x" * 100_000)
    wire.now += 2 * PACE
    wire.take()
    wire.now += 2 * PACE
    wire.feed.write(b"k")
    assert wire.feed.pause == 0
    assert wire.take() == [Drawn(b"k")]


def test_words_are_never_dropped_and_never_wait() -> None:
    wire = Wire()
    wire.feed.repaint()
    wire.take()
    wire.feed.write(b"x" * (BURST + 1))
    wire.feed.say(Attached(writer=False, note="grace has taken it over"))
    wire.feed.say(Gone("the end"))
    assert wire.feed.pause == 0
    assert wire.take()[:2] == [Attached(writer=False, note="grace has taken it over"), Gone("the end")]


def test_a_long_flood_is_shown_less_often_and_the_next_one_as_often_as_the_first() -> None:
    wire = Wire()

    def flood(seconds: float) -> int:
        before = wire.pictures
        for _ in range(round(seconds * 100)):
            wire.feed.write(b"x" * 100_000)
            if not wire.feed.pause:
                wire.feed.take()
            wire.now += 0.01
        return wire.pictures - before

    first = flood(1.0)
    assert 8 <= first <= 20
    assert flood(10.0) <= 10.0 / SLOWEST + 12
    wire.now += 2.0
    wire.take()
    wire.now += 2.0
    assert flood(1.0) >= first - 2

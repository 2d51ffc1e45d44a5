"""Whether anybody still wants a node, and each of its sessions."""

from __future__ import annotations

import pytest

from cis_provider.node.lease import LastGood, Lease, Vouchers


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_word_is_good_for_the_lease(clock):
    lease = Lease(lambda: 60.0, clock=clock)
    clock.passes(60)
    assert not lease.is_over()
    clock.passes(1)
    assert lease.is_over()
    lease.heard()
    assert (lease.is_over(), lease.silence()) == (False, 0)


def test_somebody_who_is_there_need_not_say_anything(clock):
    there = [True]
    lease = Lease(lambda: 60.0, present=lambda: bool(there), clock=clock)
    clock.passes(1000)
    assert not lease.is_over()
    there.clear()
    assert lease.silence() == 0
    clock.passes(61)
    assert lease.is_over()


def test_a_setting_that_cannot_be_read_stays_as_it_was(cis_home, monkeypatch):
    setting = LastGood("node.lease")
    assert setting() == 3600
    monkeypatch.setenv("CIS_NODE_LEASE", "5")
    assert setting() == 5
    monkeypatch.setenv("CIS_NODE_LEASE", "five")
    assert setting() == 5


def test_a_session_is_forsaken_when_a_sweep_knows_others_only(clock):
    vouchers = Vouchers(clock=clock)
    vouchers.cared("a")
    vouchers.cared("b")
    for _ in range(11):
        clock.passes(10)
        vouchers.vouched(["a"])
    assert vouchers.forsaken(["a", "b"], 100) == ["b"]


def test_nobody_is_forsaken_without_a_sweep(clock):
    vouchers = Vouchers(clock=clock)
    vouchers.vouched([])
    vouchers.cared("a")
    clock.passes(1000)
    assert vouchers.forsaken(["a"], 100) == []


def test_one_that_is_watched_is_not_forsaken(clock):
    vouchers = Vouchers(clock=clock)
    vouchers.watch_begins("a")
    vouchers.watch_begins("a")
    vouchers.watch_ends("a")
    clock.passes(1000)
    vouchers.vouched([])
    assert vouchers.forsaken(["a"], 100) == []
    vouchers.watch_ends("a")
    clock.passes(101)
    vouchers.vouched([])
    assert vouchers.forsaken(["a"], 100) == ["a"]


def test_the_lease_of_one_that_is_found_again_begins_anew(clock):
    vouchers = Vouchers(clock=clock)
    clock.passes(1000)
    vouchers.vouched([])
    assert vouchers.forsaken(["found"], 100) == []
    clock.passes(99)
    vouchers.vouched([])
    assert vouchers.forsaken(["found"], 100) == []
    clock.passes(2)
    vouchers.vouched([])
    assert vouchers.forsaken(["found"], 100) == ["found"]


def test_nothing_is_kept_of_sessions_that_have_ended(clock):
    vouchers = Vouchers(clock=clock)
    vouchers.vouched(["a", "b"])
    clock.passes(500)
    vouchers.forsaken(["b"], 100)
    vouchers.vouched([])
    assert vouchers.forsaken(["a"], 100) == []

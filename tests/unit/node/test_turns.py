"""Whose turn it is."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cis_provider.node.turns import Ask, judge, next_turns

ONE, TWO, THREE = ("d", "one"), ("d", "two"), ("e", "three")
A = ("project:a",)


def test_a_free_scope_is_given_at_once():
    assert judge(Ask(ONE, A, alone=True), [], leases={}, visitors={}).granted


def test_another_run_waits_and_reads_for_whom():
    verdict = judge(Ask(TWO, A, alone=True), [], leases={"project:a": ONE}, visitors={})
    assert verdict.ahead == (ONE,)
    assert verdict.reason == "its turn in project:a, which run one of d has"


def test_the_urgent_go_first_then_those_who_asked_first():
    line = [
        Ask(ONE, A, alone=True, priority=2, sequence=1),
        Ask(TWO, A, alone=True, priority=2, sequence=2),
        Ask(THREE, A, alone=True, priority=0, sequence=3),
    ]
    assert [ask.run for ask in next_turns(line, leases={}, visitors={})] == [THREE]
    assert [ask.run for ask in next_turns(line[:2], leases={}, visitors={})] == [ONE]
    assert judge(line[1], line, leases={}, visitors={}).ahead == (THREE, ONE)


def test_runs_that_only_want_a_place_share_a_scope_but_not_with_one_that_wants_it_alone():
    shared = [Ask(ONE, A, alone=False, sequence=1), Ask(TWO, A, alone=False, sequence=2)]
    assert len(next_turns(shared, leases={}, visitors={"project:a": [THREE]})) == 2
    alone = Ask(THREE, A, alone=True, sequence=3)
    assert judge(alone, [], leases={}, visitors={"project:a": [ONE]}).ahead == (ONE,)
    # A later guest does not slip in before one that has waited for the guests to go.
    late = Ask(("d", "late"), A, alone=False, sequence=4)
    assert judge(late, [alone], leases={}, visitors={"project:a": [ONE]}).ahead == (THREE,)


def test_all_scopes_of_a_run_are_had_together_or_none():
    both = Ask(ONE, ("project:a", "user:b"), alone=True, sequence=1)
    assert not judge(both, [], leases={"user:b": TWO}, visitors={}).granted
    assert next_turns([both], leases={"user:b": TWO}, visitors={}) == []


def test_a_run_that_has_a_scope_waits_for_holders_only():
    waiting = Ask(TWO, ("global", "project:a"), alone=True, sequence=1)
    guest = Ask(ONE, ("global",), alone=False, sequence=2)
    assert judge(guest, [waiting], leases={"project:a": ONE}, visitors={}).granted


SCOPES = ("project:a", "user:b", "type:c")
asks = st.tuples(st.sets(st.sampled_from(SCOPES), min_size=1), st.booleans(), st.integers(0, 3))


class Scopes(RuleBasedStateMachine):
    """Runs come, are given scopes, work, and go; played against the pure judgement as the line uses it."""

    @initialize()
    def begin(self):
        self.line, self.leases, self.guests, self.sequence = [], {}, {}, 0

    def visitors(self):
        found = {}
        for run, scopes in self.guests.items():
            for scope in scopes:
                found.setdefault(scope, set()).add(run)
        return found

    @rule(what=asks)
    def come(self, what):
        scopes, alone, priority = what
        self.sequence += 1
        ask = Ask(("d", str(self.sequence)), tuple(sorted(scopes)), alone, priority, self.sequence)
        if judge(ask, self.line, leases=self.leases, visitors=self.visitors()).granted:
            self.enter(ask)
        else:
            self.line.append(ask)

    def enter(self, ask):
        if ask.alone:
            assert not any(scope in self.leases for scope in ask.scopes)
            self.leases.update(dict.fromkeys(ask.scopes, ask.run))
        else:
            assert not any(scope in self.leases for scope in ask.scopes)
            self.guests[ask.run] = ask.scopes

    @rule(which=st.randoms(use_true_random=False))
    def somebody_ends(self, which):
        busy = sorted({*self.leases.values(), *self.guests})
        if not busy:
            return
        run = which.choice(busy)
        self.guests.pop(run, None)
        self.leases = {scope: holder for scope, holder in self.leases.items() if holder != run}
        for ask in next_turns(self.line, leases=self.leases, visitors=self.visitors()):
            self.line.remove(ask)
            self.enter(ask)

    @invariant()
    def nobody_waits_for_nothing(self):
        if getattr(self, "line", None):
            assert self.leases or self.guests
            first = min(self.line, key=lambda ask: ask.order)
            verdict = judge(first, self.line, leases=self.leases, visitors=self.visitors())
            assert verdict.ahead
            assert set(verdict.ahead) <= {*self.leases.values(), *self.guests}

    @invariant()
    def alone_is_alone(self):
        guests = self.visitors() if hasattr(self, "guests") else {}
        assert not any(guests.get(scope) for scope in getattr(self, "leases", {}))


TestScopes = Scopes.TestCase
TestScopes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(asks, max_size=8))
def test_turns_given_together_do_not_collide(wanted):
    line = [
        Ask(("d", str(i)), tuple(sorted(scopes)), alone, priority, i)
        for i, (scopes, alone, priority) in enumerate(wanted)
    ]
    ready = next_turns(line, leases={}, visitors={})
    assert bool(ready) == bool(line)
    for one in ready:
        for other in ready:
            apart = set(one.scopes).isdisjoint(other.scopes)
            assert one is other or apart or not (one.alone or other.alone)

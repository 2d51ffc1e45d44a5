"""Questions for the states of tasks: few, and none too long for an address."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from cis_provider.triggers.supervisor import portions


@given(st.sets(st.text(min_size=1, max_size=250)))
def test_every_name_is_asked_for_once_and_an_address_holds_two_sets_of_them(names):
    found = portions(names)
    assert sorted(name for portion in found for name in portion) == sorted(names)
    for portion in found:
        # httpx refuses an address of more than 65,536 characters.
        assert len(urlencode({"task_ids": portion}, doseq=True)) < 30_000


def test_a_hundred_ordinary_names_are_one_question():
    assert len(portions({f"agent-{number:03}" for number in range(100)})) == 1

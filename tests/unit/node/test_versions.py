"""Which of two versions gives way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.node.versions import is_older


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("0.1.0", "0.2.0"), ("0.9", "0.10"), ("1.0", "1.0.1"), ("0.1.0.dev3", "0.2"), ("", "0.1.0")],
)
def test_the_older_one_gives_way_and_not_the_newer(theirs, ours):
    assert is_older(theirs, ours)
    assert not is_older(ours, theirs)


@pytest.mark.parametrize("theirs", ["1.0", "1", "1.0.0", "1.0.0.dev1"])
def test_the_same_release_is_not_replaced(theirs):
    assert not is_older(theirs, "1.0.0")


@given(st.text(max_size=12), st.text(max_size=12))
def test_two_versions_never_replace_each_other(one, other):
    assert not (is_older(one, other) and is_older(other, one))

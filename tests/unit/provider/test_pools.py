"""Names, numbers and descriptions of pools."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cis_provider.errors import ConfigError
from cis_provider.model.scope import TaskScope
from cis_provider.pools import (
    PoolSpec,
    ScopedPool,
    asker_of,
    combined,
    dag_pool,
    dag_pool_name,
    follows,
    is_ours,
    needed_pools,
    number_set,
    owner_of,
    scope_of,
    scope_pool,
    scope_pool_name,
)

ids = st.from_regex(r"[a-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(lambda text: ".." not in text)
scopes = st.one_of(
    st.just(TaskScope("global")), st.builds(TaskScope, st.sampled_from(["project", "user", "type"]), ids)
)
dag_ids = st.from_regex(r"[\w.-]{1,60}", fullmatch=True)
specs = st.builds(PoolSpec, st.just("cis-project-p"), st.integers(1, 9), dag_ids, st.booleans())


@given(scopes)
def test_a_scopes_pool_says_whose_it_is(scope):
    assert scope_of(scope_pool_name(scope)) == scope
    assert owner_of(scope_pool_name(scope)) == str(scope)


@given(dag_ids)
def test_a_dags_pool_says_whose_it_is_and_is_no_scopes(dag_id):
    assert owner_of(dag_pool_name(dag_id)) == f"DAG {dag_id}"
    assert scope_of(dag_pool_name(dag_id)) is None


@pytest.mark.parametrize(
    "name", ["default_pool", "project-a", "cis-", "cis-dag-", "cis-mine", "cis-project-"]
)
def test_other_names_say_nothing(name):
    assert owner_of(name) == ""


@given(specs)
def test_a_description_keeps_our_number_and_who_asked_for_it(spec):
    assert number_set(spec.description) == spec.slots
    assert asker_of(spec.description) == (spec.dag_id if spec.explicit else "")
    assert is_ours(spec.slots, spec.description)
    assert not is_ours(spec.slots + 1, spec.description)


def test_a_description_of_the_first_release_is_understood():
    words = "Agents at work in DAG nightly, over all its runs (set to 3 by cis)"
    assert (number_set(words), asker_of(words)) == (3, "")
    assert follows(3, words, dag_pool("nightly", 5))


@given(specs, st.integers(1, 9), specs)
def test_a_humans_number_is_never_followed_by_ours(made, human, wanted):
    assert human == made.slots or not follows(human, made.description, wanted)
    assert not follows(human, "a pool of mine", wanted)
    assert not follows(human, None, wanted)


@given(st.lists(st.sampled_from([PoolSpec("cis-project-p", n, f"dag{n}", n % 3 != 0) for n in range(1, 9)])))
def test_dags_that_share_a_pool_come_to_rest(asking):
    """However often they ask, in whatever order: one round later nothing changes any more."""
    held = scope_pool(TaskScope("project", "p"), 5)
    for _ in range(2):
        for wanted in asking:
            if follows(held.slots, held.description, wanted):
                held = wanted
    assert not any(
        follows(held.slots, held.description, wanted)
        for wanted in asking
        # The defaults of one Airflow are one number; here they are several.
        if wanted.explicit
    )


def test_the_smallest_number_that_a_task_says_is_the_pools():
    named = [("cis-project-p", 0), ("cis-project-p", 3), ("cis-project-p", 2), ("default_pool", 1)]
    assert needed_pools("d", named, scope_slots=4) == [PoolSpec("cis-project-p", 2, "d", explicit=True)]


def test_the_settings_number_is_a_default_whoever_says_it():
    assert needed_pools("d", [("cis-project-p", 4)], scope_slots=4) == [PoolSpec("cis-project-p", 4, "d")]
    assert needed_pools("d", [("cis-dag-d", 4)], scope_slots=4) == [dag_pool("d", 4)]


def test_a_dags_pool_without_a_number_has_that_of_max_workers():
    assert needed_pools("d", [("cis-dag-d", 0)], scope_slots=9) == [PoolSpec("cis-dag-d", 4)]


def test_a_task_that_says_no_number_does_not_change_one():
    held = PoolSpec("cis-project-p", 2, "d", explicit=True)
    (silent,) = needed_pools("d", [("cis-project-p", 0), ("cis-project-p", 4)], scope_slots=4)
    assert not follows(held.slots, held.description, silent)
    (said,) = needed_pools("d", [("cis-project-p", 4)], scope_slots=4)
    assert follows(held.slots, held.description, said)


def test_pools_come_in_the_order_of_their_names():
    named = [("cis-user-b", 1), ("cis-dag-d", 1), ("cis-project-a", 1)]
    found = [pool.name for pool in needed_pools("d", named, scope_slots=4)]
    assert found == ["cis-dag-d", "cis-project-a", "cis-user-b"]


def test_of_several_dags_the_smallest_number_that_one_says_counts():
    p = "cis-project-p"
    wishes = [PoolSpec(p, 1, "a"), PoolSpec(p, 6, "b", explicit=True), PoolSpec(p, 3, "c", explicit=True)]
    assert combined([*wishes, dag_pool("z", 1)]) == [dag_pool("z", 1), wishes[2]]


# --- ScopedPool -----------------------------------------------------------------------------------------


def test_a_scoped_pool_is_the_name_and_knows_the_number():
    pool = ScopedPool("project:proj-a", slots=2)
    assert pool == "cis-project-proj-a"
    assert {pool: 1} == {"cis-project-proj-a": 1}
    assert f"{pool} {pool!s}" == "cis-project-proj-a cis-project-proj-a"
    assert (pool.scope, pool.slots) == (TaskScope("project", "proj-a"), 2)
    assert "project:proj-a" in pool.description
    assert isinstance(pool, str) and isinstance(pool, ScopedPool)
    assert ScopedPool(TaskScope("global")).slots is None


def test_copies_of_a_scoped_pool_keep_the_number():
    pool = ScopedPool("user:ann", slots=3)
    for other in (copy.copy(pool), copy.deepcopy({"pool": pool})["pool"], pickle.loads(pickle.dumps(pool))):
        assert (other, other.slots, type(other)) == ("cis-user-ann", 3, ScopedPool)


@pytest.mark.parametrize("slots", [0, -1, True, 1.5, "2"])
def test_slots_are_a_whole_number_above_zero(slots):
    with pytest.raises(ConfigError, match="slots"):
        ScopedPool("global", slots=slots)


@pytest.mark.parametrize("scope", ["proj-a", "project:", "project:{{ params.p }}", "dag:x"])
def test_what_is_no_scope_has_no_pool(scope):
    with pytest.raises(ConfigError):
        ScopedPool(scope)

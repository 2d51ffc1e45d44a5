"""What becomes of Airflow's pools: decisions in words, and the requests that carry them out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from cis_provider.cli.airflow_api import AirflowApi
from cis_provider.cli.records import Pool
from cis_provider.errors import AirflowRefused
from cis_provider.pools import PREFIX, PoolSpec, asker_of, follows, is_ours, number_set, owner_of


class PoolLine(msgspec.Struct, frozen=True, kw_only=True):
    """
    A pool of ours.

    :param owner: Whose limit it is: ``project:proj-a``, ``DAG nightly``.
    :param set_by_cis: The number that we set; None where somebody else made the pool.
    :param asked_by: The DAG whose number that is; empty: a default.
    :param changed: Somebody has set another number than we did.
    :param waiting: Slots that tasks wait for.
    """

    name: str
    owner: str
    slots: int
    set_by_cis: int | None
    asked_by: str
    changed: bool
    counts_deferred: bool
    running: int
    queued: int
    deferred: int
    waiting: int
    open: int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """
    What was done with one pool, or left undone.

    :param action: One of ``made``, ``changed``, ``removed``, ``kept``, ``unchanged``.
    :param why: The reason, in words.
    """

    name: str
    owner: str
    slots: int
    action: str
    why: str = ""


def our_pools(api: AirflowApi) -> list[PoolLine]:
    """Every pool of ours."""
    return [_line(pool) for pool in api.pools(PREFIX)]


def sync(api: AirflowApi, wanted: Sequence[PoolSpec], dag_ids: Collection[str]) -> list[Done]:
    """
    Make what is missing, follow our own numbers, leave other people's.

    :param dag_ids: DAGs whose wishes are all in ``wanted``.
    """
    there = {pool.name: pool for pool in api.pools(PREFIX)} if wanted else {}
    return [_sync_one(api, there.get(pool.name), pool, dag_ids) for pool in wanted]


def prune(api: AirflowApi, *, everything: bool, dry_run: bool) -> list[Done]:
    """
    Remove pools of ours that no DAG names and no task is in.

    :param everything: Those with a number that is not ours, too.
    """
    found = api.pools(PREFIX)
    spare = [pool for pool in found if not pool.busy]
    named = _pools_of_dags(api) if spare else set()
    done = [_fate(pool, named, everything=everything) for pool in found]
    if not dry_run:
        for one in done:
            if one.action == "removed":
                api.delete_pool(one.name)
    return done


def _line(pool: Pool) -> PoolLine:
    ours = number_set(pool.description)
    return PoolLine(
        name=pool.name,
        owner=owner_of(pool.name),
        slots=pool.slots,
        set_by_cis=ours,
        asked_by=asker_of(pool.description),
        changed=ours is not None and ours != pool.slots,
        counts_deferred=pool.include_deferred,
        running=pool.running_slots,
        queued=pool.queued_slots,
        deferred=pool.deferred_slots,
        waiting=pool.scheduled_slots,
        open=pool.open_slots,
    )


def _sync_one(api: AirflowApi, pool: Pool | None, wanted: PoolSpec, dag_ids: Collection[str]) -> Done:
    def said(action: str, slots: int, why: str = "") -> Done:
        return Done(name=wanted.name, owner=owner_of(wanted.name), slots=slots, action=action, why=why)

    if pool is None:
        if api.make_pool(wanted.name, wanted.slots, wanted.description):
            return said("made", wanted.slots)
        return said("kept", wanted.slots, "somebody made it in this moment")
    if pool.slots == wanted.slots:
        return said("unchanged", pool.slots)
    if not is_ours(pool.slots, pool.description):
        return said("kept", pool.slots, f"a human's number; ours is {wanted.slots}")
    asker = asker_of(pool.description)
    # What a DAG said counts as long as it may still say so: its file was not read now, and Airflow has it.
    outdated = asker in dag_ids or not _exists(api, asker)
    if follows(pool.slots, pool.description, wanted) or outdated:
        api.change_pool(pool, wanted.slots, wanted.description)
        return said("changed", wanted.slots, f"was {pool.slots}")
    return said("kept", pool.slots, f"DAG {asker} says so; here it is {wanted.slots}")


def _exists(api: AirflowApi, dag_id: str) -> bool:
    found = api.dag(dag_id)
    return found is not None and not found.is_stale


def _fate(pool: Pool, named: Collection[str], *, everything: bool) -> Done:
    def said(action: str, why: str) -> Done:
        return Done(name=pool.name, owner=owner_of(pool.name), slots=pool.slots, action=action, why=why)

    if pool.name in named:
        return said("kept", "a DAG names it")
    if pool.busy:
        return said("kept", "tasks are in it, or wait for it")
    if not everything and not is_ours(pool.slots, pool.description):
        return said("kept", "a human's number; --all removes it, too")
    return said("removed", "no DAG names it")


def _pools_of_dags(api: AirflowApi) -> set[str]:
    """Every pool that a DAG of this Airflow names."""
    found: set[str] = set()
    for dag in api.dags():
        try:
            found.update(task.pool for task in api.tasks(dag.dag_id) if task.pool)
        except AirflowRefused as error:
            if error.status != 404:  # it is gone since we asked
                raise
    return found

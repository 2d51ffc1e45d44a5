"""``cis pools``: the pools of scopes and DAGs, also for an Airflow that does not load our plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cis_provider.cli.screen import JsonOption, note, say_json, table

if TYPE_CHECKING:
    from cis_provider.cli.pool_sync import Done, PoolLine

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Airflow pools of scopes and DAGs.",
)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """Pools of ours: whose they are, their slots, the number that we set, and what is in them."""
    from cis_provider.cli.connect import connect
    from cis_provider.cli.pool_sync import our_pools
    from cis_provider.cli.rows import plain

    with connect() as api:
        found = our_pools(api)
    if as_json:
        say_json(plain(found))
    elif found:
        heads = ("POOL", "FOR", "SLOTS", "SET", "RUNNING", "QUEUED", "DEFERRED", "WAITING", "OPEN", "")
        table(heads, [_cells(pool) for pool in found])
    else:
        note("no pools yet; they are made when runs begin, or by `cis pools sync`")


@app.command()
def sync(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE|FOLDER...]",
            help="CIS files, folders of them, Python DAG files; by default the CIS files of $CIS_HOME/dags.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the pools that files need. Numbers that a human changed stay."""
    from cis_provider import paths
    from cis_provider.cli.connect import connect
    from cis_provider.cli.pool_files import pools_of_files
    from cis_provider.cli.pool_sync import sync as sync_pools
    from cis_provider.cli.rows import plain
    from cis_provider.errors import UsageError

    folder = paths.dags_dir()
    if not files and not folder.is_dir():
        raise UsageError(f"{folder} is not there; name the files: cis pools sync FILE")
    read = pools_of_files(files or [folder])
    with connect() as api:
        done = sync_pools(api, read.pools, read.dag_ids)
    for error in read.wrong:
        note(str(error))
    if as_json:
        say_json(plain(done))
    elif done:
        _print(done)
    elif not read.wrong:
        note("these files name no pools of ours")
    if read.wrong:
        raise typer.Exit(1)


@app.command()
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Pools with a number that a human set, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove pools of ours that no DAG of this Airflow names and no task is in."""
    from cis_provider.cli.connect import connect
    from cis_provider.cli.pool_sync import prune as prune_pools
    from cis_provider.cli.rows import plain

    with connect() as api:
        done = prune_pools(api, everything=everything, dry_run=dry_run)
        unread = api.import_failures()
    if as_json:
        say_json(plain(done))
        return
    if done:
        _print(done)
    removed = sum(one.action == "removed" for one in done)
    note(f"{removed} removed" if not dry_run else f"{removed} would be removed; nothing was done")
    if removed and unread:
        note(
            f"{len(unread)} files could not be read by Airflow; pools that only they name come back by themselves"
        )


def _cells(pool: PoolLine) -> tuple[str, ...]:
    numbers = (pool.running, pool.queued, pool.deferred, pool.waiting)
    remark = "CHANGED" if pool.changed else "" if pool.set_by_cis is not None else "not made by cis"
    return (
        pool.name,
        pool.owner,
        _slots(pool.slots),
        "" if pool.set_by_cis is None else str(pool.set_by_cis),
        *map(str, numbers),
        _slots(pool.open),
        remark if pool.counts_deferred else f"{remark} deferred tasks do not count".strip(),
    )


def _slots(number: int) -> str:
    return "no limit" if number == -1 else str(number)


def _print(done: list[Done]) -> None:
    lines = [(one.name, one.owner, _slots(one.slots), one.action, one.why) for one in done]
    table(("POOL", "FOR", "SLOTS", "DONE", ""), lines)

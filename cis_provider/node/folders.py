"""Folders that belong to one run at a time, from its first agent in them to its end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from cis_provider.node.store import SessionStore

Run = tuple[str, str]

#: Seconds after which a folder is taken from a run that has nobody at work, when no Airflow says that the run
#: is not over: on a node without scheduler and triggerer nobody tells.
_LEASE = 3600.0


class FolderLeases:
    """
    Which run has which folder, on disk.

    :param clock: Seconds since the epoch.
    """

    def __init__(self, store: SessionStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._vouched: set[Run] = set()
        self._vouched_at = 0.0

    def held(self) -> dict[str, Run]:
        """Folders and the runs that have them."""
        return self._store.folders()

    def take(self, claims: Mapping[str, Run]) -> None:
        """Folders that runs have from now on."""
        for path, run in claims.items():
            self._store.take_folder(path, run, self._clock())

    def release(self, runs: Iterable[Run]) -> None:
        """These runs are over."""
        self._store.release_folders(runs)

    def vouch(self, runs: Collection[Run]) -> None:
        """An Airflow says that these runs are not over."""
        self._vouched, self._vouched_at = set(runs), self._clock()

    def expire(self) -> None:
        """Take folders from runs that nobody works for or knows any more."""
        now = self._clock()
        known = self._vouched if now - self._vouched_at < _LEASE else ()
        abandoned = self._store.abandoned_folders(now - _LEASE)
        self._store.release_folders(run for run in abandoned if run not in known)

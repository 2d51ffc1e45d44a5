"""
Kills a process at a named place, for tests of recovery.

On ``PYTHONPATH`` of every process of a node and of its Airflow. ``$TEST_FAULT_PLACES`` lists functions as
``module:qualified.name``, separated by spaces; each is wrapped when its module is imported. Nothing happens
until there is a file ``before PLACE`` or ``after PLACE`` in the folder ``$TEST_FAULTS``. Whoever gets there
first takes the file away and is killed, as by ``kill -9``, so that a fault happens once.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_FAULTS = Path(os.environ.get("TEST_FAULTS", ""))


def _die(when: str, place: str) -> None:
    try:
        # One process alone can take it away.
        (_FAULTS / f"{when} {place}").unlink()
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _wrapped(function: Callable[..., Any], place: str) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*args: Any, **kwargs: Any) -> Any:
            _die("before", place)
            result = await function(*args, **kwargs)
            _die("after", place)
            return result

        return later

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        _die("before", place)
        result = function(*args, **kwargs)
        _die("after", place)
        return result

    return now


def _patch(module: ModuleType, names: list[str]) -> None:
    for name in names:
        owner: Any = module
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, _wrapped(getattr(owner, last), f"{module.__name__}:{name}"))


class _Finder(importlib.abc.MetaPathFinder):
    """Has a module's functions wrapped once it is loaded."""

    def __init__(self, places: dict[str, list[str]]) -> None:
        self._places = places

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._places:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            _patch(module, self._places[fullname])

        spec.loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


if "TEST_FAULTS" in os.environ:
    _places: dict[str, list[str]] = {}
    for _place in os.environ.get("TEST_FAULT_PLACES", "").split():
        _module, _, _name = _place.partition(":")
        _places.setdefault(_module, []).append(_name)
    sys.meta_path.insert(0, _Finder(_places))

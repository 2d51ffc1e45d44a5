"""A group of commands whose modules are loaded when one of them is used, not for ``--help``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


@dataclass(frozen=True)
class LazyCommand:
    """
    Where a command lives.

    :param module: Module with a :class:`typer.Typer` named ``app``.
    :param help: One line for the list of commands.
    :param single: The command is one of ``app``'s commands, not all of ``app``.
    """

    module: str
    help: str
    single: bool = False

    def load(self, name: str) -> Any:
        """The real command."""
        command = get_command(importlib.import_module(self.module).app)
        return command.commands[name] if self.single and isinstance(command, TyperGroup) else command


class LazyGroup(TyperGroup):
    """Subclass it and fill ``lazy``; commands appear in its order."""

    lazy: ClassVar[dict[str, LazyCommand]] = {}

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [*self.lazy, *(name for name in self.commands if name not in self.lazy)]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        entry = self.lazy.get(cmd_name)
        if entry is None:
            return super().get_command(ctx, cmd_name)
        if ctx.resilient_parsing:  # a shell completes words behind it
            return entry.load(cmd_name)
        return TyperCommand(cmd_name, help=entry.help)

    def resolve_command(self, ctx: typer.Context, args: Sequence[str]) -> Any:  # type: ignore[override]
        name, command, rest = super().resolve_command(ctx, list(args))
        if command is not None and name in self.lazy:
            command = self.lazy[name].load(name)
        return name, command, rest

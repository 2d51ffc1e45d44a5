"""Where workspaces may be, and where not."""

from __future__ import annotations

from pathlib import Path

from cis_provider import paths
from cis_provider.errors import WorkspaceError
from cis_provider.workspaces.names import OWN, Slot, is_scope_home


def workspace_root(*, make: bool = True) -> Path:
    """The real path of the folder below which all workspaces are that we make; made if asked for."""
    root = paths.workspace_root()
    if make:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"the workspace root {root} cannot be made: {error.strerror}") from None
    return root.resolve()


def refuse_links(slot: Slot) -> None:
    """
    See that a slot is where its name says.

    :raises WorkspaceError: A part of its path is a link.
    """
    for folder in (slot.home, slot.run.parent, slot.run, slot.notes, slot.folder):
        if folder.is_symlink():
            raise WorkspaceError(f"{folder} is a link; workspaces below {slot.root} never lead through one")


def folder_path(path: str, home: Path) -> Path:
    """
    The real path of a folder that a person named: absolute, or below ``home``, the folder of the scope.

    :raises WorkspaceError: It is no folder's name, or leads out of ``home``, or into what is not for agents.
    """
    if not path or "\0" in path:
        raise WorkspaceError(f"workspace {path!r} is no folder; give its path, or leave the key out")
    given = Path(path).expanduser()
    if given.is_absolute():
        return given.resolve()
    inside = (home / given).resolve()
    if ".." in given.parts or inside == home or not inside.is_relative_to(home):
        raise WorkspaceError(
            f"workspace {path!r} leads out of the workspace root {home}; "
            "give a folder inside it, or an absolute path"
        )
    first = inside.relative_to(home).parts[0]
    if is_scope_home(first):
        raise WorkspaceError(
            f"workspace {path!r}: {home / first} is kept for the agents of a scope; take another name, "
            "give the agent that scope, or name the folder by its absolute path"
        )
    if first == OWN or any((folder / OWN).is_dir() for folder in _between(inside, home)):
        raise WorkspaceError(
            f"workspace {path!r} lies in a folder of our own below {home}; take another name"
        )
    return inside


def _between(inside: Path, home: Path) -> list[Path]:
    return [folder for folder in (inside, *inside.parents) if folder != home and folder.is_relative_to(home)]

"""Each scope's own folders below the workspace root: apart from each other, swept like the global ones."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cis_provider.errors import ConfigError, WorkspaceError
from cis_provider.model.session import SessionKey, WorkspaceRequest
from cis_provider.workspaces import manager
from cis_provider.workspaces.manager import Kept, Removed, conclude, sweep

from .conftest import commit, git

pytestmark = pytest.mark.integration

A, B = "project:a", "project:b"
KEY = SessionKey("d", "r", "x")


def claim(path: str, scope: str) -> str | None:
    return manager.claim_path(WorkspaceRequest(kind="folder", path=path), KEY, scope)


def swept(root: Path, alive: tuple[Path, ...] = ()) -> list[Removed | Kept]:
    return sweep(root, now=time.time() + 15 * 86400, alive=alive)


def test_the_same_names_are_other_folders_in_another_scope(prepare, root) -> None:
    scopes = ["global", A, B, "user:a", "type:a"]
    for request in ({}, {"kind": "folder", "path": "backend"}):
        folders = [prepare("x", scope=scope, **request).path for scope in scopes]
        assert len(set(folders)) == len(scopes)
        assert all(folder.is_relative_to(root) for folder in folders)
    assert folders == [
        root / home / "backend" for home in ("", "@project-a", "@project-b", "@user-a", "@type-a")
    ]


def test_a_claim_is_on_the_folder_that_the_agent_gets(prepare, tmp_path) -> None:
    for scope in ("global", A):
        made = prepare("x", scope=scope, kind="folder", path="backend")
        assert claim("backend", scope) == str(made.path)
        # However it is called.
        assert claim(str(made.path), B) == str(made.path)
    assert claim(str(tmp_path / "x"), A) == claim(str(tmp_path / "x"), B)
    with pytest.raises(ConfigError):
        claim("backend", "team:a")


@pytest.mark.parametrize(
    "path", ["../@project-b/x", "../x", "x/../../y", ".", "", ".cis/x", "@project-b", "@user-b/x"]
)
def test_a_relative_folder_never_leads_to_another_scope(prepare, root, path) -> None:
    prepare("x", scope=B)
    for scope in ("global", A):
        with pytest.raises(WorkspaceError):
            prepare("y", scope=scope, kind="folder", path=path)
        with pytest.raises(WorkspaceError):
            claim(path, scope)
    assert not (root / "@project-a").exists()


@pytest.mark.parametrize("target", ["outside", "root/@project-b", "root/plain"])
def test_no_link_leads_from_one_scope_to_another_or_out(prepare, root, tmp_path, target) -> None:
    mine = prepare("x", scope=A).slot.home
    target = tmp_path / "outside" if target == "outside" else root / target.removeprefix("root/")
    target.mkdir()
    (mine / "door").symlink_to(target)
    with pytest.raises(WorkspaceError, match="leads out"):
        prepare("y", scope=A, kind="folder", path="door/x")
    if target.name == "@project-b":
        (root / "door").symlink_to(target)
        with pytest.raises(WorkspaceError, match="kept for the agents of a scope"):
            prepare("y", kind="folder", path="door/x")
    assert list(target.iterdir()) == []


def test_a_scopes_folder_that_became_a_link_is_refused_and_not_swept(prepare, root, tmp_path) -> None:
    made = prepare("x", scope=A)
    moved = tmp_path / "moved"
    made.slot.home.rename(moved)
    made.slot.home.symlink_to(moved)
    for request in ({}, {"kind": "folder", "path": "backend"}):
        with pytest.raises(WorkspaceError, match="is a link"):
            prepare("x", scope=A, **request)
    with pytest.raises(WorkspaceError):
        claim("backend", A)
    assert swept(root) == [] and (moved / "dag/r1/x").is_dir()


def test_the_sweep_removes_and_keeps_below_scopes_as_it_does_elsewhere(prepare, repo, root) -> None:
    fresh, tree = prepare("f", scope=A), prepare("t", scope=A, kind="worktree", repo=str(repo))
    kept = prepare("k", scope=B, kind="worktree", repo=str(repo))
    named = prepare("n", scope="user:1", kind="folder", path="backend")
    alive = prepare("l", scope="type:t")
    for made in (fresh, tree, kept, named):
        conclude(made, failed=False)
    commit(kept.path, "one.txt", "1\n")
    outcomes = swept(root, alive=(alive.path,))
    assert {one.path for one in outcomes if isinstance(one, Removed)} == {fresh.path, tree.path}
    assert {one.path for one in outcomes if isinstance(one, Kept)} == {kept.path}
    assert not (root / "@project-a").exists()
    assert named.path.is_dir() and alive.path.is_dir()
    assert git("branch", "--list", "cis/*", cwd=repo).split()[-1] == kept.branch
    # The last one's folder, and that of its scope, go; the root stays.
    git("merge", "-q", kept.branch, cwd=repo)
    assert swept(root, alive=(alive.path,)) == [Removed(kept.path)]
    assert sorted(path.name for path in root.iterdir()) == [".cis", "@type-t", "@user-1"]


def test_scopes_share_the_clone_of_an_address_and_the_locks(prepare, repo, root) -> None:
    made = [
        prepare("x", run=scope, scope=scope, kind="worktree", repo=f"file://{repo}")
        for scope in ("global", A, B)
    ]
    assert len({one.repo for one in made}) == 1 and made[0].repo.is_relative_to(root / ".cis/repos")
    assert len({one.branch for one in made}) == 3
    assert {path.relative_to(root).parts[0] for path in root.rglob("locks")} == {".cis"}


def test_an_agent_that_changes_its_scope_between_tries_begins_on_a_branch_of_its_own(prepare, repo) -> None:
    first = prepare("x", scope=A, kind="worktree", repo=str(repo))
    second = prepare("x", scope=B, kind="worktree", repo=str(repo))
    assert (first.branch, second.branch) == ("cis/dag/r1/x", "cis/dag/r1/x-2")
    assert prepare("x", scope=A, kind="worktree", repo=str(repo)).path == first.path


def test_rollback_of_a_scopes_folder_puts_back_that_one(prepare) -> None:
    request = {"kind": "folder", "path": "backend"}
    mine, theirs = prepare("x", scope=A, rollback=True, **request), prepare("x", scope=B, **request)
    for made in (mine, theirs):
        (made.path / "f").touch()
    assert conclude(mine, failed=True).rolled_back
    assert not (mine.path / "f").exists() and (theirs.path / "f").exists()

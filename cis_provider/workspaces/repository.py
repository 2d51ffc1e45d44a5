"""Repositories and their worktrees: found or cloned, branched, listed, removed."""

from __future__ import annotations

import difflib
import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path

from cis_provider.errors import WorkspaceError
from cis_provider.workspaces import git
from cis_provider.workspaces.names import OWN, safe_name
from cis_provider.workspaces.record import held, repository_lock

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+|[\w.-]+@[\w.-]+:.+|[\w-][\w.-]+:(?!/{2}).+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@\s]*:[^/@\s]+@")


@dataclass(frozen=True)
class Repository:
    """
    A repository on this node.

    :param git_dir: What all its worktrees share: ``.git`` of a usual clone, the folder of a bare one.
    :param name: What people call it: its folder, or the address it was cloned from.
    :param cloned: Whether it is our own bare clone of an address.
    """

    git_dir: Path
    name: str
    cloned: bool = False

    @property
    def folder(self) -> Path:
        """The folder a person would name."""
        return self.git_dir.parent if self.git_dir.name == ".git" else self.git_dir


def open_repository(repo: str, ref: str, root: Path) -> Repository:
    """
    The repository at a path of this node, or a clone of an address, brought up to date.

    :param ref: What will be taken from it; a full commit id that is there already needs no fetch.
    :raises WorkspaceError: No repository, no way to it, or an address with a password.
    """
    if not repo or repo.startswith("-") or "\0" in repo:
        raise WorkspaceError(f"repo {repo!r} is neither a folder nor an address that git can clone")
    if Path(repo).is_absolute():
        return _local(Path(repo))
    if not _URL.fullmatch(repo):
        raise WorkspaceError(
            f"repo {repo!r} is neither an absolute path nor an address that git can clone "
            "(https://..., ssh://..., user@host:path)"
        )
    if _PASSWORD.match(repo):
        raise WorkspaceError(
            f"repo {git.masked(repo)}: an address with a password in it would end up on disk and in process "
            "lists; take it out, and let a credential helper or an ssh key on the node speak for it"
        )
    return _cloned(repo, ref, root)


def repository_of(folder: Path) -> Repository | None:
    """The repository whose worktree begins at exactly ``folder``; ``None`` where none does, or without a commit."""
    if not (folder / ".git").exists() or head(folder) is None:
        return None
    git_dir = _git_dir(folder)
    return Repository(git_dir, str(git_dir.parent if git_dir.name == ".git" else git_dir))


def resolve(repository: Repository, ref: str) -> str:
    """
    The full commit id of a branch, tag or commit; of the default branch for an empty ``ref``.

    In a clone, branches mean those of the address, as last fetched.

    :raises WorkspaceError: There is none of that name.
    """
    if ref.startswith("-"):
        raise WorkspaceError(f"ref {ref!r} begins with '-', which no branch, tag or commit does")
    for candidate in _candidates(repository, ref):
        answer = git.ask(
            ["rev-parse", "--verify", "--quiet", f"{candidate}^{{commit}}"], cwd=repository.git_dir
        )
        if not answer.code:
            return answer.out.strip()
    if not ref:
        raise WorkspaceError(
            f"{repository.name} has no commit yet, or no default branch; commit something there, or give a ref"
        )
    raise WorkspaceError(f"{repository.name} has no branch, tag or commit {ref!r}{_others(repository, ref)}")


def head(folder: Path) -> str | None:
    """The commit that a work tree stands on; ``None`` where there is none yet, or no repository."""
    answer = git.ask(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], cwd=folder)
    return answer.out.strip() if not answer.code else None


def current_branch(folder: Path) -> str | None:
    """The branch that a work tree is on; ``None`` between branches."""
    answer = git.ask(["symbolic-ref", "--quiet", "--short", "HEAD"], cwd=folder)
    return git.printable(answer.out.strip()) if not answer.code else None


def add_worktree(repository: Repository, folder: Path, branch: str, commit: str, root: Path) -> str:
    """
    Make a worktree at ``commit`` on a new branch; the branch's name comes back.

    That is ``branch``, or with a number added where that is taken. Only the entry is made under the
    repository's lock; many agents may check out at once.

    :raises WorkspaceError: Nothing is left of it then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with held(root, repository_lock(repository.git_dir), seconds=git.SLOW):
        name = create_ref(repository, f"refs/heads/{branch}", commit).removeprefix("refs/heads/")
        answer = git.ask(
            ["worktree", "add", "--force", "--no-checkout", "--", str(folder), name], cwd=repository.git_dir
        )
        if answer.code:
            delete_branch(repository, name, commit)
            raise WorkspaceError(git.failure(["worktree", "add"], repository.folder, answer))
    answer = git.ask(["reset", "--hard", "--quiet"], cwd=folder, timeout=git.SLOW)
    if answer.code:
        remove_worktree(repository, folder, force=True)
        delete_branch(repository, name, commit)
        raise WorkspaceError(git.failure(["checkout"], repository.folder, answer))
    return name


def bring_back_worktree(repository: Repository, folder: Path, branch: str, root: Path) -> bool:
    """Check out ``branch`` at ``folder`` again, which somebody removed; whether the branch was still there."""
    with held(root, repository_lock(repository.git_dir), seconds=git.SLOW):
        if tip(repository, branch) is None:
            return False
        git.run(
            ["worktree", "add", "--force", "--", str(folder), branch],
            cwd=repository.git_dir,
            timeout=git.SLOW,
        )
        return True


def remove_worktree(repository: Repository, folder: Path, *, force: bool = False) -> git.Answer:
    """Take a worktree away. Without ``force`` git itself refuses where something in it is not committed."""
    flags = ["--force", "--force"] if force else []
    return git.ask(
        ["worktree", "remove", *flags, "--", str(folder)], cwd=repository.git_dir, timeout=git.SLOW
    )


def create_ref(repository: Repository, ref: str, commit: str) -> str:
    """
    Make a ref that was not there before, with a number added to its name where it is taken.

    :raises WorkspaceError: git takes the name with no number.
    """
    nothing = "0" * len(commit)
    for number in range(1, 1000):
        name = ref if number == 1 else f"{ref}-{number}"
        args = ["update-ref", name, commit, nothing]
        answer = git.ask(args, cwd=repository.git_dir)
        if not answer.code:
            return name
        if git.ask(["show-ref", "--verify", "--quiet", name], cwd=repository.git_dir).code:
            raise WorkspaceError(git.failure(args, repository.folder, answer))
    raise WorkspaceError(f"{repository.name} has a thousand refs named {ref}-N; remove those not needed")


def tip(repository: Repository, branch: str) -> str | None:
    """The commit of a branch; ``None`` where there is no such branch."""
    answer = git.ask(
        ["rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"], cwd=repository.git_dir
    )
    return answer.out.strip() if not answer.code else None


def delete_branch(repository: Repository, branch: str, commit: str) -> bool:
    """Remove a branch if it still is at ``commit``; whether it was."""
    return not git.ask(["update-ref", "-d", f"refs/heads/{branch}", commit], cwd=repository.git_dir).code


def kept_by_others(repository: Repository, commit: str, *, but: str) -> bool:
    """Whether a branch other than ``but``, here or of a remote as last fetched, holds ``commit``."""
    out = git.run(
        ["for-each-ref", "--contains", commit, "--format=%(refname)", "refs/heads", "refs/remotes"],
        cwd=repository.git_dir,
    )
    return any(ref != f"refs/heads/{but}" for ref in out.splitlines())


def _local(path: Path) -> Repository:
    git_dir = _git_dir(path)
    top = git.ask(["rev-parse", "--show-toplevel"], cwd=path)
    beginning = Path(top.out.removesuffix("\n")) if not top.code else git_dir
    if beginning.resolve() != path.resolve():
        raise WorkspaceError(f"{path} is a folder inside the repository {beginning}; name that one as repo")
    return Repository(git_dir, str(path))


def _cloned(url: str, ref: str, root: Path) -> Repository:
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    readable = safe_name(re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git") or "repository")
    home = root / OWN / "repos" / f"{readable}-{digest}.git"
    repository = Repository(home, git.masked(url), cloned=True)
    fetched = home / "cis-fetched"
    arrived = time.time()
    if _COMMIT.fullmatch(ref) and fetched.exists() and _has(repository, ref):
        return repository
    with held(root, repository_lock(home), seconds=git.REMOTE):
        # Of many agents that come at once, the first fetches for all that came before it was done.
        if not fetched.exists() or fetched.stat().st_mtime < arrived:
            _fetch(url, home)
            fetched.touch()
    return repository


def _fetch(url: str, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    # Each step may be repeated: a clone that was killed in the middle is simply gone on with.
    git.run(["init", "--bare", "--quiet"], cwd=home)
    git.run(["config", "remote.origin.url", url], cwd=home)
    git.run(["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"], cwd=home)
    args = ["fetch", "--quiet", "--prune", "--tags", "--force", "origin"]
    answer = git.ask(args, cwd=home, timeout=git.REMOTE)
    if answer.code:
        raise WorkspaceError(git.failure(args, url, answer))
    git.ask(["remote", "set-head", "origin", "--auto"], cwd=home, timeout=git.SLOW)


def _has(repository: Repository, commit: str) -> bool:
    return not git.ask(["cat-file", "-e", f"{commit}^{{commit}}"], cwd=repository.git_dir).code


def _git_dir(folder: Path) -> Path:
    out = git.run(["rev-parse", "--git-common-dir"], cwd=folder)
    return (folder / out).resolve()


def _candidates(repository: Repository, ref: str) -> list[str]:
    if not repository.cloned:
        return [f"refs/heads/{ref}", ref, f"refs/remotes/origin/{ref}"] if ref else ["HEAD"]
    if not ref:
        return ["refs/remotes/origin/HEAD"]
    names = [f"refs/remotes/origin/{ref}", f"refs/tags/{ref}", f"refs/remotes/{ref}", f"refs/heads/{ref}"]
    return [*names, ref] if re.fullmatch(r"[0-9a-f]{7,64}|refs/.+", ref) else names


def _others(repository: Repository, ref: str) -> str:
    where = "refs/remotes/origin" if repository.cloned else "refs/heads"
    answer = git.ask(
        ["for-each-ref", f"--format=%(refname:lstrip={where.count('/') + 1})", where, "refs/tags"],
        cwd=repository.git_dir,
    )
    known = [
        line for line in answer.out.splitlines() if line not in ("", "HEAD") and not line.startswith("cis/")
    ]
    close = difflib.get_close_matches(ref, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(known[:8])}" if known else ""

"""Step 2: raise one pin at a time; commit what passes the check, put back what does not."""

from __future__ import annotations

import re
from pathlib import Path

from nightly_upgrade import git
from nightly_upgrade.checks import CheckResult, run_check
from nightly_upgrade.errors import StepError
from nightly_upgrade.find import read_requirements
from nightly_upgrade.handover import pack, read_input, unpack, write_output
from nightly_upgrade.index import Release
from nightly_upgrade.pins import Pin, find_pins, raise_pin
from nightly_upgrade.records import Found, Outdated, Raised, Refused, Upgraded, to_dict
from nightly_upgrade.settings import Settings

_SUBJECT = re.compile(r"Raise (?P<name>\S+) from (?P<old>\S+) to (?P<new>\S+)")


def run(settings: Settings, folder: Path) -> int:
    """Work through what ``find`` handed over."""
    found = Found.from_dict(unpack(read_input("find")))
    upgraded = Upgrade(settings, folder).run(found)
    write_output(pack(describe(upgraded), to_dict(upgraded)))
    return 0


class Upgrade:
    """One night's work in one worktree. A second run in the same worktree goes on where the first ended."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.raised: list[Raised] = []
        self.refused: list[Refused] = []
        self.left: list[str] = []

    def run(self, found: Found) -> Upgraded:
        """:raises StepError: The check fails before anything is raised, or git refuses something."""
        self._refuse_foreign_changes()
        self.raised = raises_since(self.folder, found.base)
        if found.outdated:
            self._check_as_it_is()
        for number, outdated in enumerate(found.outdated, 1):
            print(f"[{number}/{len(found.outdated)}] {outdated.name} {outdated.version}", flush=True)
            self._raise_one(outdated)
        return Upgraded(
            base=found.base,
            head=git.head(self.folder),
            branch=git.branch(self.folder),
            raised=self.raised,
            refused=self.refused,
            left=self.left,
            diff_stat=git.diff_stat(self.folder, found.base),
            repository=str(git.repository(self.folder)),
        )

    def _refuse_foreign_changes(self) -> None:
        """What a killed run left in our file is put back. Changes elsewhere are somebody else's."""
        changed = git.git(self.folder, "diff", "--name-only", "HEAD").splitlines()
        foreign = [path for path in changed if path != self.settings.requirements]
        if foreign:
            raise StepError(
                f"there are uncommitted changes in {', '.join(foreign)}; commit or undo them first"
            )
        git.restore(self.folder)

    def _check_as_it_is(self) -> None:
        """A check that fails anyway tells nothing about a new version."""
        print(f"check before anything is raised: {self.settings.check}", flush=True)
        result = self._check()
        if not result.passed:
            print("\n".join(result.tail), flush=True)
            raise StepError(f"the check fails before anything is raised: {result.reason}")
        print(f"  passed in {result.seconds:.1f} s", flush=True)

    def _raise_one(self, outdated: Outdated) -> None:
        pin = Pin(outdated.name, outdated.version)
        if pin not in find_pins(read_requirements(self.folder, self.settings.requirements)):
            print("  not in the file any more", flush=True)
        elif len(self.raised) >= self.settings.max_raises:
            print(f"  left for another night: {self.settings.max_raises} are raised", flush=True)
            self.left.append(pin.name)
        else:
            for release in outdated.candidates:
                if self._try(pin, release):
                    return

    def _try(self, pin: Pin, release: Release) -> bool:
        """Raise, check, and commit or put back. Tells whether it was committed."""
        path = self.folder / self.settings.requirements
        path.write_text(raise_pin(path.read_text(encoding="utf-8"), pin, release.version), encoding="utf-8")
        result = self._check()
        if not result.passed:
            print("\n".join(f"    {line}" for line in result.tail))
            print(f"  {release.version} refused, put back: {result.reason}", flush=True)
            git.restore(self.folder)
            self.refused.append(Refused(pin.name, pin.version, release.version, result.reason))
            return False
        message = commit_message(pin, release, self.settings.check)
        commit = git.commit_file(self.folder, self.settings.requirements, message)
        git.restore(self.folder)
        print(f"  {release.version} passed in {result.seconds:.1f} s, committed {commit[:10]}", flush=True)
        self.raised.append(Raised(pin.name, pin.version, release.version, commit, release.notes))
        return True

    def _check(self) -> CheckResult:
        return run_check(self.settings.check, self.folder, self.settings.check_timeout)


def raises_since(folder: Path, base: str) -> list[Raised]:
    """What an earlier, interrupted run in this worktree has committed."""
    log = git.git(folder, "log", "--reverse", "--format=%H %s", f"{base}..HEAD")
    commits = [line.partition(" ") for line in log.splitlines()]
    found = [(commit, _SUBJECT.fullmatch(subject)) for commit, _, subject in commits]
    return [Raised(match["name"], match["old"], match["new"], commit) for commit, match in found if match]


def commit_message(pin: Pin, release: Release, check: str) -> str:
    """Its subject is what :func:`raises_since` looks for."""
    lines = [f"Raise {pin.name} from {pin.version} to {release.version}", "", f"Passed: {check}"]
    if release.notes:
        lines.append(f"Changes: {release.notes}")
    return "\n".join(lines)


def describe(upgraded: Upgraded) -> str:
    """The Markdown for people, and for an agent that takes the next step."""
    lines = [f"{len(upgraded.raised)} raised, {len(upgraded.refused)} refused, on `{upgraded.branch}`.", ""]
    lines += [f"- {one.name}: {one.old} -> {one.new}, commit {one.commit[:10]}" for one in upgraded.raised]
    lines += [f"- {one.name}: {one.tried} refused: {one.reason}" for one in upgraded.refused]
    lines += [f"- {name}: left for another night" for name in upgraded.left]
    return "\n".join(lines)

"""
Ask the package index for newer releases, through pip.

pip is what knows the machine's index, its mirror, its certificates and its login. It also leaves out
releases that were withdrawn, and those that are not for this Python.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from nightly_upgrade.errors import StepError
from nightly_upgrade.pins import Pin, series_limit

ASK_TIMEOUT = 60.0
"""Seconds for one question."""

_ASK = (
    "install --dry-run --no-deps --ignore-installed --quiet --disable-pip-version-check --no-input --report -"
)


@dataclass(frozen=True)
class Release:
    """A version on the index, and where its changes are described (a URL, or nothing)."""

    version: str
    notes: str = ""


def newer_releases(pin: Pin) -> list[Release]:
    """
    The newest release, and, if that is of another series (2.x to 3.x), the newest one of the pin's own:
    a check that refuses the first may well accept the second. Empty if the pin is the newest.

    :raises StepError: pip got no answer from the index, or none in time.
    """
    newest = ask(f"{pin.name}>={pin.version}")
    limit = series_limit(pin.version)
    candidates = [newest]
    if limit is not None and series_limit(newest.version) != limit:
        candidates.append(ask(f"{pin.name}>={pin.version},<{limit}"))
    return [release for release in candidates if release.version != pin.version]


def ask(requirement: str) -> Release:
    """
    The release that pip would install for ``requirement``. Installs nothing.

    :raises StepError: As :func:`newer_releases`.
    """
    command = [sys.executable, "-m", "pip", *_ASK.split(), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise StepError(
            f"no answer for {requirement} from the package index in {ASK_TIMEOUT:.0f} s"
        ) from None
    if done.returncode:
        raise StepError(f"pip found nothing for {requirement}: {_last_line(done.stderr)}")
    return read_report(done.stdout)


def read_report(text: str) -> Release:
    """The release in pip's installation report (JSON), which has one package."""
    metadata: dict[str, Any] = json.loads(text)["install"][0]["metadata"]
    return Release(metadata["version"], _notes_url(metadata.get("project_url", [])))


def _notes_url(project_urls: list[str]) -> str:
    """Of ``"Changelog, https://..."`` entries the one that tells what has changed."""
    for entry in project_urls:
        label, _, url = entry.partition(",")
        if any(word in label.lower() for word in ("change", "release notes", "history", "what's new")):
            return url.strip()
    return ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"

"""Step 3: does the result hold in a fresh checkout, where nothing is left over from the raising?"""

from __future__ import annotations

from pathlib import Path

from nightly_upgrade import git
from nightly_upgrade.checks import run_check
from nightly_upgrade.errors import StepError
from nightly_upgrade.handover import pack, read_input, unpack, write_output
from nightly_upgrade.records import Upgraded, Verified, to_dict
from nightly_upgrade.settings import Settings


def run(settings: Settings, folder: Path) -> int:
    """Check the commit that ``upgrade`` handed over; exit code 1 when it does not pass."""
    upgraded = Upgraded.from_dict(unpack(read_input("upgrade")))
    verified = verify(upgraded, settings, folder)
    write_output(pack(describe(verified, upgraded), to_dict(verified)))
    return 1 if verified.passed is False else 0


def verify(upgraded: Upgraded, settings: Settings, folder: Path) -> Verified:
    """:raises StepError: The folder does not stand at the commit that is to be verified."""
    if not upgraded.raised:
        print("nothing was raised, so there is nothing to verify")
        return Verified(passed=None)
    at = git.head(folder)
    if at != upgraded.head:
        raise StepError(f"{folder} is at {at[:10]}, the upgrade ended at {upgraded.head[:10]}")
    print(f"check of {at[:10]} in a fresh checkout: {settings.check}", flush=True)
    result = run_check(settings.check, folder, settings.check_timeout)
    if not result.passed:
        print("\n".join(result.tail))
        print(f"failed: {result.reason}")
        return Verified(passed=False, seconds=round(result.seconds, 1), reason=result.reason)
    print(f"passed in {result.seconds:.1f} s")
    return Verified(passed=True, seconds=round(result.seconds, 1))


def describe(verified: Verified, upgraded: Upgraded) -> str:
    """The Markdown for people, and for an agent that takes the next step."""
    if verified.passed is None:
        return "Nothing was raised, so there was nothing to verify."
    if verified.passed:
        return f"The check passed on {upgraded.head[:10]} in a fresh checkout, in {verified.seconds} s."
    return f"The check FAILED on {upgraded.head[:10]} in a fresh checkout: {verified.reason}"

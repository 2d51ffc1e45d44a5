"""The nightly upgrade's pure parts: pins, what steps hand over, the report."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly_upgrade import handover, report
from nightly_upgrade.checks import CheckResult
from nightly_upgrade.errors import StepError
from nightly_upgrade.find import describe, find_outdated
from nightly_upgrade.index import Release, read_report
from nightly_upgrade.pins import Pin, find_pins, raise_pin, series_limit
from nightly_upgrade.records import Found, Outdated, Raised, Refused, Upgraded, Verified, to_dict
from nightly_upgrade.settings import Settings

REQUIREMENTS = """\
# comment
-r other.txt
click==8.0.4
Jinja2[i18n] == 3.1.2 ; python_version > "3.9"  # why

packaging==21.0# tight
free>=1.0
wild==1.*
hashed==1.0 --hash=sha256:00
continued==1.0 \\
  --hash=sha256:00
name @ https://example.org/name.whl
"""

SETTINGS = Settings("/repo", "requirements.txt", "make test", max_raises=10, check_timeout=60)
ENVIRONMENT = {
    "UPGRADE_REPO": "/repo",
    "UPGRADE_REQUIREMENTS": "requirements.txt",
    "UPGRADE_CHECK": "make test",
    "UPGRADE_MAX_RAISES": "10",
    "UPGRADE_CHECK_TIMEOUT": "60",
}
UPGRADED = Upgraded(
    base="b" * 40,
    head="a" * 40,
    branch="work/1",
    raised=[Raised("click", "8.0.4", "8.5.1", "c" * 40, "https://example.org/changes")],
    refused=[Refused("packaging", "21.0", "26.3", "InvalidVersion: a | b")],
    left=["six"],
    diff_stat=" requirements.txt | 2 +-",
)
FOUND = Found(
    base="b" * 40,
    pins=4,
    outdated=[Outdated("click", "8.0.4", [Release("9.0", "https://example.org"), Release("8.5.1")])],
    unanswered={"ours": "pip found nothing"},
)

versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(rc[0-9])?", fullmatch=True)
names = st.from_regex(r"[A-Za-z]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?", fullmatch=True)


def test_only_plain_pins_are_found() -> None:
    assert find_pins(REQUIREMENTS) == [
        Pin("click", "8.0.4"),
        Pin("Jinja2", "3.1.2"),
        Pin("packaging", "21.0"),
    ]


def test_a_raise_changes_its_version_and_nothing_else() -> None:
    raised = raise_pin(REQUIREMENTS, Pin("Jinja2", "3.1.2"), "3.1.6")
    assert raised == REQUIREMENTS.replace("3.1.2", "3.1.6")


@given(before=names, name=names, old=versions, new=versions, end=st.sampled_from(["\n", "\r\n", ""]))
def test_a_raised_pin_is_found_at_its_new_version(
    before: str, name: str, old: str, new: str, end: str
) -> None:
    text = f"# {before}=={old}\n{name}=={old} # {old}{end}"
    if new == old:
        return
    raised = raise_pin(text, Pin(name, old), new)
    assert find_pins(raised) == [Pin(name, new)]
    assert raise_pin(raised, Pin(name, new), old) == text


def test_a_pin_that_is_not_there_cannot_be_raised() -> None:
    with pytest.raises(ValueError, match=r"click==8\.0"):
        raise_pin(REQUIREMENTS, Pin("click", "8.0"), "9.0")


@pytest.mark.parametrize(
    ("version", "limit"), [("21.3", "22"), ("7", "8"), ("2024.1.post1", "2025"), ("1!2.0", None)]
)
def test_a_series_ends_before_the_next_first_number(version: str, limit: str | None) -> None:
    assert series_limit(version) == limit


def test_the_link_to_what_is_new_comes_from_the_release_itself() -> None:
    urls = ["Source, https://example.org/src", "Changelog, https://example.org/new,old"]
    pip_says = {"install": [{"metadata": {"version": "2.0", "project_url": urls}}]}
    assert read_report(json.dumps(pip_says)) == Release("2.0", "https://example.org/new,old")


def test_one_pin_without_an_answer_does_not_stop_the_others() -> None:
    def ask(pin: Pin) -> list[Release]:
        if pin.name == "ours":
            raise StepError("pip found nothing")
        return [Release("2")] if pin.name == "old" else []

    found = find_outdated([Pin("ours", "1"), Pin("old", "1"), Pin("new", "2")], base="b", ask=ask)
    assert found.outdated == [Outdated("old", "1", [Release("2")])]
    assert found.unanswered == {"ours": "pip found nothing"}


def test_no_answer_at_all_is_said_as_an_unreachable_index() -> None:
    def ask(pin: Pin) -> list[Release]:
        raise StepError(f"no answer for {pin.name}")

    with pytest.raises(StepError, match=r"index cannot be reached.*pip config list.*no answer for one"):
        find_outdated([Pin("one", "1"), Pin("two", "1")], base="b", ask=ask)


def test_a_missing_or_wrong_order_is_named() -> None:
    assert Settings.from_environment(ENVIRONMENT) == SETTINGS
    with pytest.raises(StepError, match="UPGRADE_CHECK is not set"):
        Settings.from_environment(ENVIRONMENT | {"UPGRADE_CHECK": " "})
    with pytest.raises(StepError, match="UPGRADE_MAX_RAISES is '0', not a whole number"):
        Settings.from_environment(ENVIRONMENT | {"UPGRADE_MAX_RAISES": "0"})


@given(
    st.dictionaries(st.text(), st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5))
)
def test_what_is_packed_is_unpacked(data: dict[str, Any]) -> None:
    assert handover.unpack(handover.pack("# Title\n\n```json\n[1]\n```\n", data)) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just words", "no ```json block"),
        ("```json\n{\n```", "is broken"),
        ("```json\n[]\n```", "not an object"),
    ],
)
def test_a_text_without_data_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(StepError, match=message):
        handover.unpack(text)


def test_records_survive_the_way_through_json() -> None:
    for record in (FOUND, UPGRADED, Verified(passed=True, seconds=1.5)):
        assert type(record).from_dict(json.loads(json.dumps(to_dict(record)))) == record


def test_a_record_that_lacks_something_says_what() -> None:
    with pytest.raises(StepError, match="'outdated'"):
        Found.from_dict({"base": "b", "pins": 1})
    with pytest.raises(StepError, match="raises pins lacks something"):
        Upgraded.from_dict(to_dict(UPGRADED) | {"raised": [{"name": "click"}]})


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (
            [
                "Traceback (most recent call last):",
                "  File x",
                "packaging.version.InvalidVersion: Invalid: 'x'",
                "FAILED",
            ],
            "packaging.version.InvalidVersion: Invalid: 'x'",
        ),
        (["E   AssertionError: 1 != 2", "1 failed in 0.1s"], "E   AssertionError: 1 != 2"),
        (["ERROR: Cannot install a and b", ""], "ERROR: Cannot install a and b"),
        (["make: *** [test] Error 1"], "make: *** [test] Error 1"),
        ([], "it failed and printed nothing"),
    ],
)
def test_the_reason_is_the_line_that_a_person_would_pick(tail: list[str], reason: str) -> None:
    assert CheckResult(passed=False, seconds=1, tail=tail).reason == reason


def test_a_check_that_took_too_long_says_so() -> None:
    assert CheckResult(passed=False, seconds=61, tail=["ok"], timed_out=True).reason == "not done after 61 s"


def test_the_list_for_people_names_every_candidate_and_every_unknown() -> None:
    text = describe(FOUND, SETTINGS)
    assert "1 of 4 pins in `requirements.txt` are outdated." in text
    assert "- click 8.0.4: try 9.0, else 8.5.1" in text
    assert "- ours: unknown. pip found nothing" in text


def test_the_report_tells_what_was_raised_refused_and_left_and_how_to_take_it() -> None:
    text = report.render(SETTINGS, FOUND, UPGRADED, Verified(passed=True, seconds=2.5))
    assert "| click | 8.0.4 | 8.5.1 | `cccccccccc` | [what is new](https://example.org/changes) |" in text
    assert "| packaging | 26.3 | 21.0 | `InvalidVersion: a \\| b` |" in text
    assert "- six" in text
    assert "requirements.txt | 2 +-" in text
    assert "The check passed in a fresh checkout, in 2.5 s." in text
    assert "git -C /repo merge work/1" in text


@pytest.mark.parametrize("url", ["https://example.org/ours.git", "git@example.org:ours.git"])
def test_a_repository_named_by_url_is_fetched_from_the_nodes_copy(url: str) -> None:
    upgraded = dataclasses.replace(UPGRADED, repository="/copies/ours.git")
    text = report.render(dataclasses.replace(SETTINGS, repo=url), FOUND, upgraded, Verified(passed=True))
    assert "git fetch /copies/ours.git work/1 && git merge FETCH_HEAD" in text


def test_a_refused_package_shows_the_older_version_that_it_did_get() -> None:
    upgraded = dataclasses.replace(UPGRADED, raised=[Raised("packaging", "21.0", "21.3", "c" * 40)])
    assert "| packaging | 26.3 | 21.3 |" in report.render(SETTINGS, FOUND, upgraded, None)


@pytest.mark.parametrize(
    ("found", "upgraded", "verified", "words"),
    [
        (None, None, None, "search for outdated pins failed"),
        (FOUND, None, None, "Raising them failed"),
        (FOUND, UPGRADED, None, "could not be verified"),
        (
            FOUND,
            UPGRADED,
            Verified(passed=False, reason="boom"),
            "The check failed in a fresh checkout:** `boom`",
        ),
        (Found("b", 4), Upgraded("b", "b", "work/1"), Verified(passed=None), "All 4 pins"),
    ],
)
def test_a_night_that_went_wrong_offers_no_merge(
    found: Found | None, upgraded: Upgraded | None, verified: Verified | None, words: str
) -> None:
    text = report.render(SETTINGS, found, upgraded, verified)
    assert words in text
    assert "merge" not in text

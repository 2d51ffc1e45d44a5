"""When a DAG runs: cron expressions, presets, dates and time zones, judged without Airflow."""

from __future__ import annotations

import datetime
import zoneinfo
from functools import lru_cache

from dag_factory.diagnostics import did_you_mean

#: What Airflow knows by these names.
PRESETS = (
    "@once",
    "@continuous",
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@quarterly",
    "@yearly",
)


@lru_cache(maxsize=512)
def schedule_mistake(schedule: str) -> tuple[str, str] | None:
    """What is wrong with a schedule, and a hint; nothing when Airflow will take it."""
    if schedule in PRESETS:
        return None
    if schedule.startswith("@"):
        return f'unknown preset "{schedule}"', did_you_mean(
            schedule, PRESETS
        ) or f"there are {', '.join(PRESETS)}"
    from croniter import croniter

    try:
        croniter(schedule)
    except (ValueError, KeyError) as error:
        text = str(error)
        detail = "" if schedule in text else f": {text[:1].lower()}{text[1:]}"
        hint = "leave schedule out for none" if schedule.lower() in ("none", "null", "never", "") else ""
        return f'"{schedule}" is no cron expression{detail}', hint
    return None


@lru_cache(maxsize=256)
def timezone_mistake(name: str) -> tuple[str, str] | None:
    """What is wrong with a time zone's name, and a hint."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, zoneinfo.available_timezones()) or "such as Europe/Berlin"
        return f'"{name}" is no time zone', hint
    return None


def parse_start_date(text: str) -> datetime.datetime:
    """
    A date, or date and time, as ISO 8601 writes it; without an offset when the text has none.

    :raises ValueError: It is none.
    """
    try:
        return datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f'"{text}" is no date; write 2026-01-31 or 2026-01-31T06:00') from None

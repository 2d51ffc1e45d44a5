"""Times and sizes in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time at work, as short as it stays useful: ``0.4s``, ``12s``, ``3m20s``, ``2h05m``."""
    if seconds <= 0:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.1):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def size(kib: int) -> str:
    """Memory for people."""
    return f"{kib / 1024:.0f} MB" if kib < 1024 * 1024 else f"{kib / 1024 / 1024:.1f} GB"


def ago(seconds: float) -> str:
    """How long since."""
    return f"{duration(max(seconds, 1))} ago"

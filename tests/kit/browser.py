"""Airflow's pages in a real browser, as a user sees them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Debian's; the browsers that Playwright would fetch itself are not needed.
CHROMIUM = Path("/usr/bin/chromium")

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def logged_in(url: str, user: str, password: str) -> Iterator[Any]:
    """
    A page of an Airflow, logged in by its form.

    :param url: Where Airflow is.
    """
    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM} (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1400, "height": 820})
            page.set_default_timeout(30_000)
            page.goto(url)
            page.fill("input[name=username]", user)
            page.fill("input[name=password]", password)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{url}/**")
            yield page
        finally:
            browser.close()


def picture(page: Any, name: str) -> None:
    """Keep what is seen for the documents, in ``$PICTURES``; nothing without that."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")

"""The README and everything in docs/, read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_INLINE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``place`` is ``page:line``."""

    place: str
    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path from the top of the checkout."""
        return str(self.path.relative_to(CHECKOUT))

    @property
    def blocks(self) -> list[Block]:
        """Its fenced blocks."""
        return [
            Block(f"{self.name}:{self.text.count(chr(10), 0, found.start()) + 1}", found[2], found[3])
            for found in _FENCE.finditer(self.text)
        ]

    @property
    def prose(self) -> str:
        """What is not in fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        """Targets of links and pictures."""
        return _LINK.findall(self.prose)

    @property
    def inline_code(self) -> list[str]:
        """Code within lines."""
        return _INLINE.findall(self.prose)

    @property
    def anchors(self) -> set[str]:
        """Where a link into the page may lead, as GitHub makes them from headings."""
        heads = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.fixture(scope="session")
def pages() -> dict[Path, Page]:
    """Every page by its path."""
    files = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
    return {file: Page(file, file.read_text(encoding="utf-8")) for file in files}


@pytest.fixture(scope="session")
def blocks(pages: dict[Path, Page]) -> list[Block]:
    """Every fenced block."""
    return [block for page in pages.values() for block in page.blocks]


@pytest.fixture(scope="session")
def checkout() -> Path:
    return CHECKOUT

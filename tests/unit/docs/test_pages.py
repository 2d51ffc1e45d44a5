"""Links, pictures, and what the pages must not forget."""

from __future__ import annotations

import os
from typing import get_args

from cis_provider.model.result import AgentResult, Subtype
from cis_provider.wire.frames import MAX_FRAME


def test_every_link_leads_somewhere(pages):
    lost = []
    for path, page in pages.items():
        for link in page.links:
            if "://" in link:
                continue
            target, _, anchor = link.partition("#")
            file = (path.parent / target).resolve() if target else path
            if not file.exists() or (anchor and anchor not in pages[file].anchors):
                lost.append(f"{page.name}: {link}")
    assert lost == []


def test_the_readme_leads_to_every_page(pages, checkout):
    seen, todo = set(), [checkout / "README.md"]
    while todo:
        path = todo.pop()
        if path in seen or path not in pages:
            continue
        seen.add(path)
        links = [link.partition("#")[0] for link in pages[path].links if "://" not in link]
        todo += [(path.parent / link).resolve() for link in links if link]
    unreached = {pages[path].name for path in pages.keys() - seen}
    # Written by `make bench`.
    assert unreached - {"docs/benchmarks.md"} == set()


def test_pictures_are_small_and_shown(pages, checkout):
    shown = {
        (path.parent / link).resolve()
        for path, page in pages.items()
        for link in page.links
        if "://" not in link
    }
    for picture in (checkout / "docs" / "images").iterdir():
        assert picture in shown
        assert picture.stat().st_size < 300_000


def test_every_way_to_end_is_explained(pages, checkout):
    text = pages[checkout / "docs" / "running-and-ending.md"].text
    assert [name for name in get_args(Subtype) if f"| `{name}` |" not in text] == []


def test_every_field_of_a_result_is_explained(pages, checkout):
    text = pages[checkout / "docs" / "context-and-outputs.md"].text
    assert [name for name in AgentResult.__struct_fields__ if f"`{name}`" not in text] == []


def test_every_folder_of_the_code_is_in_the_architecture(pages, checkout):
    text = pages[checkout / "docs" / "architecture.md"].text
    packages = [file.parent.name for file in (checkout / "cis_provider").glob("*/__init__.py")]
    assert [name for name in packages if f"{name}/`" not in text] == []


def test_numbers_in_the_pages_are_those_of_the_code(pages, checkout):
    from cis_provider.cli.up import PARSE_DEADLINE
    from cis_provider.context.store import OUTPUT_LIMIT
    from cis_provider.operators.request import CONTEXT_BUDGET
    from cis_provider.session_log import LIMIT
    from cis_provider.worker.environment import INPUT_VARIABLE_LIMIT
    from cis_provider.worker.output import HEAD_LIMIT

    handed = pages[checkout / "docs" / "context-and-outputs.md"].text
    assert f"up to {INPUT_VARIABLE_LIMIT // 1024} KiB" in handed
    assert f"{CONTEXT_BUDGET:,} characters" in handed
    assert f"above {HEAD_LIMIT:,} characters" in handed
    assert f"up to {OUTPUT_LIMIT >> 20} MiB" in handed
    assert LIMIT == 1 << 20 and "the first MiB" in handed
    assert f"within {PARSE_DEADLINE:.0f} s" in pages[checkout / "docs" / "troubleshooting.md"].text
    assert f"at most {MAX_FRAME >> 20} MiB" in pages[checkout / "docs" / "architecture.md"].text


def test_no_page_names_a_place_of_somebody_elses_machine(pages):
    for page in pages.values():
        assert os.sep + "root" not in page.text, page.name

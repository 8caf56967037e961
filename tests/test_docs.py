"""The texts of the project: links lead somewhere, and what the method page names is in the code."""

import re
from pathlib import Path

import pytest

PAGES = sorted(
    path.relative_to(root).as_posix()
    for root in [Path(__file__).resolve().parent.parent]
    for path in [*root.glob("*.md"), *root.glob("docs/**/*.md")]
)


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub names them: lower case, hyphens for blanks, no other punctuation."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file_and_to_a_heading_in_it(page, repository):
    path = repository / page
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        there = path.parent / target if target else path
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_every_name_that_the_method_page_gives_is_in_the_file_that_it_gives(repository):
    text = (repository / "docs" / "methods.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)(?:: ([\w.]+))?`", text)
    assert len(named) > 20
    for file, name in named:
        path = repository / ("" if file.startswith("tests/") else "vinnas_tf") / file
        assert path.is_file(), file
        source = path.read_text(encoding="utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"^\s*(?:class |def )?{part}\b", source, re.MULTILINE), f"{file}: {name}"

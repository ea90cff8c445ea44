"""Every relative link in the documents leads somewhere, headings included."""

import re
from pathlib import Path

from support.tables import each

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def documents(root: Path) -> list[Path]:
    """All Markdown files but those of tools and of what we build."""
    skipped = {"artifacts", "build", "dist", "node_modules"}
    files = (path for path in root.rglob("*.md") if not skipped & set(path.relative_to(root).parts))
    return sorted(p for p in files if not any(part.startswith(".") for part in p.relative_to(root).parts))


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of headings: lower case, punctuation gone, blanks to dashes."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    broken = []
    for link in ("".join(found) for found in LINK.findall(text)):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if re.match(r"[a-z]+:", link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


@each("page", documents(ROOT))
def test_each_link_leads_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_the_readme_is_among_the_documents() -> None:
    assert ROOT / "README.md" in documents(ROOT)


def test_a_dead_link_and_a_dead_heading_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One `two`, three\n")
    page = tmp_path / "page.md"
    page.write_text("[a](other.md#one-two-three) [b](gone.md) [c](other.md#four) [d](https://x.test/y) `[e](f.md)`")
    assert broken_links(page) == ["gone.md", "other.md#four"]

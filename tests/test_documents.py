"""What the documents say is so: links lead somewhere, commands exist, figures stand in the results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jaxresp import cli, shipped

ROOT = shipped.root()
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "bento/*.md", "experiments/*.md", "datasets/*/*.md")
    for path in ROOT.glob(pattern)
)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def chapter(title: str) -> str:
    """A chapter of the README."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / target).exists(), target


def test_figures_stand_in_the_results_that_are_named() -> None:
    rows = [line for line in chapter("What was measured").splitlines() if "experiments/results/" in line]
    assert rows
    for row in rows:
        words, files = re.sub(r"\]\([^)]*\)", "", row), re.findall(r"\(([^)]*results/[^)]*)\)", row)
        results = "".join((ROOT / file).read_text(encoding="utf-8") for file in files)
        for figure in re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])|\d+,\d{3}|\b\d{2,4}\b", words):
            assert figure in results, f"{figure}: not in {', '.join(files)}"


def test_every_command_of_the_documents_is_one() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    asked = set(re.findall(r"(?:^ *|`|bin/)jaxresp ([a-z]+)\b", text, re.MULTILINE))
    assert len(asked) > 10
    assert asked <= set(cli.cli.commands), asked - set(cli.cli.commands)


def test_every_module_of_the_house_is_there() -> None:
    tree = chapter("The house").partition("```\n")[2].partition("```")[0]
    named = [word for line in tree.splitlines() if line.startswith("  ") for word in line[2:43].split()]
    assert len(named) > 20
    for name in named:
        assert (ROOT / "jaxresp" / name.rstrip("/")).is_dir() or (ROOT / "jaxresp" / f"{name}.py").is_file(), name

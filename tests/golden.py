"""The golden renders: what the template makes of a pairwise set of answers.

Every pair of answers to two questions occurs in some variant. `make golden` writes the files again.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pixi_scaffold.template import Template, render
from tests.support.paths import REPOSITORY, copy_template

FOLDER = Path(__file__).with_name("golden")
QUESTIONS: dict[str, tuple[str, ...]] = {
    "cuda_version": ("12.9", "13.0", "12.9 and 13.0"),
    "site": ("generic", "chtc", "ospool", "lxplus"),
    "delivery": ("bootstrap", "pack", "container"),
    "ci": ("github", "gitlab", "none"),
    "license": ("MIT", "BSD-3-Clause", "none"),
    "python_min": ("3.11", "3.12", "3.13", "3.14"),
    "author": ("", 'Ada "AI" Lovelace <ada@example.org>'),
    "channel": ("conda-forge", "https://mirror.example.org/conda-forge"),
    "example": ("digits", "none"),
    "layout": ("flat", "package"),
}


def variants() -> list[dict[str, str]]:
    """Return sets of answers, the defaults first, in which every pair of answers occurs."""
    names = list(QUESTIONS)
    missing = {
        ((a, x), (b, y))
        for a, b in itertools.combinations(names, 2)
        for x in QUESTIONS[a]
        for y in QUESTIONS[b]
    }
    found = [{name: values[0] for name, values in QUESTIONS.items()}]
    missing -= _pairs(found[0])
    while missing:
        row = dict(min(missing))
        for name in names:
            if name not in row:
                row[name] = max(
                    QUESTIONS[name],
                    key=lambda value, name=name: len(missing & _pairs({**row, name: value})),
                )
        row = {name: row[name] for name in names}
        found.append(row)
        missing -= _pairs(row)
    return found


def _pairs(row: dict[str, str]) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    order = list(QUESTIONS)
    items = sorted(row.items(), key=lambda item: order.index(item[0]))
    return set(itertools.combinations(items, 2))


def name_of(row: dict[str, str]) -> str:
    """Return the name of a variant's file."""
    author = "author" if row["author"] else "nobody"
    mirror = "mirror" if row["channel"].startswith("http") else "conda-forge"
    parts = [
        row["delivery"],
        row["site"],
        f"cuda{row['cuda_version'].replace(' and ', '+')}",
        row["ci"],
        row["license"],
    ]
    code = [row["example"], row["layout"]]
    return "-".join([*parts, f"py{row['python_min']}", author, mirror, *code])


def template_repository(folder: Path) -> Path:
    """Copy the working tree's template out of git, so that Copier takes it as it is."""
    return copy_template(folder)


def text_of(project: Path) -> str:
    """Return a render as one text: each file's path and mode, and its content if it was templated.

    A file that is copied as it is stands in the repository once already.
    """
    return "".join(_sections(project))


def _sections(project: Path) -> Iterator[str]:
    for path in sorted(p for p in project.rglob("*") if p.is_file()):
        name = path.relative_to(project).as_posix()
        mode = "executable" if path.stat().st_mode & 0o100 else "file"
        text, verbatim = path.read_text(encoding="utf-8"), REPOSITORY / "template" / name
        if verbatim.is_file() and verbatim.read_text(encoding="utf-8") == text:
            yield f"=== {mode} {name} (as in template/)\n"
        else:
            yield f"=== {mode} {name}\n{text}"


def make(template: Path, row: dict[str, str], folder: Path) -> Path:
    """Render one variant as the project `example`."""
    data = {"project_name": "example", **row}
    return render(Template(str(template)), folder, data, ask=False).folder


def normal(text: str, template: Path) -> str:
    """Take out what differs from machine to machine: where the template was."""
    return text.replace(str(template), "TEMPLATE")


def main() -> None:
    """Write all golden files again."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    with tempfile.TemporaryDirectory() as temporary:
        template = template_repository(Path(temporary) / "t")
        for number, row in enumerate(variants()):
            project = make(template, row, Path(temporary) / str(number) / "example")
            text = normal(text_of(project), template)
            (FOLDER / f"{name_of(row)}.txt").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(variants())} golden renders in {FOLDER}\n")


if __name__ == "__main__":
    main()

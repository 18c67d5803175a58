"""Read what pip is asked for: requirements.txt, lines of pip, and requirements of PEP 508."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pixi_scaffold.adopt.wanted import LeftOut, Wanted, last_of_each, read_text
from pixi_scaffold.workspace import PypiRequirement

_FILE = re.compile(r"(?:-r|--requirement)[\s=]*(\S+)")
_SPEC = re.compile(r"\s*[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?")
_HASH = re.compile(r"\s--hash[=\s]\S+")
_AFTER = re.compile(r"\s(--?[a-z].*)$")
"""Options of one requirement."""
_BUILT = re.compile(r"file:///.*/(feedstock_root|croot|build_artifacts|perseverance.*|work)\b.*")
"""Where conda built a package, as `pip freeze` has it: on a machine that is gone."""
_WHY = {
    "-e": "an editable install: pixi add --pypi --editable, with Pixi",
    "-c": "constraints: pixi has [constraints] for conda packages only",
    "-i": "an index: [pypi-options] index-url",
    "--extra-index-url": "an index: [pypi-options] extra-index-urls",
    "-f": "a place of wheels: [pypi-options] find-links",
}
_SHORT = {"--editable": "-e", "--constraint": "-c", "--index-url": "-i", "--find-links": "-f"}


def read_requirements(text: str, path: Path) -> Wanted:
    """Return what a requirements.txt asks for, and the files that it includes."""
    listed, left_out = read_pip_lines(_joined(text), path)
    pypi, again = last_of_each(listed, path.name)
    return Wanted(pypi=pypi, left_out=(*left_out, *again))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers; those that end with a backslash are one with the next."""
    number = 1
    for line in re.split(r"(?<!\\)\n", "\n".join(text.splitlines())):
        yield number, re.sub(r"\\(\n|$)", " ", line)
        number += line.count("\n") + 1


def read_pip_lines(
    lines: Iterable[tuple[int, str]], path: Path, seen: frozenset[Path] = frozenset()
) -> tuple[list[PypiRequirement], list[LeftOut]]:
    """Return the requirements in lines with their numbers, and what was left out.

    path: the file that they stand in; `-r` names another beside it.
    """
    requirements: list[PypiRequirement] = []
    left_out: list[LeftOut] = []
    hashes = 0
    for number, line in lines:
        text, more = _HASH.subn("", re.sub(r"(^|\s)#.*", "", line))
        text, hashes = text.strip(), hashes + more
        place = f"{path.name}:{number}"
        if included := _FILE.match(text):
            other = (path.parent / included[1]).resolve()
            if not other.is_file():
                left_out.append(LeftOut(place, text, f"there is no {included[1]}"))
            elif other not in seen:
                inner = _joined(read_text(other))
                taken, not_taken = read_pip_lines(inner, other, seen | {path.resolve(), other})
                requirements += taken
                left_out += not_taken
        elif text:
            if text[0] != "-" and (options := _AFTER.search(text)):
                text = text[: options.start()]
                left_out.append(LeftOut(place, options[1], f"an option of pip for {text}"))
            try:
                requirements.append(read_requirement_line(text))
            except ValueError as error:
                left_out.append(LeftOut(place, text, str(error)))
    if hashes:
        left_out.append(LeftOut(path.name, f"{hashes} hashes", "pixi.lock has its own"))
    return requirements, left_out


def read_requirement_line(text: str) -> PypiRequirement:
    """Return one requirement of PEP 508; raises ValueError with why it is not taken over."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    option = re.split(r"[\s=]", text, maxsplit=1)[0]
    if option.startswith("-"):
        if "download.pytorch.org" in text:
            raise ValueError("PyTorch's own wheels: conda-forge's PyTorch is taken instead")
        raise ValueError(_WHY.get(_SHORT.get(option, option), "an option of pip"))
    if re.match(r"(git\+|hg\+|svn\+|https?:|file:|\.|/)", text):
        raise ValueError("from a repository, a folder or a file: pixi add --pypi, with Pixi")
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(f"no requirement of pip: {str(error).splitlines()[0]}") from error
    if text == "pkg_resources==0.0.0":
        raise ValueError("no package: what pip freeze says on Debian and Ubuntu")
    if parsed.url and not _BUILT.fullmatch(parsed.url):
        raise ValueError(f"from {parsed.url}: pixi add --pypi, with Pixi")
    version = None if parsed.url else _SPEC.match(text)
    return PypiRequirement(
        canonicalize_name(parsed.name),
        re.sub(r"\s", "", version[1] if version else "") or "*",
        tuple(sorted(parsed.extras)),
        str(parsed.marker or ""),
    )

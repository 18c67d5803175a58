"""Read what pip is asked for: requirements.txt, lines of pip, and requirements of PEP 508."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pixi_scaffold.adopt.wanted import LeftOut, Wanted, constrained, known, last_of_each, read_text
from pixi_scaffold.system import is_file
from pixi_scaffold.workspace import PypiRequirement, Requirement

Lines: TypeAlias = Iterable[tuple[int, str]]
_FILE = re.compile(r"(?:-r|--requirement|(-c|--constraint))[\s=]*(\S+)")
_EXPORTED = re.compile(r"([\w.-]+)=([^=\s]+)=([^=\s]+)")
"""A line of `conda list --export`: name, version, build."""
_SPEC = re.compile(r"\s*[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?")
_HASH = re.compile(r"\s--hash[=\s]\S+")
_AFTER = re.compile(r"\s(--?[a-z].*)$")
"""Options of one requirement."""
_BUILT = re.compile(r"file:///.*/(feedstock_root|croot|build_artifacts|perseverance.*|work)\b.*")
"""Where conda built a package, as `pip freeze` has it: on a machine that is gone."""


def read_requirements(text: str, path: Path) -> Wanted:
    """Return what a requirements.txt asks for, and the files that it includes."""
    reader = PipReader(path)
    reader.read(_joined(text))
    return reader.wanted()


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines with their numbers; those that end with a backslash are one with the next."""
    number = 1
    for line in re.split(r"(?<!\\)\n", "\n".join(text.splitlines())):
        yield number, re.sub(r"\\(\n|$)", " ", line)
        number += line.count("\n") + 1


@dataclass
class PipReader:
    """Reads what lines of pip ask for; `-r` and `-c` name other files beside `path`."""

    path: Path
    conda: list[Requirement] = field(default_factory=list)
    pypi: list[PypiRequirement] = field(default_factory=list)
    constraints: list[tuple[str, PypiRequirement]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    seen: set[tuple[Path, bool]] = field(default_factory=set)
    hashes: int = 0

    def wanted(self) -> Wanted:
        """Return what was read."""
        if self.hashes:
            self.leave_out(self.path.name, f"{self.hashes} hashes", "pixi.lock has its own")
        once, again = last_of_each(self.pypi, self.path.name)
        pypi, unused = constrained(once, self.constraints)
        python = (_python(one) for one in pypi if one.name == "python")
        conda, more = last_of_each((*self.conda, *python), self.path.name)
        left_out = (*self.left_out, *again, *unused, *more)
        pypi = tuple(one for one in pypi if one.name != "python")
        return Wanted(conda=conda, pypi=pypi, left_out=left_out)

    def leave_out(self, place: str | int, text: str, why: str) -> None:
        """Note what is not taken over; place: of the file itself only the line."""
        where = place if isinstance(place, str) else f"{self.path.name}:{place}"
        self.left_out.append(LeftOut(where, text, why))

    def read(self, lines: Lines, path: Path | None = None, *, constrains: bool = False) -> None:
        """Read numbered lines of a file; constrains: they bind what other lines ask for."""
        path = path or self.path
        self.seen.add((path.resolve(), constrains))
        for number, line in lines:
            text, hashes = _HASH.subn("", re.sub(r"(^|\s)#.*", "", line))
            text, self.hashes = text.strip(), self.hashes + hashes
            place = f"{path.name}:{number}" if number else path.name
            if included := _FILE.match(text):
                other, bound = (path.parent / included[2]).resolve(), constrains or included[1]
                if not is_file(other):
                    self.leave_out(place, text, f"there is no {included[2]} here")
                elif (other, bool(bound)) not in self.seen:
                    self.read(_joined(read_text(other)), other, constrains=bool(bound))
            elif text:
                self.line(text, place, constrains=constrains)

    def line(self, text: str, place: str, *, constrains: bool = False) -> None:
        """Read one requirement, also one that `conda list --export` has written."""
        if exported := _EXPORTED.fullmatch(text):
            name, version, build = exported.groups()
            text = f"{name}=={version}"
            if not build.startswith("pypi"):
                fields = (("version", f"=={version}"), ("build", build))
                self.conda.append(Requirement(name.lower(), fields))
                return
        if not text.startswith("-") and (options := _AFTER.search(text)):
            text = text[: options.start()]
            self.leave_out(place, options[1], f"an option of pip for {text}")
        try:
            requirement = read_requirement_line(text)
        except ValueError as error:
            self.leave_out(place, text, str(error))
            return
        if constrains:
            self.constraints.append((place, requirement))
        else:
            self.pypi.append(requirement)


def read_requirement_line(text: str) -> PypiRequirement:
    """Return one requirement of PEP 508; raises ValueError with why it is not taken over."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    option = re.split(r"[\s=]", text, maxsplit=1)[0]
    if option.startswith("-"):
        if "download.pytorch.org" in text:
            raise ValueError("PyTorch's own wheels: conda-forge's PyTorch is taken instead")
        raise ValueError(known("options").get(option, "an option of pip"))
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


def _python(requirement: PypiRequirement) -> Requirement:
    """Return python as conda has it: `~=3.11` is `>=3.11,<4`, `==3.11.*` is `3.11.*`."""
    version = re.sub(r"={2,3}([\d.]+\.\*)", r"\1", requirement.version).replace("===", "==")
    if compatible := re.fullmatch(r"~=(\d+)\.(\d+)(?:\.(\d+))?", version):
        major, minor, patch = compatible.groups()
        top = f"{int(major) + 1}" if patch is None else f"{major}.{int(minor) + 1}"
        version = f">={version.removeprefix('~=')},<{top}"
    return Requirement("python", (("version", version),))

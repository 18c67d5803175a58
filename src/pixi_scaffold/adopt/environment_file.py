"""Read an environment.yml of conda as `pixi init --import` does (0.77), and go on where that stops.

crates/pixi_utils/src/conda_environment_file.rs. A line that cannot be taken over is named with why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.adopt.requirements import read_pip_lines
from pixi_scaffold.adopt.wanted import LeftOut, Wanted, last_of_each
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import without_credentials
from pixi_scaffold.workspace import PypiRequirement, Requirement

_DEFAULTS = ("main", "r", "msys2")
"""What `defaults` stands for."""
_KEYS = ("name", "channels", "dependencies", "variables")
_COMMENT = "a comment for Pixi: every platform gets it; or [target.linux.dependencies]"
_PLACES = ("build_number", "subdir", "md5", "sha256", "license")


def read_environment_file(text: str, path: Path) -> Wanted:
    """Return what the file asks for; raises ScaffoldError when it is no such file.

    path: where it lies, for messages and for the files that it names.
    """
    return _EnvironmentReader(path).read(text)


@dataclass
class _EnvironmentReader:
    path: Path
    conda: list[Requirement] = field(default_factory=list)
    pypi: list[PypiRequirement] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """Channels that packages name."""
    left_out: list[LeftOut] = field(default_factory=list)

    def read(self, text: str) -> Wanted:
        import yaml

        lines = text.splitlines()
        for number, line in enumerate(lines):
            if "- sel(" in line:
                self.leave_out(number + 1, line.strip("- \t"), "a selector of micromamba")
                lines[number] = ""
            elif selector := re.search(r"# *\[(not )?(linux|osx|win|unix)\w*\] *$", line):
                self.leave_out(number + 1, selector[0], _COMMENT)
        try:
            node = yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise ScaffoldError(
                f"{self.path} cannot be read: {error}", f"correct {self.path.name}"
            ) from error
        if not isinstance(node, yaml.MappingNode):
            raise ScaffoldError(f"{self.path} is no environment file", "name another: --from FILE")
        keys = {key.value: value for key, value in node.value}
        for entry in _entries(keys.get("dependencies")):
            self.dependency(entry)
        conda, again = last_of_each(self.conda, self.path.name)
        pypi, more = last_of_each(self.pypi, self.path.name)
        self.left_out += [*again, *more]
        for key in (key for key in node.value if key[0].value not in _KEYS):
            why = "of one machine" if key[0].value == "prefix" else "pixi.toml has its own"
            self.leave_out(key[0].start_mark.line + 1, key[0].value, why)
        name, variables = keys.get("name"), keys.get("variables")
        return Wanted(
            name.value if isinstance(name, yaml.ScalarNode) else "",
            self.channels([self.public(one) for one in _entries(keys.get("channels"))]),
            conda,
            pypi,
            tuple((k.value, str(v.value)) for k, v in variables.value) if variables else (),
            tuple(self.left_out),
        )

    def channels(self, listed: list[str]) -> tuple[str, ...]:
        plain = (one for c in listed for one in (_DEFAULTS if c == "defaults" else (c,)))
        return tuple(dict.fromkeys((*plain, *self.named))) or ("conda-forge",)

    def public(self, node: Any) -> str:
        """Return what stands there without the credentials in its URLs, which are left out."""
        text = str(node.value)
        if (public := without_credentials(text)) != text:
            why = "without its user, password or token, which Pixi keeps: pixi auth login"
            self.leave_out(node.start_mark.line + 1, public, why)
        return public

    def leave_out(self, line: int, text: str, why: str) -> None:
        self.left_out.append(LeftOut(f"{self.path.name}:{line}", text, why))

    def dependency(self, node: Any) -> None:
        import yaml

        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            self.package(self.public(node), line)
            return
        pip = {k.value: v for k, v in node.value} if isinstance(node, yaml.MappingNode) else {}
        if set(pip) != {"pip"}:
            self.leave_out(line, ", ".join(pip) or "a list", "neither a package nor pip")
        numbered = [(n.start_mark.line + 1, str(n.value)) for n in _entries(pip.get("pip"))]
        pypi, left_out = read_pip_lines(numbered, self.path)
        self.pypi += pypi
        self.left_out += left_out

    def package(self, text: str, line: int) -> None:
        from rattler import MatchSpec

        try:
            spec = MatchSpec(text, strict=False)
            name = None if spec.name is None else str(spec.name.normalized)
        except Exception as error:  # several kinds, no common base
            self.leave_out(line, text, str(error).splitlines()[0])
            return
        if name is None:
            self.leave_out(line, text, "it names no package")
            return
        fields = []
        if spec.version is not None:
            fields.append(("version", str(spec.version)))
        if spec.build is not None:
            fields.append(("build", str(spec.build)))
        for key in _PLACES:
            value = getattr(spec, key, None)
            if value is not None:
                fields.append((key, value.hex() if isinstance(value, bytes) else str(value)))
        if spec.channel is not None:
            fields.append(("channel", spec.channel.name or spec.channel.base_url.rstrip("/")))
            self.named.append(spec.channel.base_url.rstrip("/"))
        self.conda.append(Requirement(name, tuple(fields)))


def _entries(node: Any) -> Iterator[Any]:
    """Yield what stands in a list; nothing where there is none."""
    if node is not None and isinstance(node.value, list):
        yield from node.value

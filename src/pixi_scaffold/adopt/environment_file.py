"""Read an environment.yml of conda as `pixi init --import` does (0.77), and go on where that stops.

crates/pixi_utils/src/conda_environment_file.rs. A line that cannot be taken over is named with why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pixi_scaffold.adopt.requirements import PipReader
from pixi_scaffold.adopt.wanted import Wanted
from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import without_credentials
from pixi_scaffold.workspace import Requirement

_DEFAULTS = ("main", "r", "msys2")  # what `defaults` stands for
_KEYS = ("name", "channels", "dependencies", "variables")
_COMMENT = "a comment for Pixi: every platform gets it; or [target.linux.dependencies]"
_PLACES = ("build_number", "subdir", "md5", "sha256", "license")


def read_environment_file(text: str, path: Path) -> Wanted:
    """Return what the file asks for; raises ScaffoldError when it is no such file.

    path: where it lies, for messages and for the files that it names.
    """
    return _EnvironmentReader(path).environment(text)


@dataclass
class _EnvironmentReader(PipReader):
    named: list[str] = field(default_factory=list)
    """Channels that packages name."""

    def environment(self, text: str) -> Wanted:
        keys = self.keys(text)
        for entry in _entries(keys.get("dependencies")):
            self.dependency(entry)
        listed = [self.public(one) for one in _entries(keys.get("channels"))]
        plain = (one for c in listed for one in (_DEFAULTS if c == "defaults" else (c,)))
        name, variables = keys.get("name"), tuple(self.variables(keys.get("variables")))
        return replace(
            self.wanted(),
            name=name.value if name is not None and isinstance(name.value, str) else "",
            channels=tuple(dict.fromkeys((*plain, *self.named))) or ("conda-forge",),
            variables=variables,
        )

    def variables(self, node: Any) -> Iterator[tuple[str, str]]:
        """Yield each variable and its value; what has no single value is left out."""
        for key, value in node.value if node is not None and node.tag.endswith(":map") else ():
            if isinstance(value.value, str):
                yield key.value, value.value
            else:
                self.leave_out(key.start_mark.line + 1, key.value, "not a single value")
        if node is not None and not node.tag.endswith(":map"):
            self.leave_out(node.start_mark.line + 1, "variables", "not names with a value each")

    def keys(self, text: str) -> dict[str, Any]:
        """Return what stands at each key that counts and is not null."""
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
            why = f"{self.path} cannot be read: {error}"
            raise ScaffoldError(why, f"correct {self.path.name}") from error
        if not isinstance(node, yaml.MappingNode):
            raise ScaffoldError(f"{self.path} is no environment file", "name another: --from FILE")
        for key in (key for key, _ in node.value if key.value not in _KEYS):
            why = "of one machine" if key.value == "prefix" else "pixi.toml has its own"
            self.leave_out(key.start_mark.line + 1, key.value, why)
        return {key.value: value for key, value in node.value if not value.tag.endswith(":null")}

    def public(self, node: Any) -> str:
        """Return what stands there without the credentials in its URLs, which are left out."""
        text = str(node.value)
        if (public := without_credentials(text)) != text:
            why = "without its user, password or token, which Pixi keeps: pixi auth login"
            self.leave_out(node.start_mark.line + 1, public, why)
        return public

    def dependency(self, node: Any) -> None:
        import yaml

        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            self.package(self.public(node), line)
            return
        pip = {k.value: v for k, v in node.value} if isinstance(node, yaml.MappingNode) else {}
        if set(pip) != {"pip"}:
            self.leave_out(line, ", ".join(pip) or "a list", "neither a package nor pip")
        self.read((n.start_mark.line + 1, str(n.value)) for n in _entries(pip.get("pip")))

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
        said = {key: getattr(spec, key, None) for key in ("version", "build", *_PLACES)}
        fields = {
            k: v.hex() if isinstance(v, bytes) else str(v) for k, v in said.items() if v is not None
        }
        if spec.channel is not None:
            self.named.append(spec.channel.base_url.rstrip("/"))
            fields["channel"] = spec.channel.name or self.named[-1]
        self.conda.append(Requirement(name, tuple(fields.items())))


def _entries(node: Any) -> Iterator[Any]:
    """Yield what stands in a list; nothing where there is none."""
    if node is not None and isinstance(node.value, list):
        yield from node.value

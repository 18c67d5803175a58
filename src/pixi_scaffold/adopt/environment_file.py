"""Read an environment.yml of conda as `pixi init --import` does (0.77), and go on where that stops.

crates/pixi_utils/src/conda_environment_file.rs. A line that cannot be taken over is named with why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

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
        for entry in self.entries(keys.get("dependencies"), yaml.Node):
            self.dependency(entry)
        listed = [self.public(one) for one in self.entries(keys.get("channels"), yaml.ScalarNode)]
        plain = (one for c in listed for one in (_DEFAULTS if c == "defaults" else (c,)))
        name, variables = keys.get("name"), tuple(self.variables(keys.get("variables")))
        return replace(
            self.wanted(),
            name=name.value if isinstance(name, yaml.ScalarNode) else "",
            channels=tuple(dict.fromkeys((*plain, *self.named))) or ("conda-forge",),
            variables=variables,
        )

    def variables(self, node: yaml.Node | None) -> Iterator[tuple[str, str]]:
        """Yield each variable and its value; what has no single value is left out."""
        if node is not None and not isinstance(node, yaml.MappingNode):
            self.leave_out(_line(node), "variables", "not names with a value each")
        for key, value in self.pairs(node):
            if isinstance(value, yaml.ScalarNode):
                yield key.value, value.value
            else:
                self.leave_out(_line(key), key.value, "not a single value")

    def keys(self, text: str) -> dict[str, yaml.Node]:
        """Return what stands at each key that counts and is not null."""
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if "- sel(" in line:
                self.leave_out(number + 1, line.strip("- \t"), "a selector of micromamba")
                lines[number] = ""
            elif selector := re.search(r"# *\[(not )?(linux|osx|win|unix)\w*\] *$", line):
                self.leave_out(number + 1, selector[0], _COMMENT)
        try:
            node = yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)
        except (yaml.YAMLError, RecursionError) as error:
            why = f"{self.path} cannot be read: {error}"
            raise ScaffoldError(why, f"correct {self.path.name}") from error
        if not isinstance(node, yaml.MappingNode):
            raise ScaffoldError(f"{self.path} is no environment file", "name another: --from FILE")
        pairs = self.pairs(node)
        for key in (key for key, _ in pairs if key.value not in _KEYS):
            why = "of one machine" if key.value == "prefix" else "pixi.toml has its own"
            self.leave_out(_line(key), key.value, why)
        return {key.value: value for key, value in pairs if not value.tag.endswith(":null")}

    def pairs(self, node: yaml.Node | None) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        """Return the keys and values of a table; raises ScaffoldError where a key is no text."""
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        for key, _ in pairs:
            if not isinstance(key, yaml.ScalarNode):
                why = f"{self.path}:{_line(key)}: a list or a table stands in the place of a key"
                raise ScaffoldError(why, f"correct {self.path.name}")
        return pairs

    def entries(self, node: yaml.Node | None, kind: type[yaml.Node]) -> Iterator[Any]:
        """Yield what stands in a list, or alone; what is of another kind is left out."""
        alone = [] if node is None or node.tag.endswith(":null") else [node]
        for one in node.value if isinstance(node, yaml.SequenceNode) else alone:
            if isinstance(one, kind):
                yield one
            else:
                self.leave_out(_line(one), "a list or a table", "a name is wanted there")

    def public(self, node: yaml.ScalarNode) -> str:
        """Return what stands there without the credentials in its URLs, which are left out."""
        text = node.value
        if (public := without_credentials(text)) != text:
            why = "without its user, password or token, which Pixi keeps: pixi auth login"
            self.leave_out(_line(node), public, why)
        return public

    def dependency(self, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode):
            self.package(self.public(node), _line(node))
            return
        pip = {key.value: value for key, value in self.pairs(node)}
        if set(pip) != {"pip"}:
            self.leave_out(_line(node), ", ".join(pip) or "a list", "neither a package nor pip")
        lines = self.entries(pip.get("pip"), yaml.ScalarNode)
        self.read((_line(one), one.value) for one in lines)

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


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1

"""The pixi.toml of an existing project: the template's with the project's packages (pure)."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pixi_scaffold.adopt.pytorch import target_of
from pixi_scaffold.adopt.wanted import Wanted, fields_without
from pixi_scaffold.errors import ManifestError, ScaffoldError
from pixi_scaffold.workspace import PypiRequirement, Requirement, parse_manifest

_HOST = "https://conda.anaconda.org/"
_HASH = re.compile(r".*h[0-9a-f]{7}_.*")
_MANY = 8
"""Builds of one platform, from which on a file is taken for a list of all that is installed."""


@dataclass(frozen=True, slots=True)
class ProjectShape:
    """What of the project decides what its tasks are."""

    program: str = ""
    """Its own script that trains, as seen from the project; empty where it is not known."""
    brings_program: bool = False
    """Whether it gets the template's bare main.py, and the tasks with it."""
    has_tests: bool = False
    pytorch: bool = False


def dependency(requirement: Requirement | PypiRequirement) -> str:
    """Return a package as a manifest has it, as Pixi writes it."""
    fields: dict[str, object]
    if isinstance(requirement, Requirement):
        fields = {k.replace("_", "-"): v for k, v in requirement.fields}
        if "build" in fields and "version" not in fields:
            fields = {"version": "*", **fields}
    else:
        fields = {"version": requirement.version, "extras": requirement.extras}
        fields = {k: v for k, v in {**fields, "env-markers": requirement.markers}.items() if v}
    if set(fields) <= {"version"}:
        return _quote(fields.get("version", "*"))
    return "{ " + ", ".join(f"{k} = {_quote(v)}" for k, v in fields.items()) + " }"


def portable(wanted: Wanted) -> tuple[Wanted, tuple[str, ...]]:
    """Return what can be locked for several platforms, and what was changed.

    One build of one version is of one platform; a channel is named where it has a name.
    """
    hashed = [r.name for r in wanted.conda if _of_one_platform(dict(r.fields))]
    conda = tuple(fields_without(r, "build") if r.name in hashed else r for r in wanted.conda)
    channels = tuple(dict.fromkeys(c.removeprefix(_HOST) for c in wanted.channels))
    named = ", ".join(hashed[:3]) + (f" and {len(hashed) - 3} more" if len(hashed) > 3 else "")
    note = f"builds of one platform left out, versions kept: {named}"
    if len(hashed) >= _MANY:
        note += "; keep in pixi.toml what you import: conda env export --from-history has only that"
    notes = (note,) if hashed else ()
    return replace(wanted, conda=conda, channels=channels), notes


def _of_one_platform(fields: dict[str, str]) -> bool:
    build, exact = fields.get("build", "*"), fields.get("version", "*") != "*"
    return "*" not in build and (exact or bool(_HASH.fullmatch(build)))


def adopted_manifest(template: str, wanted: Wanted, shape: ProjectShape) -> str:
    """Return the template's manifest with the project's packages in place of the example's.

    Raises ScaffoldError when the template's manifest is laid out in another way.
    """
    blocks = [_changed(block, wanted, shape) for block in template.strip().split("\n\n")]
    text = "\n\n".join(block for block in blocks if block) + "\n"
    if wanted.channels and wanted.channels != ("conda-forge",):
        listed = ", ".join(map(_quote, wanted.channels))
        text = re.sub(r"(?m)^channels = \[.*\]$", lambda _: f"channels = [{listed}]", text, count=1)
    try:
        parse_manifest(text, Path("pixi.toml"))
    except ManifestError as error:
        raise ScaffoldError(
            f"the template's pixi.toml cannot take the project's packages: {error.message}",
            "use the built-in template, or write pixi.toml first; then adopt leaves it as it is",
        ) from error
    return text


def _changed(block: str, wanted: Wanted, shape: ProjectShape) -> str:
    """Return a paragraph of the manifest as the project needs it; empty where it does not."""
    header = re.search(r"(?m)^\[(.+)\]$", block)
    name = header[1] if header else ""
    if name == "dependencies":
        return _tables(block, wanted, shape.pytorch)
    if name == "tasks" and not shape.brings_program:
        task = f'train = {{ cmd = {_quote(f"python {shape.program}")}, description = "Train" }}'
        return f"[tasks]\n{task}" if shape.program else ""
    if name.startswith("target."):
        table = name.removesuffix("dependencies") + "pypi-dependencies"
        pypi = _table(table, _asked(wanted.pypi, "cuda"))
        lines = [block, *_asked(wanted.conda, "cuda"), *pypi]
        return "\n".join(lines) if shape.pytorch else ""
    if name.startswith("feature.data"):
        return ""
    if name == "environments" or (name == "feature.dev.tasks" and not shape.has_tests):
        return _without(block, "^data = " if name == "environments" else "^test = ")
    no_gpu = name == "workspace" and not shape.pytorch
    return _without(block, "cuda|^# oldest driver") if no_gpu else block


def _without(block: str, pattern: str) -> str:
    return "\n".join(line for line in block.splitlines() if not re.search(pattern, line))


def _tables(block: str, wanted: Wanted, pytorch: bool) -> str:
    """Return the tables of the packages and variables that a project asks for."""
    names = [r.name for r in wanted.conda]
    python = re.findall(r"(?m)^python = .*$", block) if "python" not in names else []
    head = block[: block.index("[dependencies]")]
    lines = [head + "[dependencies]", *python, *_asked(wanted.conda, "", pytorch)]
    lines += _table("pypi-dependencies", _asked(wanted.pypi, "", pytorch))
    lines += _table("target.linux.dependencies", _asked(wanted.conda, "linux", pytorch))
    lines += _table("target.linux.pypi-dependencies", _asked(wanted.pypi, "linux", pytorch))
    variables = [f"{_key(name)} = {_quote(value)}" for name, value in wanted.variables]
    return "\n".join(lines + _table("activation.env", variables))


def _asked(
    requirements: Iterable[Requirement | PypiRequirement], target: str, pytorch: bool = True
) -> list[str]:
    return [
        f"{_key(r.name)} = {dependency(r)}"
        for r in requirements
        if target_of(r.name, pytorch=pytorch) == target
    ]


def _table(header: str, lines: list[str]) -> list[str]:
    return ["", f"[{header}]", *lines] if lines else []


def mentions_example(text: str, example: Sequence[str]) -> list[tuple[int, str]]:
    """Return (line, file) wherever a text names a file of the template's example."""
    pattern = re.compile(r"(?<![\w./-])(" + "|".join(map(re.escape, example)) + r")(?![\w-])")
    return [
        (number, name[1])
        for number, line in enumerate(text.splitlines(), 1)
        if not line.lstrip().startswith("#")
        for name in pattern.finditer(line)
    ]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quote(name)


def _quote(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

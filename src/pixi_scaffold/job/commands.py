"""What can be named: submit commands (data/commands.toml) and attributes (data/attributes.txt)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

_UNITS = {"MiB": 1 << 20, "KiB": 1 << 10, "": 1}
_PREFIXES = ("cloud_label_", "ec2_parameter_", "ec2_tag_", "remote_", "require_", "transform_body_")
_SUFFIXES = ("_container_port", "_oauth_permissions", "_oauth_resource", "_oauth_options")


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """What kind of value a submit command has; the keys of data/commands.toml."""

    name: str
    type: str = "text"
    ad: str = ""
    second: tuple[str, ...] = ()
    unit: int = 1
    """Bytes that a bare number of a size counts."""
    low: int | None = None
    high: int | None = None
    quotes: bool = True
    words: Mapping[str, str] = field(default_factory=dict)
    """Of a choice: each word that is taken, in lower case, and what it means."""
    odd: tuple[str, ...] = ()
    """Words that are taken, and not for what they say."""
    since: Mapping[str, str] = field(default_factory=dict)
    """Words that only newer releases take, and the first one that does."""
    site: str = ""
    several: bool = False


@lru_cache(maxsize=1)
def specs() -> Mapping[str, CommandSpec]:
    """Return every command by its canonical name, which is in lower case."""
    text = (Path(__file__).parent / "data" / "commands.toml").read_text(encoding="utf-8")
    return {name: _spec(name, entry) for name, entry in tomllib.loads(text).items()}


def _spec(name: str, entry: dict[str, object]) -> CommandSpec:
    values = {**entry, "unit": _UNITS[str(entry.get("unit", ""))]}
    for key in ("second", "odd"):
        values[key] = tuple(entry.get(key, ()))  # type: ignore[arg-type]
    words = entry.get("words", {})
    assert isinstance(words, dict)  # noqa: S101  the file is ours
    values["words"] = {word: meant for meant, taken in words.items() for word in taken}
    return CommandSpec(name, **values)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _second_names() -> Mapping[str, str]:
    """Return the other names of commands: the job attribute, or an older spelling."""
    canonical_names: dict[str, str] = {}
    for name, spec in specs().items():
        attribute = spec.ad.lower()
        named_like_it = attribute == name.replace("_", "")  # of several with one attribute
        if attribute and (named_like_it or attribute not in canonical_names):
            canonical_names[attribute] = name
        canonical_names |= dict.fromkeys(spec.second, name)
    return {second: name for second, name in canonical_names.items() if second not in specs()}


def canonical(name: str) -> str:
    """Return the one name of a command; `+Attr` and `MY.Attr` become `my.attr`."""
    name = name.lower()
    return _second_names().get(name, name)


def is_command(name: str) -> bool:
    """Whether condor_submit looks at this canonical name.

    `request_NAME` of a resource that only some pools define is not in here: see custom_resource.
    """
    return (
        name in specs()
        or name.startswith(("my.", *_PREFIXES))
        or name.endswith(_SUFFIXES)
        or "_oauth_" in name
    )


def custom_resource(name: str) -> bool:
    """Whether a canonical name asks for a resource that a pool may have defined."""
    return name.startswith("request_") and name not in specs()


@lru_cache(maxsize=1)
def _attributes() -> Mapping[str, Mapping[str, str]]:
    """Return the attributes of each kind of ad, by lower-case name."""
    text = (Path(__file__).parent / "data" / "attributes.txt").read_text(encoding="utf-8")
    plain = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    parts = re.split(r"^\[(\w+)\]$", plain, flags=re.MULTILINE)[1:]
    return {
        section: {name.lower(): name for name in names.split()}
        for section, names in zip(parts[::2], parts[1::2], strict=True)
    }


def slot_names() -> Mapping[str, str]:
    """Return the attributes of machine ads, those of some sites too."""
    return {**_attributes()["slot"], **_attributes()["site"]}


def job_names() -> Mapping[str, str]:
    """Return the attributes of job ads."""
    return _attributes()["job"]


def gpu_names() -> Mapping[str, str]:
    """Return the properties of one GPU, which require_gpus is about."""
    return _attributes()["gpu"]

"""What can be named: submit commands (data/commands.json) and attributes (data/attributes.txt).

The commands are those that condor_submit of HTCondor 25 looks at. Sources: SUBMIT_KEY_* of
submit_utils.h, prunable_keywords and the Set...() functions of submit_utils.cpp; the tests compare
with what condor_submit 25.14.1 says of 1,718 descriptions.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

_PREFIXES = ("cloud_label_", "ec2_parameter_", "ec2_tag_", "remote_", "require_", "transform_body_")
_SUFFIXES = ("_container_port", "_oauth_permissions", "_oauth_resource", "_oauth_options")


class CommandSpec(NamedTuple):
    """What kind of value a submit command has; the keys of data/commands.json."""

    name: str
    type: str = "text"
    """text, switch (true or false), integer, expression (ClassAd), size, version, signal, choice,
    files (comma separated), arguments or environment."""
    ad: str = ""
    """The job attribute that it becomes; in lower case that is another name of the command."""
    second: Sequence[str] = ()
    """Further names, in lower case."""
    unit: int = 1
    """Bytes that a bare number of a size counts."""
    low: int | None = None
    """The range that makes sense; condor_submit takes more."""
    high: int | None = None
    quotes: bool = True
    """Whether double quotes around the value stay."""
    words: Mapping[str, str] = MappingProxyType({})
    """Of a choice: each word that is taken, in lower case, and what it means."""
    odd: Sequence[str] = ()
    """Words that are taken, and not for what they say."""
    since: Mapping[str, str] = MappingProxyType({})
    """Words that only newer releases take, and the first one that does."""
    site: str = ""
    """Who else knows it: the command exists only in pools that define it."""
    several: bool = False
    """Whether several commands decide its attribute together; the others become theirs as they
    are."""


@lru_cache(maxsize=1)
def specs() -> Mapping[str, CommandSpec]:
    """Return every command by its canonical name, which is in lower case."""
    text = (Path(__file__).parent / "data" / "commands.json").read_text(encoding="utf-8")
    return {name: CommandSpec(name, **entry) for name, entry in json.loads(text).items()}


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


@lru_cache(maxsize=4096)
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

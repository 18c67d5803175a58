"""Versions of a template: PEP 440 tags, in order, and what lies between two of them (pure)."""

import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version


def version_of(ref: str) -> Version | None:
    """Return a tag, or what `git describe` makes of a commit after one, as a version.

    A bare commit has none: all digits would pass for one.
    """
    if re.fullmatch(r"[0-9a-f]{7,40}", ref):
        return None
    described = re.fullmatch(r"(.+)-(\d+)-g([0-9a-f]+)", ref)
    try:
        if described:
            base = Version(described[1])
            if base.local is None and base.post is None:
                return Version(f"{base}.post{described[2]}+{described[3]}")
        return Version(ref)
    except InvalidVersion:
        return None


def releases(tags: Iterable[str], *, prereleases: bool = False) -> list[str]:
    """Return the tags that are versions, oldest first; without pre-releases unless asked for."""
    known = [(version, tag) for tag in tags if (version := version_of(tag)) is not None]
    return [tag for version, tag in sorted(known) if prereleases or not version.is_prerelease]


def newer(tags: Iterable[str], current: str) -> list[str]:
    """Return the final releases after `current`, oldest first.

    From a bare commit every release counts as newer: nothing says which it belongs to.
    """
    here = version_of(current)
    return [t for t in releases(tags) if here is None or (version_of(t) or here) > here]


def is_older(ref: str, current: str) -> bool:
    """Whether going to `ref` would be a downgrade; unknown versions never are."""
    to, here = version_of(ref), version_of(current)
    return to is not None and here is not None and to < here


def tags_in(listed: str) -> dict[str, str]:
    """Return tag -> object from what `git ls-remote --tags --refs` prints."""
    return {tag: name for name, tag in re.findall(r"(?m)^([0-9a-f]+)\trefs/tags/(.+)$", listed)}


def no_versions(tags: Iterable[str]) -> list[str]:
    """Return the tags that look like versions and are not valid ones (PEP 440)."""
    return [tag for tag in tags if version_of(tag) is None and re.search(r"\d+\.\d+", tag)]


def changes_between(text: str, current: str, target: str) -> str:
    """Return the sections of a CHANGELOG.md on versions after `current` up to `target`."""
    here, there = version_of(current), version_of(target)
    if here is None or there is None:
        return ""
    sections = re.split(r"(?m)^(?=#+ )", text)
    lines, wanted = [], False
    for section in sections:
        heading = re.match(r"#+ +(?:\[|version )?(v?\d[^\s\]]*)", section, re.I)
        version = version_of(heading[1]) if heading else None
        if version is not None:
            wanted = here < version <= there
        elif section.startswith(("# ", "## ")):
            wanted = False  # a title, or what is not released yet
        if wanted:
            lines.append(section)
    return "".join(lines).strip()

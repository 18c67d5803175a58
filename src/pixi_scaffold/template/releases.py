"""The releases of the built-in template where nobody tagged them: commits that raise the version.

Only a copy of the history that this tool made itself gets such tags; a real tag wins.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.version import Version

from pixi_scaffold.system import git, try_git
from pixi_scaffold.template.versions import version_of


def untagged_releases(repository: Path) -> dict[str, str]:
    """Return the releases without a tag: the tag that each would have, and its commit.

    A release is the first commit in the history of HEAD whose pyproject.toml has a higher version
    than all before; development versions are none.
    """
    tags = {version_of(tag) for tag in try_git(repository, "tag", "--list").output.split()}
    log = ("log", "--reverse", "--format=%H", "-G", "^version *=", "HEAD", "--", "pyproject.toml")
    commits: dict[str, str] = {}
    highest = Version("0.dev0")
    for commit in try_git(repository, *log).output.split():
        version = _version_at(repository, commit)
        if version is not None and version > highest and not version.is_devrelease:
            highest = version
            if version not in tags:
                commits[f"v{version}"] = commit
    return commits


def tag_releases(repository: Path, releases: dict[str, str]) -> None:
    """Make the tags; `repository` is a copy of our own."""
    lines = "".join(f"create refs/tags/{tag} {commit}\n" for tag, commit in releases.items())
    git(repository, "update-ref", "--stdin", stdin=lines)


def _version_at(repository: Path, commit: str) -> Version | None:
    done = try_git(repository, "show", f"{commit}:pyproject.toml")
    try:
        version = tomllib.loads(done.output)["project"]["version"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return None
    return version_of(version) if re.match(r"\d", str(version)) else None

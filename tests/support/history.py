"""The template with its real history: earlier commits of this repository, tagged as versions."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import git
from tests.support.paths import PARTS, REPOSITORY, copy_template


@dataclass(frozen=True)
class History:
    """A git repository with tags of earlier states, oldest first, and the working tree's last."""

    folder: Path
    tags: tuple[str, ...]

    @property
    def earlier(self) -> tuple[str, ...]:
        return self.tags[:-1]

    @property
    def newest(self) -> str:
        return self.tags[-1]


def make_history(folder: Path) -> History:
    """Tag every commit that changed the template as v0.1.0, v0.2.0, ...; the working tree is v1.0.0."""
    whole = folder.with_name("whole.git")
    try:
        source = ("clone", "--bare", "--quiet", str(REPOSITORY), str(whole))
        git(folder.parent, "-c", "safe.directory=*", *source)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the history of this repository cannot be cloned: {error}")
    git(whole, "branch", "--force", "history", "HEAD")
    # the template alone: a repository of all that is here takes Copier a second to clone, each time
    export = ["git", f"--git-dir={whole}", "fast-export", "history", "--", *PARTS]
    commits = subprocess.run(export, cwd=REPOSITORY, capture_output=True, check=True).stdout
    folder.mkdir()
    git(folder, "init", "--quiet", "-b", "history")
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, input=commits, check=True)
    git(folder, "reset", "--hard", "--quiet")
    hashes = git(folder, "log", "--reverse", "--format=%H").split()
    if len(hashes) < 3:
        pytest.skip("this checkout has not the history of the template (a shallow clone?)")
    tags = []
    for number, commit in enumerate(hashes, 1):
        tags.append(f"v0.{number}.0")
        git(folder, "tag", tags[-1], commit)
    copy_working_tree(folder)
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "the working tree")
    git(folder, "tag", "v1.0.0")
    return History(folder, (*tags, "v1.0.0"))


def copy_working_tree(folder: Path) -> None:
    """Put the template as it is in the working tree into a repository, and stage it."""
    copy_template(folder)
    git(folder, "add", "--all", "--force", "--", *PARTS)


def release(folder: Path, tag: str, files: dict[str, str | None]) -> None:
    """Commit files (None removes one) and tag the commit."""
    for name, text in files.items():
        place = folder / name
        if text is None:
            git(folder, "rm", "--quiet", "--", name)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", tag)
    git(folder, "tag", tag)

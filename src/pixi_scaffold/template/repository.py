"""The project's git repository: its first commit, and the lock that joins it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import try_git

AS_IT_IS = ("-c", "core.safecrlf=false")
"""Options of `git add` for files with \\n, which core.autocrlf and core.safecrlf would refuse."""


def start_repository(folder: Path, destination: Path | None = None) -> str:
    """Make `folder` a git repository with one first commit; return what was done, in words.

    destination: where it will be moved. A folder inside a repository that would track it stays a
    part of that one. Raises ScaffoldError when git fails; the caller removes what is half-made.
    """
    final = destination or folder
    outer = try_git(folder, "rev-parse", "--show-toplevel")
    if outer.code == 0 and try_git(folder.parent, "check-ignore", "-q", str(final)).code != 0:
        return f"inside the git repository {outer.output.strip()}"
    configured = _configured(folder)
    _first_commit(folder, configured)
    if {"user.name", "user.email"} <= configured:
        return "git repository with one commit"
    return "git repository with one commit, in the name of pixi-scaffold: git does not know yours"


def _first_commit(folder: Path, configured: Collection[str]) -> None:
    branch = () if "init.defaultbranch" in configured else ("-b", "main")
    for args in (
        ("init", "--quiet", *branch),
        (*AS_IT_IS, "add", "--all"),
        (*_identity(configured), "commit", "--quiet", "--no-verify", "-m", "Start the project"),
    ):
        done = try_git(folder, *args)
        if done.code != 0:
            verb = next(word for word in args if word in ("init", "add", "commit"))
            raise ScaffoldError(
                f"git {verb} failed: {done.output.strip()}", "or leave git out: --no-git"
            )


def amend_first_commit(folder: Path, names: list[str]) -> bool:
    """Add files to the first commit, when it is still the only one; return whether it was done."""
    if try_git(folder, "rev-list", "--count", "HEAD").output.strip() != "1":
        return False
    if try_git(folder, *AS_IT_IS, "add", "--", *names).code != 0:
        return False
    amend = ("commit", "--quiet", "--no-verify", "--amend", "--no-edit")
    return try_git(folder, *_identity(_configured(folder)), *amend).code == 0


def _identity(configured: Collection[str]) -> tuple[str, ...]:
    """Return git options: a name for who has none configured, and no signing prompt."""
    options = ["-c", "commit.gpgSign=false"]
    for key, value in (("user.name", "pixi-scaffold"), ("user.email", "pixi-scaffold@localhost")):
        if key not in configured:
            options += ["-c", f"{key}={value}"]
    return tuple(options)


def _configured(folder: Path) -> set[str]:
    """Return which of the settings that matter here the user's git has; names in lower case."""
    wanted = r"^(user\.(name|email)|init\.defaultbranch)$"
    lines = try_git(folder, "config", "--name-only", "--get-regexp", wanted).output.splitlines()
    return {line.strip().lower() for line in lines}


def identity(folder: Path) -> tuple[str, ...]:
    """Return git options that commit elsewhere as who commits in `folder`."""
    wanted = r"^user\.(name|email)$"
    done = try_git(folder, "config", "--get-regexp", wanted)
    pairs = (line.partition(" ") for line in done.output.splitlines() if done.code == 0)
    settings = {key.lower(): value for key, _, value in pairs}
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return (*options, *_identity(settings))

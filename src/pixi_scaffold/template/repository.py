"""The project's git repository: its first commit, and the lock that joins it."""

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
    settings = _settings(folder)
    branch = () if "init.defaultbranch" in settings else ("-b", "main")
    for args in (
        ("init", "--quiet", *branch),
        (*AS_IT_IS, "add", "--all"),
        (*identity(folder), "commit", "--quiet", "--no-verify", "-m", "Start the project"),
    ):
        done = try_git(folder, *args)
        if done.code != 0:
            verb = next(word for word in args if word in ("init", "add", "commit"))
            raise ScaffoldError(
                f"git {verb} failed: {done.output.strip()}", "or leave git out: --no-git"
            )
    if {"user.name", "user.email"} <= settings.keys():
        return "git repository with one commit"
    return "git repository with one commit, in the name of pixi-scaffold: git does not know yours"


def amend_first_commit(folder: Path, names: list[str]) -> None:
    """Add files to the first commit, when it is still the only one."""
    alone = try_git(folder, "rev-list", "--count", "HEAD").output.strip() == "1"
    if alone and try_git(folder, *AS_IT_IS, "add", "--", *names).code == 0:
        amend = ("commit", "--quiet", "--no-verify", "--amend", "--no-edit")
        try_git(folder, *identity(folder), *amend)


def identity(folder: Path) -> tuple[str, ...]:
    """Return git options: who commits in `folder`, or a name for nobody; no signing prompt."""
    settings = _settings(folder)
    options = ["-c", "commit.gpgSign=false"]
    for key, value in (("user.name", "pixi-scaffold"), ("user.email", "pixi-scaffold@localhost")):
        options += ["-c", f"{key}={settings.get(key, value)}"]
    return tuple(options)


def _settings(folder: Path) -> dict[str, str]:
    """Return those of git's settings that matter here and are not empty; names in lower case."""
    wanted = r"^(user\.(name|email)|init\.defaultbranch)$"
    lines = try_git(folder, "config", "--get-regexp", wanted).output.splitlines()
    pairs = (line.partition(" ") for line in lines)
    return {key.lower(): value for key, _, value in pairs if value.strip()}

"""Put new files on a git branch of their own; nothing that is there is touched."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import File, git, program, try_git, uninterrupted, write_file
from pixi_scaffold.template import AS_IT_IS, identity


def check_repository(root: Path, branch: str) -> None:
    """Raise UsageError where nothing can be brought to a folder on a new branch."""
    if not {path.name for path in root.iterdir()} - {".git"}:
        raise UsageError(
            f"{root} is empty: there is nothing to bring the scaffold to",
            in_folder(root, f"{program()} new ."),
        )
    commit = "git add --all && git commit -m 'Before the scaffold'"
    if try_git(root, "rev-parse", "--is-inside-work-tree").code != 0:
        raise UsageError(
            f"{root} is in no git repository: what is brought to it goes on a branch",
            in_folder(root, f"git init && {commit}"),
        )
    if try_git(root, "rev-parse", "--verify", "--quiet", "HEAD").code != 0:
        raise UsageError("the git repository has no commit yet", in_folder(root, commit))
    if try_git(root, "check-ref-format", "--branch", branch).code != 0:
        raise UsageError(f"{branch!r} is no name for a branch", f"{program()} adopt --branch NAME")
    if try_git(root, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}").code == 0:
        raise UsageError(
            f"there is a branch {branch} already",
            f"look at it: git switch {branch}; or: {program()} adopt --branch OTHER",
        )


def commit_on_branch(root: Path, branch: str, files: Mapping[str, File], message: str) -> str:
    """Commit the files on a new branch, which becomes the current one; return the one before.

    Other work in the folder, committed or not, stays as it is. Raises ScaffoldError where a file
    is there meanwhile or git fails; then nothing of it is left.
    """
    before = git(root, "rev-parse", "--abbrev-ref", "HEAD").strip()
    start = git(root, "rev-parse", "HEAD").strip()
    made: list[str] = []
    folders = [p for name in files for p in (root / name).parents if not p.exists()]
    with uninterrupted():
        git(root, "switch", "--quiet", "--create", branch)
        try:
            for name, file in files.items():
                path = root / name
                if path.exists() or path.is_symlink():
                    raise ScaffoldError(
                        f"{name} was made by something else meanwhile", f"{program()} adopt"
                    )
                made.append(name)
                write_file(root, name, file)
            git(root, *AS_IT_IS, "add", "--force", "--", *files)
            commit = ("commit", "--quiet", "--no-verify", "--only", "-m", message, "--", *files)
            git(root, *AS_IT_IS, *identity(root), *commit)
        except BaseException:
            for name in made:
                (root / name).unlink(missing_ok=True)
            for folder in sorted(set(folders), key=lambda p: -len(p.parts)):
                with suppress(OSError):
                    folder.rmdir()
            try_git(root, "rm", "--quiet", "--cached", "--ignore-unmatch", "--", *made)
            back = ("--detach", start) if before == "HEAD" else (before,)
            try_git(root, "switch", "--quiet", *back)
            try_git(root, "branch", "--quiet", "-D", branch)
            raise
    return before

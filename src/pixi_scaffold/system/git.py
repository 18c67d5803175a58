"""Run git: the only module that does.

A repository's configuration can name programs. Hooks and fsmonitor are never started from here;
filters (git-lfs) only where git reads or writes files of the work tree.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system.process import Completed, clean_env, read_output, run
from pixi_scaffold.system.temporary import temporary_folder
from pixi_scaffold.system.tree import File, Tree

OLDEST_GIT = (2, 38)
"""The oldest version that an update is made with; the tests run on 2.39 (Debian 12)."""

_ALWAYS = (
    "--no-optional-locks", "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "-c", "gc.auto=0",
)  # fmt: skip
_ENV = {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}
_SETTINGS = re.compile(
    r"(?m)^(?:fatal|error): (bad (?:\w+ )?config .*|invalid branch name: init\..*|"
    r"unable to access '[^']*config[^']*'.*)"
)  # what stops every command
_KINDS = {"100755": True, "100644": False, "120000": False}


class GitError(ScaffoldError):
    """git ended with an error; the message is what it said. output: all of that."""

    def __init__(self, message: str, hint: str = "", output: str = "") -> None:
        super().__init__(message, hint)
        self.output = output


def try_git(
    folder: Path | None,
    *args: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> Completed:
    """Run git in `folder`; return its exit code and what it printed (stderr only when it failed).

    env: variables beside those of this process. Raises ScaffoldError when git cannot be started, or
    not read its settings.
    """
    # A trace goes among what git says; one that goes into a file (an absolute path) stays.
    traces = [k for k, v in os.environ.items() if k.startswith("GIT_TRACE") and v[:1] != "/"]
    whole = clean_env({**_ENV, **(env or {})}, drop=traces)
    # A file's name may look like a pattern; check-ignore takes no patterns, and refuses the option.
    literal = () if args[:1] == ("check-ignore",) else ("--literal-pathspecs",)
    argv = ["git", *_ALWAYS, *literal, *_bare(folder), *args]
    done = run(argv, cwd=folder, env=whole, timeout=timeout, stdin=stdin, warnings=False)
    if done.code and (bad := _SETTINGS.search(done.output)):
        hint = "correct that setting; where it is: git config --list --show-origin"
        raise GitError(f"git cannot work with its settings: {bad[1]}", hint, done.output)
    return done


def git(
    folder: Path | None,
    *args: str | Path,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 600,
) -> str:
    """Run git in `folder` and return what it printed; raises GitError when it fails."""
    done = try_git(folder, *args, stdin=stdin, env=env, timeout=timeout)
    if done.code != 0:
        raise failed(args, done)
    return done.output


def failed(args: tuple[str | Path, ...], done: Completed) -> GitError:
    """Return the error for a git command that ended with another code than 0."""
    if refused := re.search(r"dubious ownership in repository at (.*)", done.output):
        line = re.search(r"^\s*(git config --global --add safe\.directory .+)$", done.output, re.M)
        return GitError(
            f"git does not work in {refused[1].strip()}: it belongs to another user",
            f"if you trust it: {line[1]}" if line else "",
            done.output,
        )
    words = iter(args)
    verb = ""
    for word in words:
        if word in ("-c", "-C"):
            next(words, None)
        elif not str(word).startswith("-"):
            verb = str(word)
            break
    full = re.search(r"No space left|Out of diskspace|[Qq]uota exceeded", done.output)
    hint = "make space on that disk, then the same again" if full else ""
    return GitError(f"git {verb} failed: {done.output.strip()}", hint, done.output)


def _bare(folder: Path | None) -> tuple[str, ...]:
    """Return what names a bare repository, which git may not look for (safe.bareRepository)."""
    bare = folder is not None and folder.suffix == ".git" and (folder / "HEAD").is_file()
    return ("--git-dir=.",) if bare else ()


@cache
def git_version() -> tuple[int, ...]:
    """Return git's version, such as (2, 39, 5); raises ScaffoldError when it cannot be started."""
    number = re.search(r"(\d+(?:\.\d+)+)", git(None, "version", timeout=60))
    return tuple(int(part) for part in number[1].split(".")) if number else (0,)


def refuse_old_git() -> None:
    """Raise ScaffoldError when git is older than what an update needs."""
    if git_version()[:2] < OLDEST_GIT:
        have, need = (".".join(map(str, v)) for v in (git_version(), OLDEST_GIT))
        raise ScaffoldError(
            f"git is version {have}, and an update needs {need} or newer",
            "install a newer git: https://git-scm.com/downloads, or: pixi global install git",
        )


def list_tree(folder: Path, tree: str) -> dict[str, tuple[str, str]]:
    """Return what a tree holds at any depth: path -> mode and object name."""
    rows = git(folder, "ls-tree", "-r", "-z", tree).split("\0")
    listing = {}
    for row in filter(None, rows):
        head, _, path = row.partition("\t")
        mode, _, name = head.split(" ")
        listing[path] = (mode, name)
    return listing


def read_blobs(folder: Path, entries: Mapping[str, tuple[str, str]]) -> dict[str, File]:
    """Return the files of a listing as git holds them: no filter, no line ends changed.

    entries: as from `list_tree`; submodules are left out.
    """
    wanted = {path: entry for path, entry in entries.items() if entry[0] in _KINDS}
    if not wanted:
        return {}
    names = "".join(f"{name}\n" for _, name in wanted.values())
    argv = ["git", *_ALWAYS, *_bare(folder), "cat-file", "--batch"]
    output = read_output(argv, cwd=folder, env=clean_env(_ENV), stdin=os.fsencode(names))
    files, at = {}, 0
    for path, (mode, name) in wanted.items():
        end = output.find(b"\n", at)
        head = output[at:end].split()
        if len(head) != 3:
            raise GitError(f"git cannot read {path} ({name})", "git fsck")
        size = int(head[2])
        content = output[end + 1 : end + 1 + size]
        files[path] = File(content, _KINDS[mode], mode == "120000")
        at = end + 1 + size + 1
    return files


def write_blobs(folder: Path, files: Tree, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Put files into the repository's objects, as they are; return their entries for an index.

    An entry is MODE and NAME with a space between, as `git update-index --index-info` takes it.
    """
    if not files:
        return {}
    with temporary_folder() as spare:
        paths = [spare / str(number) for number in range(len(files))]
        for path, file in zip(paths, files.values(), strict=True):
            path.write_bytes(file.content)
        lines = "".join(f"{path}\n" for path in paths)
        argv = ("hash-object", "-w", "--no-filters", "--stdin-paths")
        names = git(folder, *argv, stdin=lines, env=env).split()
    modes = ("120000" if f.link else "100755" if f.executable else "100644" for f in files.values())
    entries = (f"{mode} {name}" for mode, name in zip(modes, names, strict=True))
    return dict(zip(files, entries, strict=True))


def write_tree(
    folder: Path,
    start: str,
    entries: Mapping[str, str | None],
    env: Mapping[str, str] | None = None,
) -> str:
    """Return a tree: that of `start` (empty: nothing) with other entries, None: taken out.

    entries: by path below the top, as from `write_blobs`. Work tree and index stay as they are.
    """
    nothing = f"0 {'0' * (64 if len(start) == 64 else 40)}"
    rows = "".join(f"{entry or nothing}\t{path}\0" for path, entry in entries.items())
    with temporary_folder() as spare:
        with_index = {**(env or {}), "GIT_INDEX_FILE": str(spare / "index")}
        git(folder, "read-tree", start or "--empty", env=with_index)
        git(folder, "update-index", "-z", "--index-info", stdin=rows, env=with_index)
        return git(folder, "write-tree", env=with_index).strip()

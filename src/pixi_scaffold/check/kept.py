"""What is known of a job's inputs: whether git keeps them, which packages an archive holds."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.rules import top_of, within_review
from pixi_scaffold.system import try_git

_SECONDS = 20


def kept_by_git(paths: Iterable[Path]) -> Mapping[Path, str]:
    """Return `tracked`, `untracked` or `ignored` for each path in a repository.

    A folder is tracked when something in it is. Paths outside of any repository, and those in a
    repository that git cannot read, are not in the answer; nor is anything where git is missing.
    """
    by_top: dict[Path, list[Path]] = defaultdict(list)
    tops: dict[Path, Path | None] = {}
    for path in dict.fromkeys(paths):
        folder = path.parent
        if folder not in tops:
            tops[folder] = top_of(folder)
        if (top := tops[folder]) is not None and ".." not in path.parts:
            by_top[top].append(path)
    answer: dict[Path, str] = {}
    for top, some in by_top.items():
        try:
            answer |= _ask(top, some)
        except ScaffoldError:
            continue  # no git here
    return answer


def _ask(top: Path, paths: list[Path]) -> dict[Path, str]:
    names = {path.relative_to(top).as_posix(): path for path in paths}
    names.pop(".", None)
    tracked = try_git(top, "ls-files", "-z", "--", *names, timeout=_SECONDS)
    if tracked.code != 0:
        return {}
    files = tracked.output.split("\0")
    known = {"/".join(f.split("/")[:n]) for f in files for n in range(1, f.count("/") + 2)}
    listed = "\0".join(name if path.exists() else f"{name}/" for name, path in names.items())
    ignored = try_git(top, "check-ignore", "-z", "--stdin", stdin=listed, timeout=_SECONDS)
    out = {name.rstrip("/") for name in ignored.output.split("\0")}  # `data/` ignores folders alone
    return {
        path: "tracked" if name in known else "ignored" if name in out else "untracked"
        for name, path in names.items()
    }


_RECORDS = "conda-meta/"
_MOST_BYTES = 400 << 20
"""Unpacked bytes that are read before the records have to begin; they come early, by name."""


@within_review
def packages_in(path: Path) -> frozenset[str]:
    """Return the packages of a .tar.gz that conda-pack or `pack` wrote, as `name-version-build`.

    Empty where it is no such archive, or its records do not come early.
    """
    import tarfile

    packages: set[str] = set()
    read = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name.startswith(_RECORDS) and name.endswith(".json"):
                    packages.add(name.removeprefix(_RECORDS).removesuffix(".json"))
                elif packages and not name.startswith(_RECORDS):
                    break
                read += member.size
                if read > _MOST_BYTES:
                    break
    except (OSError, EOFError, tarfile.TarError):
        return frozenset()
    return frozenset(packages)

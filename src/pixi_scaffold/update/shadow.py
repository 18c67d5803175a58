"""Prepare a change of a git repository beside it, and bring it over in one last step.

The shadow is a repository in a temporary folder that borrows the user's objects, so whatever
happens before that step, the user's files, index, refs and stash are as they were.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import File, in_the_way, run, write_file
from pixi_scaffold.template import identity
from pixi_scaffold.update.worktree import Repository

_CONFIG = """
[core]
\tautocrlf = false
\tsafecrlf = false
\tfsmonitor = false
\thooksPath = /dev/null
[gc]
\tauto = 0
"""


class Shadow:
    """A copy of the project as git holds it, which can be changed and committed."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self.repository = repository
        self.top = folder
        self.project = folder / repository.prefix if repository.prefix else folder

    def write(self, files: Iterable[tuple[str, File | None]]) -> None:
        """Make files below the project what they should be, and tell git."""
        paths = []
        for path, file in files:
            if (obstacle := in_the_way(self.project, path)) is not None:
                where = obstacle.relative_to(self.top)
                raise ScaffoldError(
                    f"the template has a file {path}, but {where} of yours is in its place",
                    f"move {where} away, and commit",
                )
            write_file(self.project, path, file)
            paths.append(path)
        self.add(paths)

    def add(self, paths: list[str]) -> None:
        """Put files below the project, as they are now, into the index."""
        if paths:
            argv = ["--literal-pathspecs", "add", "--all", "--force", "--", *paths]
            self.git(*argv, cwd=self.project)

    def commit(self, message: str) -> str:
        """Commit the index; return the commit."""
        options = identity(self.repository.project)
        self.git(*options, "commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def changed(self) -> dict[str, str]:
        """Return the paths below the top that differ from the user's commit: A, M, D or T."""
        names = self.git(
            "diff", "--cached", "--name-status", "--no-renames", "-z", self.repository.head
        )
        words = names.split("\0")
        return dict(zip(words[1::2], words[::2], strict=False))

    def index_entries(self, stages: Mapping[str, tuple[File | None, ...]]) -> str:
        """Return what makes files conflicts in an index, for `git update-index -z --index-info`.

        stages: for files below the project, the base, ours and theirs.
        """
        rows: list[str] = []
        folder = Path(tempfile.mkdtemp(dir=self.top / ".git"))
        for path, sides in stages.items():
            name = self.repository.prefix + path
            rows.append(f"0 {'0' * len(self.repository.head)}\t{name}")
            for stage, file in enumerate(sides, 1):
                if file is None:
                    continue
                (folder / "blob").write_bytes(file.content)
                argv = ("hash-object", "-w", "--no-filters", "--", str(folder / "blob"))
                mode = "120000" if file.link else "100755" if file.executable else "100644"
                rows.append(f"{mode} {self.git(*argv).strip()} {stage}\t{name}")
        return "".join(f"{row}\0" for row in rows)

    def git(self, *args: str, cwd: Path | None = None, stdin: str | None = None) -> str:
        """Run git in the shadow; raises ScaffoldError when it fails."""
        done = run(["git", *args], cwd=cwd or self.top, timeout=300, stdin=stdin, warnings=False)
        if done.code != 0:
            verb = next((a for a in args if not a.startswith("-") and "=" not in a), "")
            raise ScaffoldError(f"git {verb} failed: {done.output.strip()}")
        return done.output


@contextmanager
def open_shadow(repository: Repository) -> Iterator[Shadow]:
    """Yield a shadow with the project's files as the commit has them, byte for byte."""
    with tempfile.TemporaryDirectory(prefix="pixi-scaffold-", ignore_cleanup_errors=True) as name:
        top = Path(name).resolve() / (repository.top.name or "top")
        top.mkdir()
        shadow = Shadow(repository, top)
        kind = () if len(repository.head) == 40 else ("--object-format=sha256",)
        shadow.git("init", "--quiet", "--template=", *kind)
        inner = top / ".git"
        (inner / "objects" / "info").mkdir(parents=True, exist_ok=True)
        objects = repository.common_dir / "objects"
        (inner / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
        if (repository.common_dir / "shallow").is_file():
            shutil.copyfile(repository.common_dir / "shallow", inner / "shallow")
        (inner / "info").mkdir(exist_ok=True)
        (inner / "info" / "attributes").write_text(
            "* -text -filter -ident -working-tree-encoding\n"
        )
        with (inner / "config").open("a") as config:
            config.write(_CONFIG)
        (inner / "HEAD").write_text(f"{repository.head}\n")
        shadow.git("read-tree", "HEAD")
        shadow.git("checkout", "--quiet", "--", repository.prefix or ".")
        yield shadow

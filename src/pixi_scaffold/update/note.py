"""The note that an update leaves in a work tree's git folder, so that it can be undone."""

import hashlib
import json
import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import program, replacing
from pixi_scaffold.update.repository import Repository

_STEM = "pixi-scaffold-update"


@dataclass(frozen=True, slots=True)
class Landing:
    """What an update does to the repository, written down before it begins, so it can be undone."""

    branch: str
    branch_was: str
    """Where the branch was before; empty when there was none."""
    commit: str
    """The update; with conflicts what is left to be edited."""
    tip: str
    """Where the branch ends up: at the update, or with conflicts at the user's commit."""
    from_branch: str | None
    from_commit: str
    paths: tuple[str, ...]
    """What changes, below the top of the repository."""
    created: tuple[str, ...]
    """Those of them that were not there before."""
    conflicts: tuple[str, ...]
    """Those that wait for the user."""
    message: str
    landed: bool = False
    prefix: str = ""
    """The project below the top."""

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"


def _place(repository: Repository) -> Path:
    """Return where the note of a project is; each project of a repository has one of its own."""
    mark = hashlib.sha256(os.fsencode(repository.prefix)).hexdigest()[:12]
    return repository.git_dir / (f"{_STEM}-{mark}.json" if repository.prefix else f"{_STEM}.json")


def read_note(repository: Repository) -> Landing | None:
    """Return the last update of this project in this work tree, if it was not undone yet."""
    return _read(_place(repository))


def _read(path: Path) -> Landing | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        for key in ("paths", "created", "conflicts"):
            data[key] = tuple(data[key])
        return Landing(**data)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_note(repository: Repository, landing: Landing) -> None:
    """Write down what an update does, or that it is done, in one step."""
    with replacing(_place(repository)) as new:
        new.write_text(json.dumps(asdict(landing), indent=2) + "\n", encoding="utf-8")


def remove_note(repository: Repository) -> None:
    """Forget the last update of this project."""
    _place(repository).unlink(missing_ok=True)


def is_there(repository: Repository, landing: Landing) -> bool:
    """Whether an update is done or waits, though it could not write that down any more."""
    if landing.conflicts:
        return waits(repository, landing)
    return (repository.branch, repository.head) == (landing.branch, landing.commit)


def waits(repository: Repository, landing: Landing) -> bool:
    """Whether an update is being made in this work tree that has conflicts."""
    if not landing.conflicts or repository.branch != landing.branch:
        return False
    picked = repository.git_dir / "CHERRY_PICK_HEAD"
    return picked.is_file() and picked.read_text().strip() == landing.commit


def refuse_unfinished(repository: Repository) -> None:
    """Raise ScaffoldError when an update of any project in this work tree waits for the user."""
    for landing in map(_read, sorted(repository.git_dir.glob(f"{_STEM}*.json"))):
        if landing is None:
            continue
        other = f" {shlex.quote(str(repository.top / landing.prefix))}"
        where = "" if landing.prefix == repository.prefix else other
        if not landing.landed and not is_there(repository, landing):
            raise ScaffoldError(
                "an update was cut off in the middle", f"undo it: {program()} update --abort{where}"
            )
        if waits(repository, landing):
            raise ScaffoldError(
                f"an update is not finished yet (branch {landing.branch})",
                f"finish it: {program()} update --continue{where}, or undo it: "
                f"{program()} update --abort{where}",
            )


def unfinished(repository: Repository) -> Landing:
    """Return the update that waits for the user; raises UsageError when there is none."""
    landing = read_note(repository)
    if landing is None or not waits(repository, landing):
        raise UsageError("no update waits to be continued", f"make one: {program()} update")
    return landing

"""The note that an update leaves in a work tree's git folder, so that it can be undone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import program, replacing
from pixi_scaffold.update.repository import Repository

NOTE = "pixi-scaffold-update.json"


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
    prefix: str | None = None
    """The project below the top."""

    @property
    def ref(self) -> str:
        """The branch's full name."""
        return f"refs/heads/{self.branch}"


def read_note(repository: Repository) -> Landing | None:
    """Return the last update of this work tree that was not merged or undone yet."""
    try:
        data = json.loads((repository.git_dir / NOTE).read_text(encoding="utf-8"))
        for key in ("paths", "created", "conflicts"):
            data[key] = tuple(data[key])
        landing = Landing(**data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # The projects of one repository share the note: an update of another one is not this one's.
    return landing if landing.prefix in (None, repository.prefix) else None


def write_note(repository: Repository, landing: Landing) -> None:
    """Write down what an update does, or that it is done, in one step."""
    with replacing(repository.git_dir / NOTE) as new:
        new.write_text(json.dumps(asdict(landing), indent=2) + "\n", encoding="utf-8")


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
    """Raise ScaffoldError when an update of this work tree waits for the user."""
    landing = read_note(repository)
    if landing is None:
        return
    if not landing.landed and not is_there(repository, landing):
        raise ScaffoldError(
            "an update was cut off in the middle", f"undo it: {program()} update --abort"
        )
    if waits(repository, landing):
        raise ScaffoldError(
            f"an update is not finished yet (branch {landing.branch})",
            f"finish it: {program()} update --continue, or undo it: {program()} update --abort",
        )


def unfinished(repository: Repository) -> Landing:
    """Return the update that waits for the user; raises UsageError when there is none."""
    landing = read_note(repository)
    if landing is None or not waits(repository, landing):
        raise UsageError("no update waits to be continued", f"make one: {program()} update")
    return landing

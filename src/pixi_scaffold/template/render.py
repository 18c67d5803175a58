"""Render the template into a new project."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import Interrupted, ScaffoldError, UsageError
from pixi_scaffold.system import real, temporary_files_in, temporary_folder, try_git
from pixi_scaffold.template.answers import public, recorded
from pixi_scaffold.template.checkout import check_out_for
from pixi_scaffold.template.copier import (
    in_our_words,
    name_project,
    no_git,
    refuse_given,
    refuse_unknown,
    template_error,
)
from pixi_scaffold.template.destination import check_destination, make_parents, place, remove_empty
from pixi_scaffold.template.repository import AS_IT_IS, start_repository
from pixi_scaffold.template.source import Template
from pixi_scaffold.template.versions import version_of

Confirm = Callable[[Mapping[str, Any]], bool]
"""Shown the answers to the questions, says whether to go on."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A project as it was made: template URL and version, answers, and what to warn of."""

    folder: Path
    source: str
    commit: str
    answers: Mapping[str, Any]
    warnings: tuple[str, ...]
    repository: str = ""
    """What was done about git, in words; empty when it was left alone."""
    committed: bool = False
    """Whether its first commit was made."""
    staged: bool = False
    """Whether it was added to a repository that was there, and waits to be committed."""


def render(
    template: Template,
    destination: Path,
    data: Mapping[str, Any],
    *,
    ask: bool,
    git: bool = False,
    confirm: Confirm | None = None,
) -> Rendered:
    """Render `template` to `destination`, which appears only when all of it is there.

    data: answers that are not asked. ask: put Copier's questions on the terminal for the rest;
    otherwise the defaults count. git: make it a repository with one commit.
    confirm: is shown the answers before the project is put in place, and says whether it is to be.
    Raises UsageError for a wrong answer, ScaffoldError for a template that cannot be read or
    written; KeyboardInterrupt leaves nothing behind, a refusal neither (Interrupted).
    """
    check_destination(destination)
    source = Path(template.source)
    if source.is_dir() and destination.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{destination} lies inside the template {source}", "choose another place")
    made = make_parents(destination.parent)
    try:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(_staging(destination.parent)) / destination.name
            answers, noted = _copy(template, folder, data, ask, destination.resolve().name)
            if confirm is not None and not confirm(public(answers)):
                raise Interrupted("nothing was made", "")
            if not folder.is_dir():
                raise template_error(template, "it makes no file")
            staged = git and (destination / ".git").exists()
            repository = "added to the git repository that is there, not committed"
            if not staged:
                repository = start_repository(folder, destination) if git else ""
            committed = repository.startswith("git repository")
            kept = place(folder, destination)
            kept_note = [f"kept as they were: {', '.join(kept)}"] if kept else []
            if staged:  # a clone elsewhere has only what git knows
                try_git(destination, *AS_IT_IS, "add", "--all")
    except BaseException:
        remove_empty(made)
        raise
    commit = str(answers.get("_commit", ""))
    return Rendered(
        destination,
        str(answers.get("_src_path", template.source)),
        commit,
        public(answers),
        (*template.notes, *noted, *_update_warning(commit), *kept_note),
        repository,
        committed,
        staged,
    )


@contextlib.contextmanager
def _staging(parent: Path) -> Iterator[Path]:
    """Yield a folder beside the destination, in which Copier has its temporary files, too."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder(parent))
        except OSError as error:
            raise ScaffoldError(
                f"cannot write to {parent}: {error.strerror}", "choose another place"
            ) from error
        stack.enter_context(temporary_files_in(folder))
        yield folder


def _copy(
    template: Template, folder: Path, data: Mapping[str, Any], ask: bool, name: str
) -> tuple[Mapping[str, Any], list[str]]:
    """Let Copier render; return the answers that it recorded, and its warnings."""
    from copier._main import Worker

    noted: list[str] = []
    with in_our_words(template, folder), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Copier remarks on tags in passing; _update_warning says it in our words.
        with contextlib.redirect_stderr(io.StringIO()):
            worker = Worker(
                template.source,
                folder,
                data=dict(data),
                vcs_ref=template.ref,
                defaults=not ask,
                quiet=True,
            )
            with worker:
                check_out_for(worker, template, real(folder.parent) / f"{folder.name}.template")
                known = worker.template  # asked while there is git to ask
                _ = known.local_abspath, known.commit, known.commit_hash, known.git_index_modes
                refuse_unknown(data, known.questions_data)
                refuse_given(worker, data)
                if "project_name" in known.questions_data.keys() - data.keys():
                    noted = name_project(worker, name, ask=ask)
                with no_git():
                    worker.run_copy()
    noted += [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]
    path = folder / worker.answers_relpath  # a template need not write one
    return recorded(path.read_bytes()) if path.is_file() else {}, noted


def _update_warning(commit: str) -> tuple[str, ...]:
    """Say what `copier update` can follow: tags, commits, or nothing."""
    if not commit:
        return (
            "the project records no version of its template (one that is not in git, or writes no "
            "answers file), so it cannot be updated",
        )
    if version_of(commit) is None:
        return (f"the template has no release at {commit} yet: updates follow its commits",)
    return ()

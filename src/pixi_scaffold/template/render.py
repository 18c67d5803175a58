"""Render the template, into a new project or into memory: the only module that calls Copier."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from packaging.version import InvalidVersion, Version

from pixi_scaffold.template.destination import (
    check_destination,
    make_parents,
    place,
    remove_empty,
)
from pixi_scaffold.errors import Interrupted, ScaffoldError, UsageError
from pixi_scaffold.system import GIT_LOCAL, clean_env, run
from pixi_scaffold.template.repository import start_repository
from pixi_scaffold.template.source import Template, open_source
from pixi_scaffold.system import Tree, read_tree

if TYPE_CHECKING:
    from copier._main import Worker


_NEW = "check --template and --vcs-ref, or leave them out for the built-in template"
_PROJECT = (
    "is it reachable, and has it that version? if it moved, correct _src_path in the answers file; "
    "if the project is newer than this pixi-scaffold, upgrade it"
)


Confirm = Callable[[Mapping[str, Any]], bool]
"""Shown the answers to the questions, says whether to go on."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A project as it was made: template URL and version, answers, and what to warn of.

    repository: what was done about git, in words; empty when it was left alone.
    """

    folder: Path
    source: str
    commit: str
    answers: Mapping[str, Any]
    warnings: tuple[str, ...]
    repository: str = ""
    committed: bool = False
    """Whether its first commit was made."""


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
        staging = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    except OSError as error:
        remove_empty(made)
        raise ScaffoldError(
            f"cannot write to {destination.parent}: {error.strerror}", "choose another place"
        ) from error
    try:
        folder = staging / destination.name
        copied = _copy(template, folder, data, ask, destination.resolve().name)
        _refuse_unknown(data, copied)
        if confirm is not None and not confirm(_public(copied.answers)):
            raise Interrupted("nothing was made", "")
        if not folder.is_dir():
            raise _template_error(template, "it makes no file")
        own = (destination / ".git").exists()
        repository = start_repository(folder, destination) if git and not own else ""
        committed = repository.startswith("git repository")
        kept = place(folder, destination)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        remove_empty(made)
        raise
    shutil.rmtree(staging, ignore_errors=True)
    commit = str(copied.answers.get("_commit", ""))
    return Rendered(
        destination,
        str(copied.answers.get("_src_path", template.source)),
        commit,
        _public(copied.answers),
        copied.warnings + _update_warning(commit) + _kept_warning(kept),
        "into the git repository that is there; nothing is committed" if own else repository,
        committed,
    )


@dataclass(frozen=True, slots=True)
class _Copied:
    """What Copier did: the answers that it recorded, the questions there are, its warnings."""

    answers: Mapping[str, Any]
    questions: frozenset[str]
    warnings: tuple[str, ...]


def _copy(
    template: Template, folder: Path, data: Mapping[str, Any], ask: bool, name: str
) -> _Copied:
    """Run Copier."""
    import copier

    suggestion = _slug(name) if ask else name
    if ask and suggestion == name:  # it was typed already
        data = {"project_name": name, **data}
    with _in_our_words(template, folder), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Copier remarks on tags in passing; _update_warning says it in our words.
        with contextlib.redirect_stderr(io.StringIO()):
            worker = copier.run_copy(
                template.source,
                folder,
                data=dict(data),
                user_defaults={"project_name": suggestion} if suggestion else {},
                vcs_ref=template.ref,
                defaults=not ask,
                quiet=True,
            )
    notes = [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]
    return _Copied(
        _answers(folder / worker.answers_relpath),
        frozenset(worker.template.questions_data),
        tuple(notes),
    )


@contextlib.contextmanager
def _in_our_words(template: Template, folder: Path, hint: str = _NEW) -> Iterator[None]:
    """Run Copier with the git that `template` needs, and say its errors as ours."""
    from copier.errors import (
        CopierAnswersInterrupt,
        CopierError,
        InvalidConfigFileError,
        UnsafeTemplateError,
        UserMessageError,
    )
    from plumbum import ProcessExecutionError

    try:
        with _git_env(template.env):
            yield
    except CopierAnswersInterrupt as error:
        raise KeyboardInterrupt from error
    except UnsafeTemplateError as error:
        raise ScaffoldError(
            f"the template {template.source} wants to run code (tasks, migrations or extensions), "
            "which pixi-scaffold does not let it",
            f"if you trust it: copier copy --trust {template.source} {folder.name}",
        ) from error
    except (InvalidConfigFileError, TypeError) as error:
        raise _template_error(template, f"its copier.yml cannot be read: {error}", hint) from error
    except (UserMessageError, ValueError) as error:
        raise _answer_error(error, template, folder, hint) from error
    except ProcessExecutionError as error:
        raise _template_error(
            template, (error.stderr or error.stdout or "").strip(), hint
        ) from error
    except (CopierError, OSError) as error:
        raise _template_error(template, str(error), hint) from error
    except ScaffoldError:
        raise
    except Exception as error:  # whatever a template's Jinja can raise
        raise _template_error(template, f"{type(error).__name__}: {error}", hint) from error


@dataclass(frozen=True, slots=True)
class Render:
    """What one version of a template makes of one set of answers.

    commit: the version, as the project records it. answers_file: its path, empty when the
    template writes none. seeded: the files that are the user's from the first day on.
    exclude: the patterns of what the template does not make any more.
    """

    commit: str
    files: Tree
    answers_file: str
    seeded: frozenset[str]
    exclude: tuple[str, ...] = ()


class Renderer:
    """One template at any of its versions, each of which is checked out once.

    Two renders of a version differ only in the answers, so Copier's view of the template and the
    compiled Jinja are shared between them: a render takes hundredths of a second, not half a one.
    """

    def __init__(self, template: Template) -> None:
        self.template = template
        self._workers: dict[str, Worker] = {}
        self._stack = contextlib.ExitStack()
        self._tags: tuple[str, ...] | None = None

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(_temporary_folder()))
        return self

    def __exit__(self, *_: object) -> None:
        with _git_env(self.template.env):  # Copier removes its checkouts
            self._stack.close()

    def tags(self) -> tuple[str, ...]:
        """Return the template's tags; raises ScaffoldError when it cannot be reached."""
        from copier._template import Template as CopierTemplate

        if self._tags is not None:
            return self._tags
        with _in_our_words(self.template, self._folder, _PROJECT):
            url = CopierTemplate(url=self.template.source).url_expanded
        env = clean_env({**self.template.env, "GIT_TERMINAL_PROMPT": "0"})
        done = run(["git", "ls-remote", "--tags", "--refs", "--", url], env=env, timeout=60)
        if done.code != 0:
            raise _template_error(self.template, done.output, _PROJECT)
        self._tags = tuple(re.findall(r"^[0-9a-f]+\trefs/tags/(.+)$", done.output, re.M))
        return self._tags

    def render(
        self,
        ref: str,
        data: Mapping[str, Any],
        *,
        remembered: str | None = None,
        answers_file: str = "",
        ask: bool = False,
        exclude: tuple[str, ...] = (),
    ) -> Render:
        """Render the template at `ref`.

        data: answers that count. remembered: the text of a project's answers file, whose answers
        count where they are still valid, as in `copier update`. ask: put the questions that have
        no answer yet on the terminal. exclude: patterns of what is not to be made.
        Raises ScaffoldError for a version or an answer that cannot be used.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder)) / "project"
        if remembered is not None:
            (folder / answers_file).parent.mkdir(parents=True)
            (folder / answers_file).write_text(remembered, encoding="utf-8")
        template = replace(self.template, ref=ref)
        with _in_our_words(template, folder, _PROJECT), contextlib.redirect_stderr(io.StringIO()):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shared = self._worker(ref)
                commit = str(shared.template.commit or "")
                worker = replace(
                    shared,
                    dst_path=folder,
                    data=dict(data),
                    answers_file=Path(answers_file) if answers_file else None,
                    defaults=not ask,
                    skip_answered=ask,
                    exclude=exclude,
                )
                worker.template, worker.jinja_env = shared.template, shared.jinja_env
                with _no_git():
                    worker.run_copy()
            made = read_tree(folder)
            files = {path: file for path, file in made.items() if not path.startswith(".git/")}
            answers_path = worker.answers_relpath.as_posix()
            seeded = frozenset(path for path in files if worker.match_skip(Path(path)))
        shutil.rmtree(folder.parent, ignore_errors=True)
        unknown = sorted(set(data) - set(shared.template.questions_data))
        if unknown and remembered is not None:
            raise _unknown_question(unknown, shared.template.questions_data)
        return Render(
            commit,
            files,
            answers_path if answers_path in files else "",
            seeded,
            tuple(shared.template.exclude),
        )

    def has_new_questions(self, ref: str, answers: Mapping[str, Any]) -> bool:
        """Whether the template at `ref` has a question that `answers` do not answer."""
        with _in_our_words(replace(self.template, ref=ref), self._folder, _PROJECT):
            questions = self._worker(ref).template.questions_data
        asked = {name for name, q in questions.items() if q.get("when", True) is not False}
        return bool(asked - set(answers))

    def files_in(self, ref: str, folder: str) -> list[Path]:
        """Return the files in `folder` of the template's repository at `ref`."""
        with _in_our_words(replace(self.template, ref=ref), self._folder, _PROJECT):
            place = Path(self._worker(ref).template.local_abspath) / folder
        return sorted(place.iterdir()) if place.is_dir() else []

    def _worker(self, ref: str) -> Worker:
        """Return the worker whose checkout of one version all renders of it share."""
        from copier._main import Worker

        if ref not in self._workers:
            worker = Worker(
                src_path=self.template.source,
                vcs_ref=ref,
                defaults=True,
                quiet=True,
                overwrite=True,
            )
            self._stack.enter_context(worker)
            # Copier prints what it raises, too; its checkout goes with our folder, come what may.
            with contextlib.redirect_stderr(io.StringIO()), _temporary_in(self._folder):
                environment = worker.jinja_env  # checks the version out
                _ = worker.template.git_index_modes  # while there is git to ask
            environment.__dict__["from_string"] = lru_cache(4096)(environment.from_string)
            self._workers[ref] = worker
        return self._workers[ref]


class Renderers:
    """The renderers of several projects: each template is opened once."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._open: dict[str, Renderer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, source: str) -> Renderer:
        """Return the renderer of the template that a project names."""
        if source not in self._open:
            template = self._stack.enter_context(open_source(source))
            self._open[source] = self._stack.enter_context(Renderer(template))
        return self._open[source]


@contextlib.contextmanager
def _temporary_in(folder: Path) -> Iterator[None]:
    """Let temporary folders be made in `folder`."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="pixi-scaffold-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _slug(name: str) -> str:
    """Return the nearest valid project name, to begin with at the prompt; may be empty."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).lstrip("-_0123456789").rstrip("-_")


def _answer_error(error: Exception, template: Template, folder: Path, hint: str) -> ScaffoldError:
    text = str(error).strip()
    name = _slug(folder.name)
    name = "my-project" if name in ("", folder.name) else name  # that one was refused
    if "project_name" in text:
        return UsageError(text, f"choose another folder, or name it: -d project_name={name}")
    if "Unknown revision" in text or "Local template must be a directory" in text:
        return _template_error(template, text, hint)
    choice = re.search(r"for '(\w+)': .* is not in \['([^']+)'", text)
    example = f"{choice[1]}={choice[2]}" if choice else "question=value"
    return UsageError(text, f"choose another answer: -d {example}")


def _template_error(template: Template, why: str, hint: str = _NEW) -> ScaffoldError:
    where = template.source + (f" at {template.ref}" if template.ref else "")
    lines = why.splitlines() or ["no reason given"]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return ScaffoldError(f"cannot use the template {where}: {(fatal or lines[-1:])[0]}", hint)


@contextlib.contextmanager
def _git_env(extra: Mapping[str, str]) -> Iterator[None]:
    """Give variables to the git that Copier runs: plumbum keeps its own copy of os.environ."""
    from plumbum import local

    before = os.environ.copy()
    os.environ.update(extra)
    try:
        for name in GIT_LOCAL:
            os.environ.pop(name, None)
        with local.env(**extra):
            for name in GIT_LOCAL:
                if name in local.env:
                    del local.env[name]
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _no_git() -> Iterator[None]:
    """Hide git from Copier while it renders into a folder that is in no repository.

    It would ask, once a file, whether that repository keeps executable bits (2 ms each).
    """
    from plumbum import local

    with local.env(PATH=""):
        yield


def _public(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers to the questions, without Copier's own entries."""
    return {k: v for k, v in answers.items() if not k.startswith("_")}


def _answers(path: Path) -> dict[str, Any]:
    """Return the answers that the project records; none when the template writes no such file."""
    try:
        answers = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return answers if isinstance(answers, dict) else {}


def _refuse_unknown(data: Mapping[str, Any], copied: _Copied) -> None:
    """Copier takes any name; a misspelt one would be lost without a word."""
    unknown = sorted(set(data) - copied.questions)
    if unknown:
        raise _unknown_question(unknown, copied.questions)


def _unknown_question(unknown: list[str], questions: Collection[str]) -> UsageError:
    near = difflib.get_close_matches(unknown[0], questions, 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return UsageError(
        f"the template has no question {', '.join(map(repr, unknown))}",
        f"{meant}its questions are: {', '.join(sorted(questions)) or 'none'}",
    )


def _kept_warning(kept: tuple[str, ...]) -> tuple[str, ...]:
    return (f"kept as they were: {', '.join(kept)}",) if kept else ()


def _update_warning(commit: str) -> tuple[str, ...]:
    """Say what `copier update` can follow: tags, commits, or nothing."""
    if not commit:
        return (
            "the project records no version of its template (one that is not in git, or writes no "
            "answers file), so it cannot be updated",
        )
    try:
        if re.fullmatch(r"[0-9a-f]{7,40}", commit):  # all digits would pass for a version
            raise InvalidVersion
        Version(commit)
    except InvalidVersion:
        return (f"the template has no release at {commit} yet: updates follow its commits",)
    return ()

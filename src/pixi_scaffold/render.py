"""Make a project from the template: the only module that calls Copier."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.process import GIT_LOCAL, program
from pixi_scaffold.repository import start_repository
from pixi_scaffold.template import Template


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


def check_destination(destination: Path) -> None:
    """Raise UsageError when something is at `destination` already, or nothing can be made there."""
    if (destination.is_symlink() or destination.exists()) and not destination.is_dir():
        raise UsageError(f"{destination} exists and is not a folder", "choose another name")
    if destination.is_dir() and any(destination.iterdir()):
        raise UsageError(
            f"{destination} exists and is not empty",
            f"choose another name; to prove a project that is there: {program()} check --train",
        )
    if bad := set('"$`\\:\n') & set(str(destination.absolute())):
        raise UsageError(
            f"{destination.absolute()} has {' '.join(map(repr, sorted(bad)))} in it, which breaks "
            "the activation of conda environments",
            "choose another folder",
        )
    parent = destination.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise UsageError(f"{parent} is not a folder", "choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ScaffoldError(f"{parent} is not writable", "choose another place")


def render(
    template: Template,
    destination: Path,
    data: Mapping[str, Any],
    *,
    ask: bool,
    git: bool = False,
) -> Rendered:
    """Render `template` to `destination`, which appears only when all of it is there.

    data: answers that are not asked. ask: put Copier's questions on the terminal for the rest;
    otherwise the defaults count. git: make it a repository with one commit.
    Raises UsageError for a wrong answer, ScaffoldError for a template that cannot be read or
    written; KeyboardInterrupt leaves nothing behind.
    """
    check_destination(destination)
    source = Path(template.source)
    if source.is_dir() and destination.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{destination} lies inside the template {source}", "choose another place")
    made = _make_parents(destination.parent)
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
    except OSError as error:
        _remove_empty(made)
        raise ScaffoldError(
            f"cannot write to {destination.parent}: {error.strerror}", "choose another place"
        ) from error
    try:
        folder = staging / destination.name
        copied = _copy(template, folder, data, ask, destination.resolve().name)
        _refuse_unknown(data, copied)
        if not folder.is_dir():
            raise _template_error(template, "it makes no file")
        repository = start_repository(folder, destination) if git else ""
        _move(folder, destination)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(made)
        raise
    shutil.rmtree(staging, ignore_errors=True)
    commit = str(copied.answers.get("_commit", ""))
    return Rendered(
        destination,
        str(copied.answers.get("_src_path", template.source)),
        commit,
        {k: v for k, v in copied.answers.items() if not k.startswith("_")},
        copied.warnings + _update_warning(commit),
        repository,
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
    from copier.errors import (
        CopierAnswersInterrupt,
        CopierError,
        InvalidConfigFileError,
        UnsafeTemplateError,
        UserMessageError,
    )
    from plumbum import ProcessExecutionError

    suggestion = _slug(name) if ask else name
    try:
        with _git_env(template.env), warnings.catch_warnings(record=True) as caught:
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
    except CopierAnswersInterrupt as error:
        raise KeyboardInterrupt from error
    except UnsafeTemplateError as error:
        raise ScaffoldError(
            f"the template {template.source} wants to run code (tasks, migrations or extensions), "
            "which pixi-scaffold does not let it",
            f"if you trust it: copier copy --trust {template.source} {folder.name}",
        ) from error
    except (InvalidConfigFileError, TypeError) as error:
        raise _template_error(template, f"its copier.yml cannot be read: {error}") from error
    except (UserMessageError, ValueError) as error:
        raise _answer_error(error, template) from error
    except ProcessExecutionError as error:
        raise _template_error(template, (error.stderr or error.stdout or "").strip()) from error
    except (CopierError, OSError) as error:
        raise _template_error(template, str(error)) from error
    except Exception as error:  # whatever a template's Jinja can raise
        raise _template_error(template, f"{type(error).__name__}: {error}") from error
    notes = [str(w.message) for w in caught if not issubclass(w.category, DeprecationWarning)]
    return _Copied(
        _answers(folder / worker.answers_relpath),
        frozenset(worker.template.questions_data),
        tuple(notes),
    )


def _slug(name: str) -> str:
    """Return the nearest valid project name, to begin with at the prompt; may be empty."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_0123456789")


def _answer_error(error: Exception, template: Template) -> ScaffoldError:
    text = str(error).strip()
    if "project_name" in text:
        return UsageError(text, "choose another folder, or name it: -d project_name=my-project")
    if "Unknown revision" in text or "Local template must be a directory" in text:
        return _template_error(template, text)
    return UsageError(text, "choose another answer: -d question=value")


def _template_error(template: Template, why: str) -> ScaffoldError:
    where = template.source + (f" at {template.ref}" if template.ref else "")
    lines = why.splitlines() or ["no reason given"]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return ScaffoldError(
        f"cannot use the template {where}: {(fatal or lines[-1:])[0]}",
        "check --template and --vcs-ref, or leave them out for the built-in template",
    )


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
        raise UsageError(
            f"the template has no question {', '.join(map(repr, unknown))}",
            f"its questions are: {', '.join(sorted(copied.questions)) or 'none'}",
        )


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
        return (f"the template has no version tag at {commit}: updates will follow commits",)
    return ()


def _make_parents(folder: Path) -> list[Path]:
    """Make `folder` and what it lies in; return what was made, innermost first."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScaffoldError(
            f"cannot make {folder}: {error.strerror}", "choose another place"
        ) from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _move(folder: Path, destination: Path) -> None:
    """Put the finished project in place; an empty folder that was there is filled."""
    if not destination.exists():
        folder.rename(destination)
        return
    moved: list[Path] = []
    try:
        for child in sorted(folder.iterdir()):
            moved.append(Path(shutil.move(child, destination / child.name)))
    except BaseException:
        for child in moved:
            shutil.rmtree(child) if child.is_dir() else child.unlink(missing_ok=True)
        raise

"""Call Copier: with the git that a template needs, and with its errors in our words.

Also the answers that a version of the template does not take: recorded ones, and given ones.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import GIT_LOCAL, program, try_git
from pixi_scaffold.template.answers import ANSWERS_FILE
from pixi_scaffold.template.source import Template
from pixi_scaffold.template.versions import releases, tags_in

if TYPE_CHECKING:
    from copier._main import Worker
    from copier._user_data import Question

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEW = "check --template and --vcs-ref, or leave them out for the built-in template"
PROJECT = (
    "is it reachable? if it moved: pixi-scaffold template move URL; if the project is newer than "
    "this pixi-scaffold, upgrade it"
)


@contextlib.contextmanager
def in_our_words(template: Template, folder: Path, hint: str = _NEW) -> Iterator[None]:
    """Run Copier with the git that `template` needs, and say its errors as ours."""
    from copier.errors import (
        CopierAnswersInterrupt,
        CopierError,
        InvalidConfigFileError,
        UnsafeTemplateError,
        UnsupportedVersionError,
        UserMessageError,
    )
    from plumbum import ProcessExecutionError

    try:
        with git_env(template.env):
            yield
    except CopierAnswersInterrupt as error:
        raise KeyboardInterrupt from error
    except UnsafeTemplateError as error:
        raise _wants_trust(template, folder, made=hint == PROJECT) from error
    except UnsupportedVersionError as error:
        raise template_error(
            template, str(error), "upgrade it beside pixi-scaffold: pip install --upgrade copier"
        ) from error
    except (InvalidConfigFileError, TypeError) as error:
        raise template_error(template, f"its copier.yml cannot be read: {error}", hint) from error
    except (UserMessageError, ValueError) as error:
        raise _answer_error(error, template, hint) from error
    except ProcessExecutionError as error:
        raise template_error(
            template, (error.stderr or error.stdout or "").strip(), hint
        ) from error
    except (CopierError, OSError) as error:
        if getattr(error, "errno", None) in _FULL:
            disk = f"the disk of {folder.absolute().parent}"
            raise ScaffoldError(f"{disk} is full; nothing was made", "free some space") from error
        raise template_error(template, str(error), hint) from error
    except ScaffoldError:
        raise
    except Exception as error:  # whatever a template's Jinja can raise
        raise template_error(template, f"{type(error).__name__}: {error}", hint) from error


def _wants_trust(template: Template, folder: Path, *, made: bool) -> ScaffoldError:
    """Return what is said of a template that runs code; made: whether the project is there."""
    verb = "update --trust" if made else f"copy --trust {template.source} {folder.name}"
    return ScaffoldError(
        f"the template {template.source} wants to run code (tasks, migrations or extensions), "
        "which pixi-scaffold does not let it",
        f"if you trust it: copier {verb}" + ("   # in the project" if made else ""),
    )


def _answer_error(error: Exception, template: Template, hint: str) -> ScaffoldError:
    text = str(error).strip()
    if "project_name" in text:
        why = text.removeprefix("Validation error for question 'project_name': ")
        return UsageError(
            f"the project's name is refused: {why}",
            "choose another folder, or name it: -d project_name=my-project",
        )
    if "Unknown revision" in text and hint == PROJECT:
        argv = ("ls-remote", "--tags", "--refs", "--", template.source)
        done = try_git(None, *argv, env=template.env, timeout=60)
        have = releases(tags_in(done.output) if done.code == 0 else (), prereleases=True)[-5:]
        known = f"it has {', '.join(have)}; " if have else ""
        return template_error(
            template,
            "it has no such version",
            f"{known}correct _commit in {ANSWERS_FILE} to the one that the project was made from, "
            "or if the template moved: pixi-scaffold template move URL",
        )
    if "Unknown revision" in text or "Local template must be a directory" in text:
        return template_error(template, text, hint)
    if choice := re.search(r"for '(\w+)': '(.*)' is not in \['(.*)'\]", text):
        asked, given, listed = choice.groups()
        values = list(dict.fromkeys(listed.split("', '")))  # two choices can be one answer
        near = difflib.get_close_matches(given.lower(), values, 1, 0)
        return UsageError(
            f"{asked} cannot be {given!r}: it is one of {', '.join(values)}",
            f"choose another answer: -d {asked}={near[0]}",
        )
    refused = re.fullmatch(r"(?s)Validation error for question '(\w+)': (.*)", text)
    asked, why = refused.groups() if refused else ("QUESTION", "")
    text = f"the answer to {asked} is refused: {why}" if refused else text
    return UsageError(text, f"choose another answer: -d {asked}=VALUE")


def template_error(template: Template, why: str, hint: str = _NEW) -> ScaffoldError:
    """Return what is said of a template that cannot be used; why: its first line is the message."""
    where = template.source + (f" at {template.ref}" if template.ref else "")
    lines = why.splitlines() or ["no reason given"]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    why = (fatal or lines[-1:])[0]
    if template.ref and re.search("invalid reference|Unknown revision|did not match any", why):
        url = shlex.quote(template.source.removeprefix("git+"))
        hint = f"its versions: git ls-remote --tags {url}"
        if template.carried:  # which is what there is, whatever is at its address
            tags = releases(try_git(template.carried, "tag").output.split(), prereleases=True)
            hint = (
                f"carried here: {', '.join(tags) or 'no release'}; for others upgrade pixi-scaffold"
            )
    return ScaffoldError(f"cannot use the template {where}: {why}", hint)


_ASCII = ["ss", "ae", "oe", "o", "l", "d", "Ae", "Oe", "O", "L", "D"]
_LETTERS = str.maketrans(dict(zip("ßæœøłđÆŒØŁĐ", _ASCII, strict=True)))
"""Latin letters that Unicode does not take apart into one of ASCII and an accent."""


def slug(name: str) -> str:
    """Return the nearest valid project name, to begin with at the prompt; may be empty."""
    plain = unicodedata.normalize("NFKD", name.translate(_LETTERS))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_-]+", "-", plain).lstrip("-_0123456789").rstrip("-_")


@contextlib.contextmanager
def git_env(extra: Mapping[str, str]) -> Iterator[None]:
    """Give variables to the git that Copier runs: plumbum keeps its own copy of os.environ.

    Hooks of the user's do not run in it, as they do not in ours: one that fails would stop a clone.
    """
    from plumbum import local

    before = os.environ.copy()
    given = {**before, **extra}.get("GIT_CONFIG_COUNT", "")
    count = int(given) if given.isdecimal() else 0
    hooks = {f"GIT_CONFIG_KEY_{count}": "core.hooksPath", f"GIT_CONFIG_VALUE_{count}": os.devnull}
    extra = {**extra, **hooks, "GIT_CONFIG_COUNT": str(count + 1)}
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
def no_git() -> Iterator[None]:
    """Hide git from Copier while it renders into a folder that is in no repository.

    It would ask, once a file, whether that repository keeps executable bits (2 ms each).
    """
    from plumbum import local

    with local.env(PATH=""):
        yield


def refuse_unknown(data: Collection[str], questions: Mapping[str, Any]) -> None:
    """Raise UsageError for answers to no question; Copier would lose them."""
    if unknown := sorted(set(data) - set(questions)):
        questions = {n: q for n, q in questions.items() if q.get("when", True) is not False}
        near = difflib.get_close_matches(unknown[0], questions, 1, 0.5)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"the template has no question {', '.join(map(repr, unknown))}",
            f"{meant}its questions are: {', '.join(sorted(questions)) or 'none'}",
        )


class RefusedAnswerError(UsageError):
    """A version of the template does not take an answer that the project recorded."""


def refuse_changed(
    worker: Worker,
    ref: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    data: Mapping[str, Any],
) -> None:
    """Raise RefusedAnswerError for a recorded answer that became another without being asked to."""
    changed = {name for name, was in old.items() if name in new and str(was) != str(new[name])}
    for name in sorted(changed - set(data)):
        question = _question(worker, name)
        try:
            question.validate_answer(question.parse_answer(old[name]))
        except Exception as error:
            choices = re.search(r" is not in \[(.*)\]", str(error))
            why = f"it can be {choices[1]}" if choices else str(error)
            command = f"{program()} update -d {shlex.quote(f'{name}={new[name]}')}"
            raise RefusedAnswerError(
                f"{ref} does not take the answer {name} = {old[name]}: {why}",
                f"choose another: {command}",
            ) from error


def refuse_given(worker: Worker, data: Mapping[str, Any]) -> None:
    """Raise what Copier would, which looks at a given answer after the questions before it.

    One whose rule reads an answer that is still to come waits for that.
    """
    from copier._user_data import AnswersMap

    questions = worker.template.questions_data
    worker.answers = AnswersMap(init=dict(data), metadata=worker.template.metadata)
    for name, value in data.items():
        rule = repr([questions[name].get(part) for part in ("type", "choices", "validator")])
        reads = re.findall(r"\w+", " ".join(re.findall(r"{[{%].*?[%}]}", rule)))
        if not set(questions).intersection(reads) - {name, *data}:
            question = _question(worker, name)
            question.validate_answer(question.parse_answer(value))


def name_project(worker: Worker, name: str, *, ask: bool) -> list[str]:
    """Let the folder's name be the project's, or the nearest that the template takes.

    Returns what to say of another name, where no prompt says it. Copier refuses one with none near.
    """
    near, asked = slug(name), worker.template.questions_data["project_name"]
    try:
        _question(worker, "project_name").validate_answer(name)
        why = ""
    except ValueError as error:
        why = str(error).rpartition("'project_name': ")[2]
    if not why or near == name:
        (worker.data if ask else worker.user_defaults)["project_name"] = name
        return []
    if near or not ask:
        worker.user_defaults["project_name"] = near or name
    asked["help"] = f"{asked.get('help') or 'project_name'}\n   not the folder's name: {why}"
    told = near and not ask
    return [f"{name} cannot name the project ({why}); it is named {near}"] if told else []


def _question(worker: Worker, name: str) -> Question:
    from copier._user_data import Question

    return Question(
        answers=worker.answers,
        context=worker._render_context(),
        jinja_env=worker.jinja_env,
        settings=worker.settings,
        var_name=name,
        **worker.template.questions_data[name],
    )

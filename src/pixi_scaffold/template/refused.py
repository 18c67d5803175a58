"""Recorded answers that a version of the template takes no more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import UsageError
from pixi_scaffold.system import program

if TYPE_CHECKING:
    from copier._main import Worker


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
        _refuse_invalid(worker, ref, name, old[name], new[name])


def _refuse_invalid(worker: Worker, ref: str, name: str, was: Any, default: Any) -> None:
    from copier._user_data import Question

    question = Question(
        answers=worker.answers,
        context=worker._render_context(),
        jinja_env=worker.jinja_env,
        settings=worker.settings,
        var_name=name,
        **worker.template.questions_data[name],
    )
    try:
        question.validate_answer(question.parse_answer(was))
    except Exception as error:
        choices = re.search(r" is not in \[(.*)\]", str(error))
        why = f"it can be {choices[1]}" if choices else str(error)
        command = f"{program()} update -d {shlex.quote(f'{name}={default}')}"
        raise RefusedAnswerError(
            f"{ref} does not take the answer {name} = {was}: {why}",
            f"choose another: {command}",
        ) from error

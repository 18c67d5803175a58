"""Answers that a version of the template does not take: recorded ones, and given ones."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import UsageError
from pixi_scaffold.system import program

if TYPE_CHECKING:
    from copier._main import Worker
    from copier._user_data import Question


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


def _refuse_invalid(worker: Worker, ref: str, name: str, was: Any, default: Any) -> None:
    question = _question(worker, name)
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

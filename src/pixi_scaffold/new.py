"""Make a project from the template and prove that it works."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import Interrupted, ScaffoldError, UsageError
from pixi_scaffold.report import (
    Progress,
    Report,
    Run,
    Verdict,
    go_to,
    in_folder,
    versions,
    write_receipt,
)
from pixi_scaffold.system import is_file, layout, program, which
from pixi_scaffold.template import (
    ANSWERS_FILE,
    Confirm,
    Rendered,
    amend_first_commit,
    check_destination,
    open_template,
    render,
)

if TYPE_CHECKING:
    from pixi_scaffold.check import CheckFacts


@dataclass(frozen=True, slots=True)
class NewRequest:
    """What the user typed after `new`."""

    destination: Path
    template: str | None = None
    ref: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    ask: bool = False
    confirm: Confirm | None = None
    """Is shown the answers while nothing is made yet, and says whether to go on."""
    channel: str | None = None
    """A URL, a name, a folder, or `starter`."""
    engine: str = "auto"
    check: bool = True
    git: bool = True


@dataclass(frozen=True, slots=True)
class NewFacts:
    """What was rendered, and what was proved of it (None where nothing was to be)."""

    rendered: Rendered
    proved: CheckFacts | None = None

    @property
    def skipped(self) -> list[dict[str, str]]:
        """What was skipped."""
        return [] if self.proved is None else self.proved.skipped

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as the JSON document has them."""
        proved = {"skipped": []} if self.proved is None else self.proved.to_dict()
        return {
            "versions": versions(),
            "template": {"source": self.rendered.source, "commit": self.rendered.commit},
            "answers": dict(self.rendered.answers),
            "warnings": list(self.rendered.warnings),
            **proved,
        }


def new(request: NewRequest, progress: Progress) -> Report:
    """Render, lock, install, train, rehearse; return the report, which also lies in the project.

    Raises UsageError or ScaffoldError while nothing is made yet; from then on a failure is a
    failed stage and the project stays.
    """
    check_destination(request.destination)
    if which("git") is None:
        raise ScaffoldError("git is not on PATH", "install git: https://git-scm.com/downloads")
    if request.engine == "pixi" and which("pixi") is None:
        raise UsageError("the pixi engine cannot be used: pixi is not on PATH", "--engine rattler")
    stand_in, data = _channel(request)
    run = Run(progress)
    try:
        return _made(request, stand_in, data, run)
    except KeyboardInterrupt as stop:
        if isinstance(stop, Interrupted):
            raise
        if not is_file(request.destination / ANSWERS_FILE):
            raise Interrupted("nothing was made", "") from stop
        folder = request.destination
        raise Interrupted(
            f"the project in {folder} is whole, only its checks are not done",
            in_folder(folder, _prove_it(stand_in)),
        ) from stop


def _prove_it(stand_in: str | None) -> str:
    """Return the command that proves the project later, on the same channel."""
    channel = "" if stand_in is None else f" --channel {shlex.quote(stand_in)}"
    return f"{program()} check --train{channel}"


def _made(request: NewRequest, stand_in: str | None, data: dict[str, Any], run: Run) -> Report:
    rendered = _render(request, data, run)
    if not request.check:
        go = _after_commit(rendered, (*go_to(rendered.folder), _prove_it(stand_in)))
        verdict = Verdict(True, f"{rendered.folder.name} is made; nothing of it was checked")
        return Report("new", run.results, NewFacts(rendered), go, verdict=verdict)
    report = _prove(rendered, stand_in, request.engine, run)
    write_receipt(rendered.folder, report)
    return report


def _prove(rendered: Rendered, stand_in: str | None, engine: str, run: Run) -> Report:
    """Run all stages on the project; what was locked becomes part of its first commit."""
    from pixi_scaffold.check import CheckRequest, prove  # what they import has its cost

    folder = rendered.folder
    request = CheckRequest((), channel=stand_in, engine=engine)
    try:
        proof = prove(folder.absolute(), request, run)
    finally:
        if rendered.committed and (folder / layout.LOCK_FILE).is_file():
            amend_first_commit(folder, [layout.LOCK_FILE])
    return Report(
        "new",
        run.results,
        NewFacts(rendered, proof.facts),
        _after_commit(rendered, proof.next_commands),
        verdict=proof.verdict,
    )


def _after_commit(rendered: Rendered, commands: tuple[str, ...]) -> tuple[str, ...]:
    """Return what to type next, beginning with the commit that is left to the user."""
    if not rendered.staged:
        return commands
    there = go_to(rendered.folder)
    commit = 'git add --all && git commit -m "Start the project"'
    return (*there, commit, *commands[len(there) :])


def _channel(request: NewRequest) -> tuple[str | None, dict[str, Any]]:
    """Return the stand-in channel, if any, and the answers with the manifest's channel in them.

    A URL or a name becomes the project's own channel; a folder or `starter` exists only here, so
    it stands in for it. Raises when it cannot be used, before anything is made.
    """
    data = dict(request.data)
    wanted = request.channel
    if wanted is None:
        return None, data
    if "channel" in data:
        raise UsageError("both --channel and -d channel=... are given", "keep one of them")
    if wanted == "starter":
        return "starter", data

    from pixi_scaffold.lock import read_channel

    stand_in, recorded = read_channel(wanted, ask=request.check)
    return stand_in, data if recorded is None else {"channel": recorded, **data}


def _render(request: NewRequest, data: Mapping[str, Any], run: Run) -> Rendered:
    with (
        run.step("render", asks=request.ask) as step,
        open_template(request.template, request.ref) as template,
    ):
        rendered = render(
            template,
            request.destination,
            data,
            ask=request.ask,
            git=request.git,
            confirm=request.confirm,
        )
        detail = rendered.source + (f" at {rendered.commit}" if rendered.commit else "")
        if rendered.repository:
            detail += f"; {rendered.repository}"
        if request.ask:
            detail += "; the time includes your answers"
        for warning in rendered.warnings:
            run.progress.note(f"note: {warning}")
        step.passed(detail)
    return rendered

"""Make a project from the template and prove that it works."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import Interrupted, ScaffoldError, UsageError
from pixi_scaffold.report import (
    Progress,
    Report,
    Result,
    Status,
    go_to,
    in_folder,
    versions,
    write_receipt,
)
from pixi_scaffold.system import program, which
from pixi_scaffold.template import (
    Rendered,
    amend_first_commit,
    check_destination,
    open_template,
    render,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What the user typed after `new`. channel: a URL, a name, a folder, or `starter`."""

    destination: Path
    template: str | None = None
    ref: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    ask: bool = False
    channel: str | None = None
    engine: str = "auto"
    check: bool = True
    git: bool = True


def new(request: Request, progress: Progress) -> Report:
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
    rendered, result = _render(request, data, progress)
    facts = {
        "template": {"source": rendered.source, "commit": rendered.commit},
        "answers": dict(rendered.answers),
        "warnings": list(rendered.warnings),
    }
    if not request.check:
        go = (*go_to(rendered.folder), f"{program()} check --train")
        return Report("new", (result,), {"versions": versions(), **facts, "skipped": []}, go)

    from pixi_scaffold.check import (  # rattler and its cost
        NEW,
        Options,
        State,
        next_commands,
        run_stages,
    )

    options = Options(request.engine, stand_in)
    state = State(rendered.folder.absolute(), options).with_facts(**facts)
    try:
        report = run_stages(NEW, state, progress, "new", (result,), next_commands)
    except KeyboardInterrupt as error:
        raise Interrupted(
            f"interrupted; the project in {rendered.folder} is whole, only its checks are not done",
            in_folder(rendered.folder, f"{program()} check --train"),
        ) from error
    finally:
        if (rendered.folder / ".git").is_dir() and (rendered.folder / "pixi.lock").is_file():
            amend_first_commit(rendered.folder, ["pixi.lock"])
    write_receipt(rendered.folder, report)
    return report


def _channel(request: Request) -> tuple[str | None, dict[str, Any]]:
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

    stand_in, own = read_channel(wanted, ask=request.check)
    return stand_in, data if own is None else {"channel": own, **data}


def _render(
    request: Request, data: Mapping[str, Any], progress: Progress
) -> tuple[Rendered, Result]:
    if not request.ask:
        progress.start("render")
    start = time.perf_counter()
    with open_template(request.template, request.ref) as template:
        rendered = render(template, request.destination, data, ask=request.ask, git=request.git)
    detail = rendered.source + (f" at {rendered.commit}" if rendered.commit else "")
    if rendered.repository:
        detail += f"; {rendered.repository}"
    if request.ask:
        detail += "; the time includes your answers"
    seconds = time.perf_counter() - start
    for warning in rendered.warnings:
        progress.note(f"note: {warning}")
    result = Result("render", Status.PASSED, seconds, detail)
    progress.finish(result)
    return rendered, result

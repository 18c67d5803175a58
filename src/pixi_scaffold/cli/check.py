"""Check a workspace or jobs, and say what a rule means."""

import re
from pathlib import Path
from typing import Literal

from typer import Argument, Option

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.options import Append, EngineOption, Json, Verbose
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError

_MACRO = re.compile(r"[A-Za-z_][\w.]*=")


def check(
    paths: list[Path] | None = Argument(
        None,
        help="A workspace, or submit files, DAGs (default: here); NAME=VALUE as condor_submit "
        "takes it.",
    ),
    train: bool = Option(False, "--train", help="Also install here and run the task `smoke`."),
    rehearse: bool = Option(
        False, "--rehearse", help="Also --train, then rehearse the cluster job."
    ),
    only: list[str] | None = Option(
        None, help="Only this stage and what it needs (repeat for more).", metavar="STAGE"
    ),
    skip: list[str] | None = Option(
        None, help="Leave this stage out (repeat for more).", metavar="STAGE"
    ),
    fix: bool = Option(
        False, "--fix", help="Correct what can be corrected safely in submit files."
    ),
    slots: str | None = Option(
        None,
        help="Where would it run? A file of `condor_status -long`, or `typical`.",
        metavar="FILE",
    ),
    site: str | None = Option(
        None, help="chtc, igwn, lxplus, ospool, a file of `site capture`.", metavar="SITE"
    ),
    submit_from: Path | None = Option(
        None,
        "--from",
        help="Folder where condor_submit is run (default: where the executable is found).",
    ),
    append: Append = None,
    strict: bool = Option(False, "--strict", help="Whatever was skipped counts as a failure."),
    channel: str | None = Option(
        None, help="Prove it on another channel: URL, folder, or `starter`."
    ),
    engine: EngineOption = "auto",
    output: Literal["text", "json", "github", "sarif"] = Option(
        "text", "--output-format", "--format", help="text, json, GitHub's annotations, or SARIF."
    ),
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Find what is wrong with a workspace or a job.

    Stages: manifest, lock, tasks (what they need that is not there), submit and worker (the rules
    on jobs and their scripts), slots (with --slots), install and train (with --train), rehearse
    (with --rehearse).
    """
    from pixi_scaffold.check import CheckRequest
    from pixi_scaffold.check import check as run
    from pixi_scaffold.system import exists, expanded

    with session_of("check", as_json or output == "json", output, verbose=verbose) as session:
        if channel is not None and not (train or rehearse):
            raise UsageError("--channel is for proving a project", "add: --train")
        if as_json and output not in ("text", "json"):
            raise UsageError(f"--json and --format {output} exclude each other", "use one of them")
        macros = [str(p) for p in paths or () if _MACRO.match(str(p)) and not exists(p)]
        named = [p for p in paths or () if str(p) not in macros]
        request = CheckRequest(
            tuple(expanded(p) for p in named or [Path()]),
            train,
            rehearse,
            channel,
            engine,
            tuple(only or ()),
            tuple(skip or ()),
            None if submit_from is None else expanded(submit_from),
            slots,
            fix,
            strict,
            tuple(append or ()),
            site,
            tuple(macros),
        )
        session.show(run(request, session.progress))


def rule(
    ids: list[str] | None = Argument(
        None,
        metavar="RULE...",
        help="Such as PS209 (default: a list).",
        autocompletion=complete.rules,
    ),
) -> None:
    """Say what a rule of `check` finds, why it matters, and how to mend it.

    Without a rule: all of them, a line each.
    """
    from pixi_scaffold.rules import RULES

    with session_of("rule", as_json=False) as session:
        if not ids:
            session.say(*(f"{r.id}  {r.severity:<7}  {r.title}" for _, r in sorted(RULES.items())))
        for number, id_ in enumerate(ids or ()):
            page = RULES.get(id_.upper())
            if page is None:
                raise UsageError(f"there is no rule {id_}", "all of them: pixi-scaffold rule")
            title, _, body = page.page.partition("\n")
            head = f"{page.id} ({page.severity}): {title}"
            session.say(*([""] if number else []), head, *body.splitlines())

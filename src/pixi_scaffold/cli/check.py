"""Check a workspace or jobs, and say what a rule means."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from pixi_scaffold.cli import complete
from pixi_scaffold.cli.options import Append, EngineOption, Json, Verbose
from pixi_scaffold.cli.session import session_of
from pixi_scaffold.errors import UsageError

_MACRO = re.compile(r"[A-Za-z_][\w.]*=")


def check(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A workspace, or submit files, DAGs (default: here); NAME=VALUE as condor_submit "
            "takes it."
        ),
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Also install here and run the task `smoke`.")
    ] = False,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Also --train, then rehearse the cluster job.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this stage and what it needs (repeat for more).", metavar="STAGE"),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Leave this stage out (repeat for more).", metavar="STAGE"),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Correct what can be corrected safely in submit files.")
    ] = False,
    slots: Annotated[
        str | None,
        typer.Option(
            help="Where would it run? A file of `condor_status -long`, or `typical`.",
            metavar="FILE",
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(help="The pool: a file of `site capture`, or chtc, ospool.", metavar="SITE"),
    ] = None,
    submit_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder where condor_submit is run (default: where the executable is found).",
        ),
    ] = None,
    append: Append = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Whatever was skipped counts as a failure.")
    ] = False,
    channel: Annotated[
        str | None, typer.Option(help="Prove it on another channel: URL, folder, or `starter`.")
    ] = None,
    engine: EngineOption = "auto",
    output: Annotated[
        Literal["text", "json", "github", "sarif"],
        typer.Option(
            "--output-format", "--format", help="text, json, GitHub's annotations, or SARIF."
        ),
    ] = "text",
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
            clash = f"--json and --output-format {output} exclude each other"
            raise UsageError(clash, "use one of them")
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
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RULE...",
            help="Such as PS209 (default: a list).",
            autocompletion=complete.rules,
        ),
    ] = None,
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

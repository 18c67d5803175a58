"""Bring the scaffold to an existing project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixi_scaffold.cli.options import Answers, Json, TemplateOption, VcsRef, Verbose, read_answers
from pixi_scaffold.cli.session import session_of


def adopt(
    folder: Annotated[Path, typer.Argument(help="The project, in a git repository.")] = Path(),
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="What it needs: an environment.yml, a requirements.txt or a pyproject.toml "
            "(default: those that are there).",
        ),
    ] = None,
    branch: Annotated[
        str, typer.Option(help="The new branch that everything goes to.")
    ] = "pixi-scaffold-adopt",
    template: TemplateOption = None,
    vcs_ref: VcsRef = None,
    data: Answers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be brought.")
    ] = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Bring the scaffold to an existing project, on a branch of its own.

    Its packages go into pixi.toml, PyTorch from other channels or pip becomes conda-forge's. No
    file that is there is changed; what was left out and what is left to do by hand is listed.
    """
    from pixi_scaffold.adopt import AdoptRequest
    from pixi_scaffold.adopt import adopt as bring

    with session_of("adopt", as_json, verbose=verbose) as session:
        answers = read_answers(data or [], None)
        request = AdoptRequest(
            folder, tuple(sources or ()), branch, template, vcs_ref, answers, dry_run
        )
        session.show(bring(request, session.progress))

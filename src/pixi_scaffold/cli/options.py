"""Options that several commands have, and what is read from their text."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pixi_scaffold.cli import complete
from pixi_scaffold.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document; logs go to stderr.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also print the table of all stages.")
]
EngineOption = Annotated[
    Literal["auto", "pixi", "rattler"],
    typer.Option(help="What locks: auto (Pixi when it is there), pixi or rattler."),
]
TemplateOption = Annotated[
    str | None,
    typer.Option(help="Another template: a git URL or a folder (default: the built-in one)."),
]
VcsRef = Annotated[
    str | None, typer.Option(help="Tag, branch or commit of the template (default: newest).")
]
Workspace = Annotated[Path, typer.Argument(help="The workspace.", autocompletion=complete.projects)]
Projects = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Projects, or folders of them (default: this folder).",
        autocompletion=complete.projects,
    ),
]
Answers = Annotated[
    list[str] | None,
    typer.Option("--data", "-d", metavar="QUESTION=VALUE", help="Answer a question."),
]

Append = Annotated[
    list[str] | None,
    typer.Option(
        "--append",
        "-append",
        "-a",
        metavar="LINE",
        help="A command as condor_submit -append takes it (repeat for more).",
    ),
]


def read_answers(pairs: list[str], file: Path | None) -> dict[str, Any]:
    """Return the answers of -d and --data-file; raises UsageError when they cannot be read."""
    from pixi_scaffold.system import has_credentials

    answers: dict[str, Any] = {}
    if file is not None:
        import yaml

        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UsageError(
                f"cannot read the answers in {file}: {error}", "write lines as question: value"
            ) from error
        if loaded is None:
            loaded = {}  # an empty file
        if not isinstance(loaded, dict):
            raise UsageError(f"{file} is not a table of answers", "write lines as question: value")
        answers |= {str(k): v for k, v in loaded.items() if not str(k).startswith("_")}
    answers |= dict(read_pair("-d", pair) for pair in pairs)
    for key, value in answers.items():
        if "://" in str(value) and has_credentials(str(value)):
            raise UsageError(
                f"the URL for {key} has a user, a password or a token in it, which the project "
                "would record",
                "keep it in ~/.netrc, or where Pixi is: pixi auth login",
            )
    return answers


def read_pair(option: str, text: str) -> tuple[str, str]:
    """Return name and value of NAME=VALUE; raises UsageError, naming the option."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{option} {text}: no value", f"write: {option} {name or 'NAME'}=VALUE")
    return name, value

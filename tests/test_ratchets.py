"""One home for each thing that a tool does in one way, and lists of exceptions that may only shrink."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_architecture import modules, name, nodes, room

Node = ast.AST


def calls(path: Path) -> list[ast.Call]:
    return [n for n in nodes(path) if isinstance(n, ast.Call)]


def method(call: ast.Call) -> str:
    """The last name of what is called."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def runs_git(path: Path) -> int:
    """Lists and tuples that begin with "git": what a program is started with.

    Whoever runs git elsewhere lets a repository's configuration start hooks and fsmonitor.
    """
    found = 0
    for node in nodes(path):
        if isinstance(node, (ast.List, ast.Tuple)) and node.elts:
            first = node.elts[0]
            found += isinstance(first, ast.Constant) and first.value == "git"
    return found


def replaces_files(path: Path) -> int:
    """Path.replace(target) and os.replace: a file put in another's place."""
    return sum(
        method(call) == "replace" and (len(call.args) == 1 or "os.replace" in ast.unparse(call))
        and not call.keywords
        for call in calls(path)
    )  # fmt: skip


def times(path: Path) -> int:
    return sum(method(call) == "perf_counter" for call in calls(path))


def probes_the_network(path: Path) -> int:
    """What asks only whether somebody answers; downloads are another thing."""
    return sum(method(call) in ("create_connection", "build_opener") for call in calls(path))


def makes_results(path: Path) -> int:
    return sum(method(call) == "Result" for call in calls(path))


def names_pixi_folder(path: Path) -> int:
    """Texts that are paths below .pixi; what is said to people may name them."""
    texts = [n.value for n in nodes(path) if isinstance(n, ast.Constant)]
    return sum(isinstance(t, str) and bool(re.match(r"\.pixi(/[\w./-]+)?$", t)) for t in texts)


def reads_commands(path: Path) -> int:
    """A command's text read and expanded: what it means is said by job.meaning alone."""
    wanted = {"text", "flag", "list", "expand"}
    return sum(
        isinstance(call.func, ast.Attribute) and call.func.attr in wanted and bool(call.args)
        and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
        for call in calls(path)
    )  # fmt: skip


def makes_temporary(path: Path) -> int:
    """What would stay when a command is killed, if it were not made where the next one looks."""
    wanted = {"mkdtemp", "mkstemp", "TemporaryDirectory", "NamedTemporaryFile", "TemporaryFile"}
    return sum(
        method(call) in wanted
        and not any(
            k.arg == "dir" and "self._folder" in ast.unparse(k.value) for k in call.keywords
        )
        for call in calls(path)
    )


HOMES: dict[Callable[[Path], int], tuple[set[str], dict[str, int]]] = {
    runs_git: ({"system/git.py"}, {}),
    replaces_files: ({"system/files.py"}, {}),
    probes_the_network: ({"system/net.py"}, {}),
    times: ({"report/run.py"}, {}),
    makes_results: (
        {"report/run.py", "rehearsal/findings.py", "rehearsal/command.py", "rehearsal/gpus.py"},
        {},
    ),
    # a sandbox holds its own lock; results that are put aside while newer ones come are for the
    # user to find
    makes_temporary: ({"system/temporary.py"}, {"rehearsal/workplace.py": 1, "pool/fetch.py": 1}),
    names_pixi_folder: ({"system/layout.py"}, {}),
    reads_commands: ({"job"}, {}),
}
"""What has a home: its modules or rooms, and how often it is done elsewhere today."""


@pytest.mark.parametrize("counts", HOMES, ids=lambda c: c.__name__)
def test_everything_has_one_home(counts: Callable[[Path], int]) -> None:
    homes, today = HOMES[counts]
    found = {
        name(path): number
        for path in modules()
        if name(path) not in homes and room(path) not in homes and (number := counts(path))
    }
    assert found == today, f"at home in {homes}; what is done elsewhere may only become less"


VAGUE = {"found", "own", "what"}


def test_names_say_what_was_found() -> None:
    """A variable called `found`, `own` or `what` says nothing of what it is."""
    vague = [
        f"{name(path)}:{node.lineno}"
        for path in modules()
        for node in nodes(path)
        if (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in VAGUE)
        or (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            and node.attr in VAGUE)
        or (isinstance(node, ast.arg) and node.arg in VAGUE)
    ]  # fmt: skip
    assert vague == []

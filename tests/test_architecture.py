"""The house: which room may use which, through its face only, and how much may stand in each.

A room is a package (or a lone module) of src/pixi_scaffold. Lists of exceptions may only get shorter: an
exception that nothing needs any more fails, too.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

SOURCE = REPOSITORY / "src" / "pixi_scaffold"

MAY_IMPORT = {
    "system": {"errors"},
    "report": {"errors", "system"},
    "job": {"errors", "system"},
    "template": {"errors", "system"},
    "workspace": {"errors", "system"},
    "rules": {"job", "system"},
    "pypi": {"errors", "system", "workspace"},
    "starter": {"errors", "report", "system"},
    "lock": {"errors", "pypi", "report", "system", "workspace"},
    "rehearsal": {"errors", "job", "report", "rules", "system"},
    "environment": {"errors", "lock", "pypi", "report", "system", "workspace"},
    "tasks": {"errors", "environment", "lock", "report", "system", "workspace"},
    "check": {"errors", "system", "report", "workspace", "lock", "starter", "environment", "tasks"}
    | {"job", "rules", "rehearsal"},
    "adopt": {"errors", "system", "report", "template", "workspace"},
    "new": {"errors", "system", "report", "template", "lock", "check"},
    "update": {"errors", "system", "report", "template", "workspace", "lock", "rules", "check"},
    "page": {"errors", "system", "report", "workspace", "lock", "check", "update"},
    "doctor": {"errors", "system", "report", "workspace", "lock", "environment"},
    "pool": {"errors", "system", "report", "job", "rules", "check"},
    "cli": {"errors", "system", "report", "lock", "starter", "environment", "rules", "rehearsal"}
    | {"adopt", "tasks", "check", "new", "update", "page", "doctor", "pool"},
    "__main__": {"cli"},
    "errors": set(),
    "__init__": set(),
}
"""Room -> rooms that it imports from. The lower ones come first; nothing points up."""

LINES = 350
"""What one module may have."""


ROOM_LINES = {
    "rehearsal": 5645,
    "rules": 4971,
    "job": 3990,
    "lock": 3809,
    "tasks": 3088,
    "update": 2737,
    "pool": 2772,
    "check": 2591,
    "workspace": 2680,
    "cli": 1639,
    "template": 1623,
    "system": 1325,
    "starter": 1095,
    "adopt": 1155,
    "page": 835,
    "report": 713,
    "pypi": 673,
    "environment": 644,
    "doctor": 210,
    "new": 200,
    "errors": 100,
    "__main__": 50,
    "__init__": 50,
}
"""What one room may have. It is lowered when a room got smaller, and raised with a reason."""

FUNCTION_LINES = 40
"""What one function may have below its signature and docstring."""


def modules() -> list[Path]:
    """Every module of the tool."""
    return sorted(SOURCE.rglob("*.py"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a module, itself first."""
    return tuple(ast.walk(ast.parse(path.read_text())))


def name(path: Path) -> str:
    """The module as the lists here name it."""
    return path.relative_to(SOURCE).as_posix()


def room(path: Path) -> str:
    """The room that a module stands in."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for each import from the tool itself, without the tool's own name."""
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == SOURCE.name:
            module = (node.module or "").partition(".")[2]
            for alias in node.names:
                if (module, alias.name) != ("", "__version__"):
                    yield (module, alias.name) if module else (alias.name, "")


def test_rooms_use_only_the_rooms_that_they_may() -> None:
    used = defaultdict(set)
    for path in modules():
        used[room(path)] |= {module.partition(".")[0] for module, _ in imports(path)} - {room(path)}
    wrong = {r: used[r] - MAY_IMPORT[r] for r in used if used[r] - MAY_IMPORT[r]}
    assert not wrong, f"imports that MAY_IMPORT does not have: {wrong}"
    unused = {r: MAY_IMPORT[r] - used[r] for r in MAY_IMPORT if MAY_IMPORT[r] - used[r]}
    assert not unused, f"permissions that nothing uses any more: {unused}"


def test_nothing_points_up() -> None:
    order = list(MAY_IMPORT)
    for one, others in MAY_IMPORT.items():
        up = {other for other in others - {"errors"} if order.index(other) > order.index(one)}
        assert not up, f"{one} imports {up}, which stand above it"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_other_rooms_are_used_through_their_face(path: Path) -> None:
    wrong = [
        f"{module}.{what}"
        for module, what in imports(path)
        if "." in module and module.partition(".")[0] != room(path)
    ]
    assert not wrong, f"import these from the package itself: {wrong}"


def test_modules_are_short() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in modules()}
    long = {module: n for module, n in lengths.items() if n > LINES}
    assert not long, f"modules over {LINES} lines: {long}"


def test_rooms_keep_to_their_lines() -> None:
    lines = Counter[str]()
    for path in modules():
        lines[room(path)] += len(path.read_text().splitlines())
    large = {name: n for name, n in lines.items() if n > ROOM_LINES[name]}
    assert not large, f"rooms over what they may have: {large}"
    loose = {name: n for name, n in lines.items() if n < 0.9 * ROOM_LINES[name] - 50}
    assert not loose, f"lower what these rooms may have in ROOM_LINES: {loose}"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines below a function's signature and docstring."""
    first, *rest = function.body
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    begin = rest[0] if documented and rest else first
    return (function.end_lineno or 0) - begin.lineno + 1


def test_functions_are_short() -> None:
    long = {
        f"{name(path)}:{node.name}": lines
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := body_lines(node)) > FUNCTION_LINES
    }
    assert not long, f"functions over {FUNCTION_LINES} lines: {long}"


def test_ruff_looks_at_every_module() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--show-files", "src"]
    seen = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert set(map(str, modules())) <= set(seen.stdout.splitlines())


PAGE = REPOSITORY / "docs" / "explanation" / "architecture.md"


def test_the_page_names_files_that_are_there() -> None:
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_][\w.-]*\.(?:py|toml|txt|jsonl))`", PAGE.read_text())
    assert len(named) > 60
    beside = {path.name for path in SOURCE.rglob("*.py")} | {"pixi.toml"}
    there = [(SOURCE / n).exists() or (REPOSITORY / n).exists() or n in beside for n in named]
    assert [n for n, known in zip(named, there, strict=True) if not known] == []


def test_the_page_names_what_is_in_the_code() -> None:
    """Functions and classes, and what is used as ROOM.NAME through the face of a room."""
    code = set(re.findall(r"`([A-Z]\w*[a-z]\w*|[a-z]+(?:_[a-z]+)+)(?:\(\))?`", PAGE.read_text()))
    defined = {
        node.name
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert {"NewRequest", "Subject", "merge_manifest"} <= code <= defined
    dotted = re.findall(r"`([a-z]+)\.([a-z_]+)`", PAGE.read_text())
    through = {(r, one) for r, one in dotted if (SOURCE / r).is_dir()}
    faces = {(r, one) for r, _ in through for _, one in imports(SOURCE / r / "__init__.py")}
    assert ("check", "prove") in through <= faces


def test_the_page_lists_every_room_above_those_that_it_uses() -> None:
    rooms = re.findall(r"^  ([a-z_]+)(?:/|\.py) ", PAGE.read_text(), re.M)
    assert set(rooms) == set(MAY_IMPORT) - {"__main__", "__init__"}
    for number, one in enumerate(rooms):
        assert not MAY_IMPORT[one] & set(rooms[:number]), one


def test_the_page_has_the_stages_in_their_order() -> None:
    from pixi_scaffold.check.command import SLOTS, STAGES

    [line] = re.findall(r"`(manifest -> [^`]*)`", PAGE.read_text())
    assert re.findall(r"\w+", line) == [stage.name for stage in STAGES if stage is not SLOTS]


def test_only_a_job_s_meaning_says_what_its_commands_mean() -> None:
    reads = {}
    for path in modules():
        calls = [
            node.func
            for node in nodes(path)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        read = [
            call
            for call in calls
            if call.attr in ("text", "flag", "list", "expand")
            and ast.unparse(call.value).endswith(("job", "jobs[0]"))
        ]
        if read and room(path) != "job":
            reads[name(path)] = len(read)
    assert not reads, f"ask the job's meaning, as subject.meaning.of(NAME).text, in {reads}"


def test_a_class_name_means_one_thing() -> None:
    homes = defaultdict(list)
    for path in modules():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                homes[node.name.lstrip("_")].append(name(path))
    twice = {one for one, places in homes.items() if len(places) > 1}
    assert not twice, {one: homes[one] for one in twice}


def test_every_module_says_what_it_is() -> None:
    for path in SOURCE.rglob("*.py"):
        doc = ast.get_docstring(nodes(path)[0])
        assert doc, path
        assert len(doc.splitlines()) <= 6, path


def test_a_log_does_without_rich(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['pixi-scaffold', 'lock', '--check', 'nowhere']\n"
        "from pixi_scaffold.cli import app\n"
        "try: app()\n"
        "except SystemExit as end: print(end.code, 'rich' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.split() == ["2", "False"], done


def test_a_rehearsal_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    (tmp_path / "job.sh").chmod(0o755)
    (tmp_path / "job.sub").write_text("executable = job.sh\nrequest_memory = 1GB\nqueue\n")
    heavy = ("copier", "rattler", "tomlkit", "rich", "yaml", "pydantic", "htcondor2")
    code = (
        "import sys; sys.argv = ['pixi-scaffold', 'rehearse', 'job.sub']\n"
        "from pixi_scaffold.cli import app\n"
        "try: app(standalone_mode=False)\n"
        f"finally: print('imported:', *({set(heavy)} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "exit code 0" in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["imported:"]


@pytest.mark.parametrize(
    "heavy", ["copier", "rattler", "htcondor2", "conda_pack", "rich", "yaml", "pydantic"]
)
def test_help_imports_nothing_heavy(heavy: str) -> None:
    code = (
        "import sys; sys.argv = ['pixi-scaffold', '--version']\n"
        "from pixi_scaffold.cli import app\n"
        "try: app()\n"
        f"except SystemExit: print({heavy!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_a_comparison_of_a_lock_imports_nothing_that_it_does_not_use() -> None:
    """`lock --check` takes a tenth of a second, most of it for imports."""
    heavy = {"http.client", "ssl", "urllib.request", "email", "tomlkit", "yaml", "asyncio", "rich"}
    script = (
        "import sys, pixi_scaffold.cli, pixi_scaffold.lock.current; "
        f"print(*({heavy} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


IMPORTED = re.compile(r"from pixi_scaffold\.(\w+) import (\([^)]*\)|[^\n]*)")


def test_a_face_has_only_what_others_use() -> None:
    """Others are the rooms above, and what looks at the tool from outside: tests and benchmarks."""
    used = {(room(path), module, one) for path in modules() for module, one in imports(path)}
    used |= {  # from pixi_scaffold import ROOM, then ROOM.NAME
        (room(path), node.value.id, node.attr)
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    for path in (*REPOSITORY.glob("tests/**/*.py"), *REPOSITORY.glob("bench/*.py")):
        for module, names in IMPORTED.findall(path.read_text()):
            used |= {("", module, one) for one in re.findall(r"\w+", names)}
    for face in SOURCE.glob("*/__init__.py"):
        offered = {
            alias.asname or alias.name
            for node in nodes(face)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(SOURCE.name)
            and node.module != f"{SOURCE.name}.{room(face)}"
            for alias in node.names
        }  # fmt: skip
        needed = {node.id for node in nodes(face) if isinstance(node, ast.Name)}
        others = {one for by, module, one in used if module == room(face) != by}
        assert offered - needed <= others, face

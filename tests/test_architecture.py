"""Who may import whom: a module imports only from lower layers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

SOURCE = REPOSITORY / "src" / "pixi_scaffold"
LAYERS = (
    {"errors", "regular"},
    {"process", "report"},
    {"workspace", "conda_package", "receipt", "repository", "job", "archive"}
    | {"tree", "versions", "settings", "steps", "manifest_merge", "destination"},
    {"manifest", "wheel", "training", "rules", "rehearsal"}
    | {"template", "project", "merge", "migrations", "worktree"},
    {"interpreter", "lock", "reach", "render", "condor", "shellcheck", "fixes", "shadow"},
    {"environment", "channel", "channel_argument", "rehearse", "projects", "landing", "plan"},
    {"review"},
    {"stages", "short_rehearsal"},
    {"submit_files"},
    {"check", "pack"},
    {"new", "relock"},
    {"update", "drift"},
    {"update_all", "status"},
    {"display", "annotations"},
    {"cli"},
    {"__main__"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def _module(path: Path) -> str:
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pixi_scaffold"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found - {"__version__"}


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE))
)
def test_imports_point_down(path: Path) -> None:
    module = _module(path)
    if module == "__init__":
        assert not _imports(path)
        return
    wrong = {i for i in _imports(path) if i != module and RANK[i] >= RANK[module]}
    assert not wrong, f"{module} must not import {wrong}"


def test_every_module_says_what_it_is() -> None:
    for path in SOURCE.rglob("*.py"):
        doc = ast.get_docstring(ast.parse(path.read_text()))
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

"""The engine that asks the pixi binary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixi_scaffold.errors import LockError, UsageError
from pixi_scaffold.lock.engine import Locked
from pixi_scaffold.lock.file import read_lock
from pixi_scaffold.report import Progress
from pixi_scaffold.system import run
from pixi_scaffold.workspace import Workspace


class PixiEngine:
    """Runs `pixi lock` (or `pixi update`), which writes pixi.lock beside the manifest."""

    name = "pixi"

    def lock(
        self,
        workspace: Workspace,
        path: Path,
        progress: Progress,
        *,
        channels: Sequence[str] | None = None,
        upgrade: bool = False,
    ) -> Locked:
        """Lock through Pixi; see Engine.lock."""
        if path != workspace.lock_file or channels is not None:
            raise UsageError(
                "pixi writes only pixi.lock, from the manifest's own channels",
                "use: --engine rattler",
            )
        before = path.read_bytes() if path.exists() else None
        # Every package is named "updated" by `pixi update`, so it is asked only when wanted.
        verb = "update" if upgrade else "lock"
        argv = ["pixi", verb, "--no-progress", "--manifest-path", str(workspace.manifest)]
        if upgrade:
            argv.append("--no-install")
        try:
            done = run(argv, cwd=workspace.root, on_line=progress.update)
        except BaseException:
            _restore(path, before)
            raise
        if done.code != 0:
            _restore(path, before)
            raise LockError(f"pixi {verb} failed:\n{done.output.strip()}")
        lock = read_lock(path)
        return Locked(
            path,
            changed=path.read_bytes() != before,
            packages=lock.package_count,
            platforms=tuple(p.name for p in workspace.platforms),
        )


def _restore(path: Path, before: bytes | None) -> None:
    """Undo a write of Pixi's: a failed lock leaves the old one."""
    if before is not None and path.read_bytes() != before:
        path.write_bytes(before)

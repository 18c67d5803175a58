"""The engine that asks the pixi binary."""

import re
from collections.abc import Sequence
from pathlib import Path

from pixi_scaffold.errors import LockError, UsageError
from pixi_scaffold.lock.channels import all_channels, unreachable
from pixi_scaffold.lock.engine import EVERYTHING, Locked
from pixi_scaffold.lock.explain import blames_network, unreachable_error, unsolvable
from pixi_scaffold.lock.file import read_lock
from pixi_scaffold.report import Progress
from pixi_scaffold.system import program, run
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
        upgrade: frozenset[str] = frozenset(),
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
            argv += ["--no-install", *sorted(upgrade - {EVERYTHING})]
        try:
            done = run(argv, cwd=workspace.root, on_line=progress.update)
            if done.code != 0:
                raise explained(workspace, verb, done.output)
        except BaseException:
            if before is not None and path.read_bytes() != before:
                path.write_bytes(before)  # a failed lock leaves the old one
            raise
        lock = read_lock(path)
        return Locked(
            path,
            changed=path.read_bytes() != before,
            packages=len(lock.layout.blocks),
            platforms=tuple(p.name for p in workspace.platforms),
        )


def explained(workspace: Workspace, verb: str, output: str) -> LockError:
    """Return the error for what Pixi said, in the words of the other engine, Pixi's underneath."""
    if blames_network(output):
        why = unreachable(all_channels(workspace), root=workspace.root)
        return unreachable_error(workspace, why or "Pixi could not fetch from it", output)
    if "Cannot solve the request" in output or "No candidates were found" in output:
        matched = re.search(r"environment '([^']+)'.*platform '([^']+)'", output)
        environment, platform = matched.groups() if matched else ("the workspace", "one platform")
        at = output.find("Cannot solve the request")
        why = output[at if at >= 0 else output.find("No candidates") :].strip()
        return unsolvable(workspace, [(environment, platform, why)], output=output)
    return LockError(
        f"pixi {verb} failed:\n{output.strip()}",
        f"correct what it names; without Pixi: {program()} lock --engine rattler",
    )

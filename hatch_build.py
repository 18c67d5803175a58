"""Build hook: put the template's tagged git history into the wheel and the sdist.

A project records the canonical git URL of its template and a tag. With the history inside the
package, `new` and `update` work without the network (template.py clones from it).
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAME = "template.bundle"


class TemplateHistory(BuildHookInterface[Any]):
    """Write `git bundle` of this repository beside the package's modules."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the bundle, unless the build is editable (a checkout has its own history)."""
        packed = Path(self.root) / "src" / "pixi_scaffold" / NAME
        if version == "editable":
            return
        if packed.exists():  # building from an sdist
            build_data["artifacts"].append(f"src/pixi_scaffold/{NAME}")
            return
        folder = "src/pixi_scaffold" if self.target_name == "sdist" else "pixi_scaffold"
        self._tmp = tempfile.TemporaryDirectory()
        bundle = Path(self._tmp.name) / NAME
        self._git("bundle", "create", str(bundle), "HEAD", "--branches", "--tags")
        build_data["force_include"][str(bundle)] = f"{folder}/{NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary bundle."""
        if hasattr(self, "_tmp"):
            self._tmp.cleanup()

    def _git(self, *args: str) -> None:
        shallow = ["git", "rev-parse", "--is-shallow-repository"]
        try:
            answer = subprocess.run(
                shallow, cwd=self.root, check=True, capture_output=True, text=True
            )
            if answer.stdout.strip() == "true":
                raise RuntimeError(
                    "this clone is shallow, so it lacks the template's history: "
                    "git fetch --unshallow --tags"
                )
            subprocess.run(["git", *args], cwd=self.root, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(
                "a package is built from a git checkout or from an sdist, since it carries the "
                f"template's git history: {error}"
            ) from error

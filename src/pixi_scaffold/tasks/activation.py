"""Activate an environment: the variables that its packages and the manifest set.

The order is Pixi's (0.77; rattler_shell, activation.rs): the prefix, PIXI_*, what packages set,
activation.scripts, then activation.env, whose values may use all of that.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.system import run, temporary_folder
from pixi_scaffold.tasks.kept import digest, keep, read_kept
from pixi_scaffold.workspace import DEFAULT, Platform, Workspace

if TYPE_CHECKING:
    from pixi_scaffold.environment import Installed

_VOLATILE = frozenset({"_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES"})
_CLEAN = frozenset({
    "DISPLAY", "LC_ALL", "LC_TIME", "LC_NUMERIC", "LC_MEASUREMENT", "SHELL", "USER", "USERNAME",
    "LOGNAME", "HOME", "HOSTNAME",
    *(("TMPDIR", "XPC_SERVICE_NAME", "XPC_FLAGS") if sys.platform == "darwin" else ()),
})  # fmt: skip
"""What stays of the user's variables under clean-env (crates/pixi_core, activation.rs)."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WRITE = "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps(dict(os.environ)))"


class Activation(NamedTuple):
    """An environment of a workspace on this machine, to be activated."""

    workspace: Workspace
    environment: str
    prefix: Path
    platform: Platform

    def variables(self, base: Mapping[str, str], *, clean: bool = False) -> dict[str, str]:
        """Return all variables of the activated environment.

        base: those around it; clean: keep only a few of them. What is set is taken from the last
        time where nothing has changed since. Raises ScaffoldError.
        """
        name = f"activation-{self.environment}{'-clean' if clean else ''}.json"
        key = self._key(base)
        changes = read_kept(self.workspace.root, name, key)
        if not changes:
            changes = self._activate(base, clean=clean)
            keep(self.workspace.root, name, key, changes)
        around = {k: v for k, v in base.items() if k in _CLEAN} if clean else base
        return {**around, **changes}

    def _key(self, base: Mapping[str, str]) -> str:
        around = sorted((k, v) for k, v in base.items() if k not in _VOLATILE)
        variables, of_manifest = self._of_manifest()
        parts: list[object] = [sys.executable, around, self._static(), variables]
        for script in of_manifest:
            with suppress(OSError):
                parts += [script, script.read_bytes()]
        meta, conda = self.prefix / "conda-meta", self.prefix / "etc" / "conda"
        scripts = (
            p for name in ("activate.d", "env_vars.d") for p in sorted(conda.glob(f"{name}/*"))
        )
        for path in (self.prefix, meta, meta / "state", *scripts):
            with suppress(OSError):
                parts += [path, path.stat().st_mtime_ns, path.stat().st_size]
        return digest(*parts)

    def _activate(self, base: Mapping[str, str], *, clean: bool) -> dict[str, str]:
        bash = shutil.which("bash", path=base.get("PATH"))
        if bash is None:
            raise ScaffoldError("activating an environment needs bash", "install bash")
        with temporary_folder() as folder:
            result = folder / "variables.json"
            write = [sys.executable, "-I", "-S", "-c", _WRITE, str(result)]
            script = f"{self.script(clean=clean)}\n{shlex.join(write)}\n"
            done = run([bash, "-c", script], cwd=self.workspace.root, env=base)
            try:
                after = json.loads(result.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                last = "\n".join(done.output.splitlines()[-5:])
                raise ScaffoldError(
                    f"activating {self.environment} failed with exit code {done.code}\n{last}",
                    f"look at [activation] in {self.workspace.manifest}",
                ) from error
        ours = {*self._static(), *self._of_manifest()[0], "PATH", "CONDA_PREFIX", "CONDA_SHLVL"}
        return {
            k: v
            for k, v in after.items()
            if k not in ("_", "SHLVL", "PWD", "OLDPWD") and (base.get(k) != v or k in ours)
        }

    def script(self, *, clean: bool = False, static: bool = True) -> str:
        """Return bash that activates the environment.

        static: with what PIXI_* says of the workspace; without it, for `activate.sh`.
        """
        from rattler import Subdir
        from rattler.shell import ActivationVariables, PathModificationBehavior, Shell, activate

        # An outer environment is not deactivated: its variables are shadowed.
        variables = ActivationVariables(None, ["$PATH"], PathModificationBehavior.Replace)
        prefix, subdir = self.prefix, Subdir(self.platform.subdir)
        packages = activate(prefix, variables, Shell.bash, platform=subdir).script.strip()
        if clean:  # only what the environment has
            packages = packages.replace(':$PATH"', '"', 1)
        lines = [_export(*item) for item in self._static().items()] if static else []
        of_manifest, scripts = self._of_manifest()
        lines.append(packages)
        lines += [f". {shlex.quote(str(path))}" for path in scripts]
        lines += [_export(*item) for item in of_manifest.items()]
        return "\n".join(lines)

    def _of_manifest(self) -> tuple[dict[str, str], list[Path]]:
        """Return the variables, and the scripts that are there; Pixi passes over the others."""
        environment = self.workspace.environment(self.environment)
        variables, scripts = self.workspace.activation(environment, self.platform)
        paths = [self.workspace.root / script for script in scripts]
        named = {k: v for k, v in variables.items() if _NAME.fullmatch(k)}
        return named, [path for path in paths if path.is_file()]

    def _static(self) -> dict[str, str]:
        workspace = self.workspace
        platforms = workspace.environment_platforms(workspace.environment(self.environment))
        suffix = "" if self.environment == DEFAULT else f":{self.environment}"
        shown = f"{workspace.name}{suffix}"
        return {
            "PIXI_PROJECT_ROOT": str(workspace.root),
            "PIXI_PROJECT_NAME": workspace.name,
            "PIXI_PROJECT_MANIFEST": str(workspace.manifest),
            "PIXI_PROJECT_VERSION": workspace.version or "NO_VERSION_SPECIFIED",
            "PIXI_IN_SHELL": "1",
            "PIXI_EXE": _executable(),
            "CONDA_DEFAULT_ENV": shown,
            "PIXI_ENVIRONMENT_NAME": self.environment,
            "PIXI_ENVIRONMENT_PLATFORMS": ",".join(p.name for p in platforms),
            "PIXI_PROMPT": f"({shown}) ",
        }


def write_activation(workspace: Workspace, installed: Installed, environment: str) -> Path:
    """Write `activate.sh` beside the environment, for `.`; return its path.

    It is for machines without Pixi; with Pixi, `pixi shell` does the same.
    """
    path = installed.prefix.parent / "activate.sh"
    activation = Activation(workspace, environment, installed.prefix, installed.platform)
    comment = f"# Activate the environment in this shell:  . {path.name}"
    path.write_text(f"{comment}\n{activation.script(static=False)}\n", encoding="utf-8")
    return path


def _export(name: str, value: str) -> str:
    """Return bash that sets a variable; a value with `$` in it is expanded, as Pixi has it."""
    if "$" in value:
        escaped = value.replace('"', '\\"')
        return f'export {name}="{escaped}"'
    return f"export {name}={shlex.quote(value)}"


def _executable() -> str:
    """Return this program, which a task starts as `$PIXI_EXE run ...`."""
    path = Path(sys.argv[0])
    if path.name != "pixi-scaffold":
        path = Path(sys.executable).with_name("pixi-scaffold")
    return os.path.abspath(path)  # noqa: PTH100  a link stays one

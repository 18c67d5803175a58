"""Put locked wheels into an environment, with uv; each must have the SHA-256 of its lock."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from pixi_scaffold.errors import LockError, ScaffoldError
from pixi_scaffold.pypi.uv import ChosenWheel, run_uv
from pixi_scaffold.system import temporary_folder

_OURS = frozenset({"uv", "uv-pixi"})
"""Who put a package there (dist-info/INSTALLER) that uv may remove: uv, or Pixi by it."""


def install_wheels(prefix: Path, wheels: Sequence[ChosenWheel]) -> None:
    """Make the PyPI packages below `prefix` those of the lock: install, replace and remove.

    The environment's own python must run on this machine. Raises LockError for a wheel without
    SHA-256, ScaffoldError when one cannot be had or has another one.
    """
    there = dict(_installed(prefix))
    locked = {wheel.name: wheel for wheel in wheels}
    if gone := sorted(there.keys() - locked.keys()):
        _uv(prefix, "uninstall", *gone)
    missing = [wheel for name, wheel in locked.items() if there.get(name) != wheel.url]
    if not missing:
        return
    for wheel in missing:
        if not wheel.sha256:
            raise LockError(
                f"the lock has no SHA-256 of {wheel.name} {wheel.version}", "lock it again"
            )
    lines = (f"{w.name} @ {w.url} --hash=sha256:{w.sha256}" for w in missing)
    with temporary_folder() as folder:
        path = folder / "requirements.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        checked = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
        _uv(prefix, "install", *checked, "-r", path)


def _uv(prefix: Path, verb: str, *arguments: str | Path) -> None:
    python = prefix / ("python.exe" if sys.platform == "win32" else "bin/python")
    common = ("--python", python, "--break-system-packages", "--no-python-downloads", "--quiet")
    done = run_uv(["pip", verb, *common, *arguments])
    if done.code:
        said = re.sub(r"^warning.*\n", "", done.output, flags=re.MULTILINE).strip()
        damaged = "hash mismatch" in said.lower()
        raise ScaffoldError(
            f"packages from PyPI cannot be put into {prefix}: {said}",
            "do not use that file; ask who runs the index"
            if damaged
            else "check the network and the free space, then try again",
        )


def _installed(prefix: Path) -> Iterator[tuple[str, str]]:
    """Yield name and URL of what uv put there; the URL is empty where that is not known."""
    for pattern in ("lib/python*/site-packages", "Lib/site-packages"):
        for info in sorted(prefix.glob(f"{pattern}/*.dist-info")):
            try:
                installer = (info / "INSTALLER").read_text(encoding="utf-8").strip()
            except OSError:
                continue
            if installer in _OURS:
                name = canonicalize_name(info.name.removesuffix(".dist-info").split("-")[0])
                yield name, _origin(info / "direct_url.json")


def _origin(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        return ""

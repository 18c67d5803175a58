"""What Pixi's configuration files say: where it keeps what, and whom it asks.

crates/pixi_config/src/lib.rs and crates/pixi_core/src/workspace/mod.rs of Pixi 0.77.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import LockError, ScaffoldError
from pixi_scaffold.system import layout
from pixi_scaffold.workspace import Workspace

if TYPE_CHECKING:
    from rattler import Config

_KEYS = {"repodata": "repodata", "pkgs": "conda-packages", "envs": "detached-environments"}
"""What a folder in Pixi's cache is called in [cache] of its configuration."""


def pixi_config(root: Path | None = None) -> Config:
    """Return what the configuration files of Pixi say; raises LockError when one is broken.

    root: the workspace, which may have a file of its own.
    """
    from rattler import Config

    try:
        return Config.load_from_locations(
            [(path, shared) for path, shared in _files(root) if path.is_file()]
        )
    except Exception as error:  # several kinds, no common base
        raise LockError(
            f"the Pixi configuration cannot be used: {error}",
            "correct it: .pixi/config.toml here, or config.toml in ~/.pixi or ~/.config/pixi",
        ) from error


def _files(root: Path | None) -> list[tuple[Path, bool]]:
    """Return the configuration files, the one with the last word last; whether rattler's own."""
    from rattler import Config

    files = [(root / layout.PIXI / "config.toml", False)] if root else []
    if os.environ.get("PIXI_NO_CONFIG", "").lower() in ("1", "true"):
        return files
    if named := os.environ.get("PIXI_CONFIG_FILE"):
        return [(Path(named), False), *files]
    return [*Config.config_search_paths("pixi"), *files]


def _said(root: Path | None, *keys: str) -> Any:
    """Return what the last file says of a key; None where none does."""
    value = None
    for path, shared in _files(root):
        try:
            table: Any = {} if shared else tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a broken one is told when channels are asked
            continue
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        value = value if table is None else table
    return value


def cache_folder(kind: str = "", root: Path | None = None) -> Path:
    """Return the cache that Pixi uses, or its part `kind`: `repodata`, `pkgs` or `envs`.

    A variable or a key for that part, then PIXI_CACHE_DIR, RATTLER_CACHE_DIR, cache.root, the
    default. Not as Pixi, which goes elsewhere where the default is on a network file system.
    """
    if key := _KEYS.get(kind):
        variable = os.environ.get(f"PIXI_CACHE_{key.replace('-', '_').upper()}_DIR")
        if named := variable or _said(root, "cache", key):
            return Path(named).expanduser()
    for name in ("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR"):
        if value := os.environ.get(name):
            return Path(value) / kind
    if value := _said(root, "cache", "root"):
        return Path(value).expanduser() / kind
    import platformdirs

    user = Path(platformdirs.user_cache_path())
    return ((user / "pixi") if (user / "pixi").is_dir() else user / "rattler" / "cache") / kind


def environments_folder(workspace: Workspace) -> Path:
    """Return where Pixi installs the environments of a workspace: in it, or where it is told to.

    Makes the folder and the link to it that Pixi makes. Raises ScaffoldError when that cannot be.
    """
    here = workspace.root / layout.ENVIRONMENTS
    told = _said(workspace.root, "detached-environments")
    if not told:
        return here
    place = cache_folder("envs", workspace.root) if told is True else Path(told).expanduser()
    if not place.is_absolute():
        raise ScaffoldError(
            f"detached-environments of the Pixi configuration is no absolute path: {told}",
            f"pixi config set detached-environments {place.absolute()}",
        )
    from xxhash import xxh3_64_intdigest

    root = workspace.root.resolve()
    name = f"{workspace.name or root.name}-{xxh3_64_intdigest(os.fsencode(root))}"
    folder = place / name / layout.ENVIRONMENTS.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if here.is_symlink() and here.readlink() != folder:
            here.unlink()
        if not here.exists():
            here.parent.mkdir(exist_ok=True)
            here.symlink_to(folder)
    except OSError as error:
        raise ScaffoldError(
            f"detached-environments of the Pixi configuration cannot be followed: {error}",
            "pixi config set detached-environments FOLDER",
        ) from error
    return folder

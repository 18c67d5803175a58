"""What Pixi's configuration files say: where it keeps what, and whom it asks.

crates/pixi_config/src/lib.rs and crates/pixi_core/src/workspace/mod.rs of Pixi 0.77.
"""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixi_scaffold.errors import LockError, ScaffoldError
from pixi_scaffold.system import layout

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

    files = _own_files(root)
    own_only = len(files) < 3  # none of all users, or of all workspaces
    shared = [] if own_only else Config.config_search_paths("pixi")
    return [*((p, True) for p, is_shared in shared if is_shared), *((p, False) for p in files)]


def _own_files(root: Path | None) -> list[Path]:
    """Return Pixi's own among them, without the library, which takes 0.1 s to load."""
    files = [root / layout.PIXI / "config.toml"] if root else []
    if os.environ.get("PIXI_NO_CONFIG", "").lower() in ("1", "true"):
        return files
    if named := os.environ.get("PIXI_CONFIG_FILE"):
        return [Path(named), *files]
    import platformdirs

    pixi_home = os.environ.get("PIXI_HOME") or Path.home() / layout.PIXI
    homes = [platformdirs.user_config_path("pixi"), Path(pixi_home)]
    if sys.platform == "darwin" and (named := os.environ.get("XDG_CONFIG_HOME")):
        homes.insert(0, Path(named) / "pixi")
    return [Path("/etc/pixi/config.toml"), *(home / "config.toml" for home in homes), *files]


def _said(root: Path | None, *keys: str) -> Any:
    """Return what the last file says of a key; None where none does."""
    value = None
    for path in _own_files(root):
        try:
            table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
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


def environment_homes(root: Path) -> tuple[Path, Path]:
    """Return where environments of a workspace are: its own, and those of the starter channel.

    The first is in `.pixi`, or where detached-environments of Pixi's configuration says. Makes
    nothing. Raises ScaffoldError when that is said in a way that cannot be followed.
    """
    here, starter = layout.environment_homes(root)
    told = _said(root, "detached-environments")
    if not told:
        return here, starter
    place = cache_folder("envs", root) if told is True else Path(told).expanduser()
    if not place.is_absolute():
        raise ScaffoldError(
            f"detached-environments of the Pixi configuration is no absolute path: {told}",
            f"pixi config set detached-environments {place.absolute()}",
        )
    from xxhash import xxh3_64_intdigest

    real = root.resolve()
    try:
        from pixi_scaffold.workspace import find_manifest, read_manifest  # seldom needed

        name = read_manifest(find_manifest(root)).name
    except ScaffoldError:  # then nothing is installed there, and others say what is wrong with it
        name = real.name
    folder = place / f"{name or real.name}-{xxh3_64_intdigest(os.fsencode(real))}"
    return folder / layout.ENVIRONMENTS.name, starter


def environments_folder(root: Path) -> Path:
    """Return where Pixi installs the environments of a workspace, and make the link to it.

    What lies in `.pixi/envs` already stays and counts no more, as for Pixi. Raises ScaffoldError
    when the folder or the link cannot be made.
    """
    here, folder = root / layout.ENVIRONMENTS, environment_homes(root)[0]
    if folder == here:
        return here
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

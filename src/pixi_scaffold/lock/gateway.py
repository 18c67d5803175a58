"""Where repodata comes from and is kept: the places that Pixi's configuration names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.errors import LockError

if TYPE_CHECKING:
    from rattler import Config, Gateway


def pixi_config() -> Config:
    """Return what the configuration files of Pixi say; raises LockError when one is broken."""
    from rattler import Config

    try:
        return Config.load_from_default_locations("pixi")
    except Exception as error:  # several kinds, no common base
        raise LockError(
            f"the Pixi configuration cannot be used: {error}",
            "correct it: .pixi/config.toml here, or config.toml in ~/.pixi or ~/.config/pixi",
        ) from error


def cache_folder() -> Path:
    """Return the cache that Pixi uses, with its `repodata` and `pkgs`.

    PIXI_CACHE_DIR, then RATTLER_CACHE_DIR, then the default (crates/pixi_config, get_cache_dir).
    """
    for name in ("PIXI_CACHE_DIR", "RATTLER_CACHE_DIR"):
        if value := os.environ.get(name):
            return Path(value)
    import platformdirs

    pixi = Path(platformdirs.user_cache_path()) / "pixi"
    return pixi if pixi.is_dir() else Path(platformdirs.user_cache_path()) / "rattler" / "cache"


def gateway() -> Gateway:
    """Return the source of repodata, set up by the files that Pixi reads.

    Mirrors, proxies, TLS and credentials; raises LockError when one of the files is broken.
    """
    from rattler import Gateway

    found = pixi_config()
    return Gateway.from_config(found, cache_dir=cache_folder() / _repodata(found.mirrors))


def _repodata(mirrors: Mapping[str, Sequence[str]]) -> str:
    """Return the name of the folder for repodata; the one that Pixi uses without mirrors.

    The library keeps repodata by the channel's own URL. A mirror would be asked whether it has
    something newer than another mirror once had, and would say no.
    """
    if not mirrors:
        return "repodata"
    said = repr(sorted((one, list(others)) for one, others in mirrors.items()))
    return f"repodata-{hashlib.sha256(said.encode()).hexdigest()[:12]}"

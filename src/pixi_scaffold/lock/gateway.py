"""Where repodata comes from and is kept: as Pixi's configuration says, and never without end."""

from __future__ import annotations

import hashlib
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pixi_scaffold.lock.settings import cache_folder, pixi_config

if TYPE_CHECKING:
    from rattler import Gateway

MOST = 1 << 30
"""Bytes of repodata that a channel may send for one platform, unpacked: several times what the
largest public ones have. A small archive can hold any number."""

_COUNTING = threading.Lock()
_before: list[int] = []
"""The limit that each thread inside found, the first one the process's own."""

SHARDED = ("https://conda.anaconda.org", "https://repo.prefix.dev")
"""Hosts whose repodata may come in shards, without a mirror between: the library unpacks their list
in memory, whatever it grows to. `repodata-config` of Pixi's configuration can say otherwise."""


def gateway(root: Path | None = None) -> Gateway:
    """Return the source of repodata, set up by the files that Pixi reads.

    Mirrors, proxies, TLS and credentials; raises LockError when one of the files is broken.
    """
    from rattler import Config, Gateway

    config = pixi_config(root)
    sharded = () if config.mirrors else SHARDED
    lines = [f'[repodata-config."{url}"]\ndisable-sharded = false\n' for url in sharded]
    bounded = Config.from_toml("".join(["[repodata-config]\ndisable-sharded = true\n", *lines]))
    config = bounded.merge(config)
    folder = cache_folder("repodata", root)
    if config.mirrors:
        # The library keeps repodata by the channel's own URL: a mirror would be asked whether it
        # has something newer than another mirror once had, and would say no.
        said = repr(sorted((one, list(others)) for one, others in config.mirrors.items()))
        digest = hashlib.sha256(said.encode()).hexdigest()
        folder = folder.with_name(f"{folder.name}-{digest[:12]}")
    return Gateway.from_config(config, cache_dir=folder)


@contextmanager
def bounded_files() -> Iterator[None]:
    """Let no file grow beyond MOST meanwhile: the library unpacks repodata into one.

    The limit is the process's: of several threads the first sets it and the last takes it back.
    """
    with _COUNTING:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        bound = MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)
        resource.setrlimit(resource.RLIMIT_FSIZE, (bound, hard))
        _before.append(soft)
    try:
        yield
    finally:
        with _COUNTING:
            first = _before[0]
            _before.pop()
            if not _before:
                resource.setrlimit(resource.RLIMIT_FSIZE, (first, hard))

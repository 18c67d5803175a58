"""Which packages of PyPI a conda package provides: its `purls` (package URLs).

Pixi has a mapping on a server of its own. Without it a package of conda-forge is taken to provide
what has its name on PyPI, as Pixi does for packages that its mapping does not have.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from packaging.utils import canonicalize_name, is_normalized_name

from pixi_scaffold.errors import LockError
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.file import Lock
from pixi_scaffold.lock.pypi import PURL
from pixi_scaffold.system import download
from pixi_scaffold.workspace import Workspace

KNOWN = {
    "jaxlib": "jaxlib", "matplotlib-base": "matplotlib", "msgpack-python": "msgpack",
    "opencv": "opencv-python", "py-opencv": "opencv-python", "py-xgboost": "xgboost",
    "pytables": "tables", "python-graphviz": "graphviz", "pytorch": "torch",
    "pytorch-lightning": "pytorch-lightning", "tensorflow-base": "tensorflow",
}  # fmt: skip
"""conda-forge's names of packages that PyPI has under another one."""
SECONDS = 60.0
"""What a server has to send a mapping."""
OF_PROJECT = "?source=project-defined-mapping"


class Purls:
    """Says the purls of new rows. assumed: names of conda packages that were given one by name."""

    def __init__(self, workspace: Workspace, old: Lock) -> None:
        self.mapping = dict(_project_mapping(workspace))
        self.same_name = {channel_url("conda-forge"): True} | {
            channel: entry["same-name-heuristic"]
            for channel, entry in _entries(workspace)
            if isinstance(entry, Mapping) and "same-name-heuristic" in entry
        }
        self.off = workspace.pypi_map is False
        self.of_names: dict[str, tuple[str, ...]] = {}
        self.assumed: set[str] = set()
        for url in old.layout.blocks:
            if url.endswith((".conda", ".tar.bz2")):
                package = old.layout.package(url)
                if package.has_purls and not self.of_names.get(package.name):
                    self.of_names[package.name] = package.purls

    def of(self, name: str, channel: str) -> tuple[str, ...]:
        """Return the purls of a conda package from a channel (its URL)."""
        table = self.mapping.get(channel, {})
        if self.off or table is None:
            return ()
        if name in table:
            return tuple(f"{PURL}{canonicalize_name(one)}{OF_PROJECT}" for one in table[name])
        if name in self.of_names:
            return self.of_names[name]
        if not self.same_name.get(channel):
            return ()
        project = canonicalize_name(KNOWN.get(name, name))
        if not is_normalized_name(project):  # _openmp_mutex: PyPI can have no such name
            return ()
        self.assumed.add(name)
        return (f"{PURL}{project}",)


def _entries(workspace: Workspace) -> Iterator[tuple[str, Any]]:
    table = workspace.pypi_map if isinstance(workspace.pypi_map, Mapping) else {}
    return ((channel_url(channel), entry) for channel, entry in table.items())


def _project_mapping(
    workspace: Workspace,
) -> Iterator[tuple[str, dict[str, tuple[str, ...]] | None]]:
    """Yield a channel, and conda name -> names on PyPI; None for one that is switched off."""
    for channel, entry in _entries(workspace):
        if entry is False:
            yield channel, None
            continue
        spec = entry if isinstance(entry, Mapping) else {"location": entry}
        names = dict(spec.get("mapping", {}))
        if location := spec.get("location"):
            names = _of_file(workspace, location) | names
        lists = {n: [v] if v and isinstance(v, str) else v or () for n, v in names.items()}
        yield channel, {name: tuple(some) for name, some in lists.items()}


def _of_file(workspace: Workspace, location: str) -> dict[str, Any]:
    """Read a mapping from a file or a URL."""
    is_remote = location.startswith(("http://", "https://"))
    path = workspace.root / location.removeprefix("file://")
    try:
        data = download(location, {}, SECONDS)[0] if is_remote else path.read_bytes()
        names: dict[str, Any] = json.loads(data)
    except (OSError, ValueError) as error:
        raise LockError(
            f"conda-pypi-map: {location if is_remote else path} cannot be read: {error}",
            "correct it, or its name",
        ) from error
    return names

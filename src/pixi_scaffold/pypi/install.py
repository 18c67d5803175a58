"""Put locked wheels into an environment, with uv; each must have the SHA-256 of its lock."""

import base64
import contextlib
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from pixi_scaffold.errors import LockError, ScaffoldError
from pixi_scaffold.pypi.uv import ChosenWheel, run_uv
from pixi_scaffold.system import replacing, temporary_folder

OWNER = "uv-pixi"
"""Who put a package there (dist-info/INSTALLER of PEP 376), as Pixi writes it: the lock did.

What somebody put there with pip or uv is left alone.
"""


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
    _own(prefix, {wheel.name for wheel in missing})


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
    """Yield name and URL of what locks put there; the URL is empty where that is not known."""
    for name, info in _infos(prefix):
        with contextlib.suppress(OSError):
            if (info / "INSTALLER").read_text(encoding="utf-8").strip() == OWNER:
                url = ""
                with contextlib.suppress(OSError, ValueError, KeyError):
                    url = json.loads((info / "direct_url.json").read_text(encoding="utf-8"))["url"]
                yield name, url


def _infos(prefix: Path) -> Iterator[tuple[str, Path]]:
    """Yield the name of each package in an environment, and the folder that says so."""
    for pattern in ("lib/python*/site-packages", "Lib/site-packages"):
        for info in sorted(prefix.glob(f"{pattern}/*.dist-info")):
            yield canonicalize_name(info.name.removesuffix(".dist-info").split("-")[0]), info


def _own(prefix: Path, names: set[str]) -> None:
    """Write down that the lock put these packages there, in INSTALLER and in its line of RECORD."""
    digest = hashlib.sha256(OWNER.encode()).digest()
    coded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    for name, info in _infos(prefix):
        if name not in names:
            continue
        record = (info / "RECORD").read_text(encoding="utf-8")
        line = f"{info.name}/INSTALLER,sha256={coded},{len(OWNER)}"
        record = re.sub(rf"^{re.escape(info.name)}/INSTALLER,.*$", line, record, flags=re.MULTILINE)
        for file, text in (("RECORD", record), ("INSTALLER", OWNER)):
            with replacing(info / file) as new:
                new.write_text(text, encoding="utf-8")

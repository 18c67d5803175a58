"""The starter channel: a real local conda channel for machines that cannot reach conda-forge.

Python is packed from the interpreter that runs this, the rest from pinned PyPI wheels. Solving,
installing and training treat it like any other channel.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import multiprocessing
import shlex
import shutil
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.report import Progress
from pixi_scaffold.starter.interpreter import base_executable, pack_interpreter
from pixi_scaffold.starter.wheel import convert
from pixi_scaffold.system import clean_env, cores, run, which

LAYOUT = 1
"""Raised when a channel built by an older version must not be used any more."""

TORCH = "2.13.0"
_TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_MARK = "starter.json"


@dataclass(frozen=True, slots=True)
class Starter:
    """A built starter channel: its folder, the one subdir that it serves, and its packages."""

    folder: Path
    subdir: str
    packages: int

    @property
    def url(self) -> str:
        """The channel as a URL."""
        return self.folder.absolute().as_uri()


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that pip chose: the requirement that names it, and the digest of the index."""

    name: str
    version: str
    sha256: str


def pins() -> tuple[str, ...]:
    """Return the requirements that the channel is made of, PyTorch last."""
    text = (importlib.resources.files("pixi_scaffold.starter") / "starter.txt").read_text(
        encoding="utf-8"
    )
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    # On Linux, plain `torch` is the CUDA build with gigabytes of libraries.
    torch = f"torch=={TORCH}+cpu" if sys.platform == "linux" else f"torch=={TORCH}"
    return (*filter(None, lines), torch)


def starter_key() -> str:
    """Return what a cached channel is found by: the interpreter and the pins."""
    facts = [LAYOUT, sys.version, sysconfig.get_platform(), str(base_executable()), pins()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def cached_folder() -> Path:
    """Return where the channel of this interpreter and these pins is kept."""
    return platformdirs.user_cache_path("pixi-scaffold") / "channels" / starter_key()


def build_channel(progress: Progress, folder: Path | None = None) -> Starter:
    """Return the starter channel, built when the cache does not have it whole.

    folder: also put a copy there (it must be new, empty, or an earlier copy). Raises UsageError
    for a folder with something else in it, ScaffoldError when the wheels cannot be had.
    """
    if folder is not None and folder.exists() and not _may_hold_channel(folder):
        raise UsageError(f"{folder} exists and is not a starter channel", "choose another folder")
    cached = cached_folder()
    found = _read(cached)
    if found is None:
        _build(cached, progress)
        found = _read(cached)
    if found is None:
        raise ScaffoldError(
            f"the starter channel in {cached} is damaged",
            f"remove it: rm -r {shlex.quote(str(cached))}",
        )
    if folder is None:
        return found
    folder = folder.resolve()
    copy = _read(folder)
    if copy is None:
        progress.update(f"copying to {folder}")
        copy = _copy(cached, folder)
    return copy


def _may_hold_channel(folder: Path) -> bool:
    """Whether nothing of the user's is lost when `folder` is replaced: empty, or only ours."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        facts = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        ours = {_MARK, "noarch", facts["subdir"], ".tmp"}  # the indexer makes .tmp
        return names <= ours and "key" in facts
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(folder: Path) -> Starter | None:
    """Return the channel in `folder`, when it is of this interpreter and these pins, and whole."""
    try:
        facts = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        if facts["key"] != starter_key():
            return None
        home = folder / facts["subdir"]
        repodata = json.loads((home / "repodata.json").read_text(encoding="utf-8"))
        records = repodata["packages.conda"]
        whole = all((home / name).stat().st_size == r["size"] for name, r in records.items())
        return Starter(folder, facts["subdir"], len(records)) if whole and records else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _copy(cached: Path, folder: Path) -> Starter:
    """Put a copy at `folder` when all of it is there; what was an earlier copy goes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        new = Path(temporary) / "channel"
        shutil.copytree(cached, new)
        if folder.exists():
            folder.rename(Path(temporary) / "old")
        new.rename(folder)
    found = _read(folder)
    if found is None:
        raise ScaffoldError(f"the copy in {folder} is not whole", "try again")
    return found


def _build(cached: Path, progress: Progress) -> None:
    """Build in a folder beside the cache and move it in place when it is whole."""
    from rattler import Subdir

    subdir = str(Subdir.current())
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".building-") as temporary:
            work = Path(temporary)
            wheels = _download(work / "wheels", progress)
            new = work / "channel"
            count = _convert_all(wheels, new / subdir, subdir, progress)
            progress.update("indexing")
            (new / "noarch").mkdir()
            asyncio.run(_index(new))
            facts = {"key": starter_key(), "subdir": subdir, "packages": count, "pins": pins()}
            (new / _MARK).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            if cached.exists() and _read(cached) is None:
                cached.rename(work / "damaged")
            try:
                new.rename(cached)
            except OSError:  # another process was first
                if _read(cached) is None:
                    raise
    except OSError as error:
        raise ScaffoldError(
            f"cannot build the starter channel in {cached.parent}: {error}",
            "free some space (it needs 2 GB), or set XDG_CACHE_HOME to a folder that has it",
        ) from error


async def _index(folder: Path) -> None:
    from rattler.index import index_fs

    # A file:// channel is read without decompression.
    await index_fs(folder, write_zst=False, write_shards=False)


def _convert_all(wheels: list[Path], folder: Path, subdir: str, progress: Progress) -> int:
    """Pack Python and every wheel, one process a core; return how many packages there are."""
    sizes = {wheel.name.partition("-")[0]: wheel.stat().st_size for wheel in wheels}
    total, done = sum(sizes.values()), 0
    pool = ProcessPoolExecutor(
        max_workers=cores(),
        mp_context=multiprocessing.get_context("spawn"),  # threads of rattler may be running
        initializer=signal.signal,
        initargs=(signal.SIGINT, signal.SIG_DFL),  # Ctrl-C ends them without a traceback
    )
    try:
        jobs = {pool.submit(pack_interpreter, folder, subdir): "python"}
        # The largest first, so that no core waits for it at the end.
        for wheel in sorted(wheels, key=lambda w: -w.stat().st_size):
            jobs[pool.submit(convert, wheel, folder, subdir)] = wheel.name.partition("-")[0]
        progress.update("packing", 0.0)
        for job in as_completed(jobs):
            job.result()
            done += sizes.get(jobs[job], 0)
            progress.update(f"packed {jobs[job]}", done / total)
    except BrokenProcessPool as error:
        raise ScaffoldError(
            "packing was ended from outside (too little memory?)", "try again"
        ) from error
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return len(jobs)


def _download(folder: Path, progress: Progress) -> list[Path]:
    """Let pip choose the wheels, then fetch them by the digests that came with their links.

    Raises ScaffoldError with pip's words.
    """
    folder.mkdir(parents=True)
    pip = _pip()
    progress.update("choosing wheels")
    wheels, options = _resolve(pip, folder, progress)
    locked = folder / "wheels.txt"
    locked.write_text(
        "".join(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels),
        encoding="utf-8",
    )
    argv = [*pip, "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    done = run(
        [*argv, *options, "--progress-bar", "off", "--dest", folder, "--requirement", locked],
        env=_pip_env(folder),
        on_line=_tell(progress),
    )
    if done.code != 0:
        raise _pip_error("downloading the wheels", done.output)
    found = sorted(folder.glob("*.whl"))
    if len(found) != len(wheels):
        raise ScaffoldError(f"pip fetched {len(found)} of {len(wheels)} wheels", "try again")
    return found


def _resolve(
    pip: list[str], folder: Path, progress: Progress
) -> tuple[list[Wheel], tuple[str, ...]]:
    """Ask pip for the whole set; return it with the index options that gave it."""
    output = ""
    for options in ((), ("--extra-index-url", _TORCH_CPU_INDEX)):
        report = folder / "report.json"
        argv = [*pip, "install", "--dry-run", "--ignore-installed", "--only-binary", ":all:"]
        done = run(
            [*argv, *options, "--progress-bar", "off", "--report", report, *pins()],
            env=_pip_env(folder),
            on_line=_tell(progress),
        )
        if done.code == 0:
            return _wheels(json.loads(report.read_text(encoding="utf-8"))), options
        output = done.output
    raise _pip_error("choosing the wheels", output)


def _pip_env(folder: Path) -> dict[str, str]:
    """Put pip's temporary files where they are removed in any case: it leaves them on Ctrl-C."""
    temporary = folder.parent / "pip"
    temporary.mkdir(exist_ok=True)
    return clean_env({"TMPDIR": str(temporary)})


def _wheels(report: dict[str, Any]) -> list[Wheel]:
    found = []
    for item in report["install"]:
        metadata, download = item["metadata"], item["download_info"]
        archive = download.get("archive_info", {})
        # pip before 23.1 has only the older key for a wheel from a folder (--find-links).
        digest = archive.get("hashes", {}).get("sha256") or _legacy(archive.get("hash", ""))
        if not digest:
            raise ScaffoldError(
                f"the index gives no sha256 for {metadata['name']}",
                "use an index that does, or a newer pip: python -m pip install --upgrade pip",
            )
        found.append(Wheel(metadata["name"], metadata["version"], digest))
    return found


def _legacy(text: str) -> str:
    return text.removeprefix("sha256=") if text.startswith("sha256=") else ""


def _tell(progress: Progress) -> Callable[[str], None]:
    def tell(line: str) -> None:
        words = line.split()
        if words[:1] in (["Collecting"], ["Downloading"]) and len(words) > 1:
            progress.update(f"{words[0].lower()} {words[1]}")

    return tell


def _pip() -> list[str]:
    """Return how to run a pip for this interpreter: its own, or another one's by `--python`."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for program in ("pip3", "pip"):
        if path := which(program):
            return [path, "--python", sys.executable]
    base = base_executable()
    if run([base, "-m", "pip", "--version"], timeout=60).code == 0:
        return [str(base), "-m", "pip", "--python", sys.executable]
    raise ScaffoldError(
        "the starter channel is made from PyPI wheels, and there is no pip here to fetch them",
        "install it beside pixi-scaffold: uv tool install --with pip pixi-scaffold",
    )


def _pip_error(what: str, output: str) -> ScaffoldError:
    lines = [line.strip() for line in output.splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    other = [line for line in lines if line and not line.startswith(("WARNING", "[notice]"))]
    first, *more = errors or other[-6:] or ["pip said nothing"]
    return ScaffoldError(
        "\n".join((f"{what} for the starter channel failed: {first}", *more)),
        "check the network, and what pip is told: python -m pip config list",
    )

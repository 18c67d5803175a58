"""The wheels of the starter channel: pip chooses and fetches them; the next build finds them."""

from __future__ import annotations

import importlib.resources
import json
import platform
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.tags import sys_tags

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.report import Progress
from pixi_scaffold.system import TimedOut, clean_env, run, temporary_folder

PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_28_aarch64", "macosx_14_0_arm64")
"""The newest platform tags among the pinned wheels: what has them can install all the others."""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index, the only one with a build for Linux without CUDA."""
CPU_INDEX_SECONDS = 15.0
"""What that index has to answer one question in, from the start of pip to its end."""
_AT_ONCE = 3  # downloads
_SIZE_SECONDS = 20.0  # to be told a file's size


def pins(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the exact requirements, PyTorch first, without the part of PyTorch's CUDA libraries.

    environment: markers of another Python, as `packaging` names them.
    """
    text = (importlib.resources.files(__package__) / "starter.txt").read_text(encoding="utf-8")
    wanted = map(
        Requirement, filter(None, (li.partition("#")[0].strip() for li in text.split("\n")))
    )
    here = dict(environment) if environment else None
    chosen = [r for r in wanted if r.marker is None or r.marker.evaluate(here)]
    return tuple(f"{r.name}{r.specifier}" for r in sorted(chosen, key=lambda r: r.name != "torch"))


def check_python() -> None:
    """Raise ScaffoldError, naming the Pythons that work, when this one has no wheels."""
    tags = {str(tag) for tag in sys_tags()}
    pythons = [version.replace(".", "") for version in PYTHONS]
    if any(f"cp{v}-cp{v}-{p}" in tags for v in pythons for p in PLATFORMS):
        return
    build = " (free-threaded)" if "t" in getattr(sys, "abiflags", "") else ""
    system = " ".join((platform.system(), platform.machine(), *platform.libc_ver())).strip()
    raise ScaffoldError(
        f"the starter channel needs wheels of PyTorch and others, and there are none for Python "
        f"{platform.python_version()}{build} on {system}\n"
        f"there are for Python {PYTHONS[0]} to {PYTHONS[-1]} on Linux x86-64 and aarch64 with "
        "glibc 2.28 or newer, and on macOS 14 or newer on Apple silicon",
        "run pixi-scaffold with one of these Pythons; or let conda-forge be reached",
    )


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that pip chose: what it is called, where it lies, and its digest by the index."""

    name: str
    version: str
    url: str
    sha256: str

    @property
    def file(self) -> str:
        """The name of the file; with the digest's folder in front it is kept under it."""
        return f"{self.sha256[:16]}/{PurePosixPath(unquote(urlsplit(self.url).path)).name}"


@dataclass(frozen=True, slots=True)
class WheelSet:
    """All wheels of a channel."""

    wheels: tuple[Wheel, ...]
    no_cpu_build: str = ""
    """Why PyTorch's CUDA build and its libraries are among them; empty where they are not."""

    def to_json(self) -> str:
        """Return it as text that `from_json` reads."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> WheelSet:
        """Read it back; raises ValueError, KeyError or TypeError for something else."""
        data = json.loads(text)
        return cls(tuple(Wheel(**one) for one in data["wheels"]), data["no_cpu_build"])


def choose(folder: Path, progress: Progress) -> WheelSet:
    """Let pip choose every wheel; nothing is fetched but what is needed to choose.

    On Linux PyTorch's CPU build is taken: from the user's own indexes, else from PyTorch's, which
    is asked once, for that alone. Where neither has it, the build of the default index is taken,
    with gigabytes of CUDA libraries. folder: for pip's temporary files. Raises ScaffoldError with
    pip's words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ask = partial(_chosen, folder, progress)
    torch, *others = pins()
    progress.update("choosing wheels")
    if sys.platform != "linux":
        return WheelSet(ask(torch, *others))
    cpu = f"{torch}+cpu"
    try:
        return WheelSet(ask(cpu, *others))
    except ScaffoldError as error:
        # the second where pip has a constraint on it, too
        not_there = (f"No matching distribution found for {cpu}", f"Cannot install {cpu} because")
        if not any(words in error.message for words in not_there):
            raise
    progress.update("asking PyTorch's index for its CPU build")
    options = ("--no-deps", "--index-url", CPU_INDEX, "--retries", "0")
    try:
        pytorch = ask(cpu, options=options, seconds=CPU_INDEX_SECONDS)
    except TimedOut:
        why = f"PyTorch's index does not answer within {CPU_INDEX_SECONDS:g} s"
    except ScaffoldError:
        why = "PyTorch's index cannot be reached"
    else:
        return WheelSet((*pytorch, *ask(*others)))
    return WheelSet(ask(torch, *others), why)


def missing(chosen: WheelSet, folder: Path) -> list[Wheel]:
    """Return those of the wheels that are not kept in `folder`."""
    return [wheel for wheel in chosen.wheels if not (folder / wheel.file).is_file()]


def download_bytes(wheels: Sequence[Wheel]) -> int:
    """Return how large the files are, as their servers say; those that do not say count nothing."""
    with ThreadPoolExecutor(16) as threads:
        return sum(threads.map(lambda wheel: _size(wheel.url), wheels))


def _size(url: str) -> int:
    # Nothing is believed of the answer but a number; proxies are those of the environment.
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310
        with urllib.request.urlopen(request, timeout=_SIZE_SECONDS) as answer:  # noqa: S310
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, ValueError):
        return 0


def fetch(chosen: WheelSet, folder: Path, progress: Progress) -> Iterator[Path]:
    """Yield every wheel's file in `folder`, as they come: first those that are kept.

    The digests that the index gave with its links are required. What was fetched stays when this
    ends early. Raises ScaffoldError with pip's words.
    """
    wanted = missing(chosen, folder)
    done = len(chosen.wheels) - len(wanted)
    yield from (folder / w.file for w in chosen.wheels if w not in wanted)
    stop = Event()
    folder.mkdir(parents=True, exist_ok=True)
    with (
        temporary_folder(folder) as temporary,
        ThreadPoolExecutor(_AT_ONCE) as threads,
    ):
        jobs = [
            threads.submit(_download, group, folder, temporary, stop) for group in _groups(wanted)
        ]
        try:
            for job in as_completed(jobs):
                for wheel in job.result():
                    done += 1
                    progress.update(f"fetched {wheel.name}", done / len(chosen.wheels))
                    yield folder / wheel.file
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise


def _groups(wheels: Sequence[Wheel]) -> list[list[Wheel]]:
    """Return what one pip fetches: the pinned ones together, each other one and PyTorch alone.

    Those have hundreds of megabytes, and pip hands over nothing before it has all of a group.
    """
    small = {pin.partition("==")[0] for pin in pins()} - {"torch"}
    together = [w for w in wheels if w.name.lower().replace("_", "-") in small]
    alone = [[w] for w in wheels if w not in together]
    return [group for group in (together, *alone) if group]


def _download(
    wheels: Sequence[Wheel], folder: Path, temporary: Path, stop: Event
) -> Sequence[Wheel]:
    with temporary_folder(temporary) as work:
        locked = work / "wheels.txt"
        locked.write_text("".join(map(_locked, wheels)), encoding="utf-8")
        argv = [*_PIP, "download", "--no-cache-dir", "--no-deps", "--require-hashes"]
        argv += ["--only-binary", ":all:", "--progress-bar", "off"]
        argv += ["--dest", str(work), "--requirement", str(locked)]
        done = run(argv, env=clean_env({"TMPDIR": str(work)}), stop=stop)
        if done.code != 0:
            raise _pip_error("downloading the wheels", done.output)
        for wheel in wheels:
            target = folder / wheel.file
            target.parent.mkdir(exist_ok=True)
            try:
                (work / target.name).rename(target)
            except FileNotFoundError as error:
                raise ScaffoldError(f"pip did not fetch {target.name}", "try again") from error
    return wheels


def _locked(wheel: Wheel) -> str:
    """Return the line of a requirements file. pip hides a password in a link: then by name."""
    link = f" @ {wheel.url}" if "*" not in wheel.url else f"=={wheel.version}"
    return f"{wheel.name}{link} --hash=sha256:{wheel.sha256}\n"


_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def _chosen(
    folder: Path,
    progress: Progress,
    *requirements: str,
    options: Sequence[str] = (),
    seconds: float | None = None,
) -> tuple[Wheel, ...]:
    argv = [*_PIP, "install", "--dry-run", "--ignore-installed", "--only-binary", ":all:"]
    # A wheel's metadata is read where it lies when the index does not have it apart.
    argv += ["--use-feature", "fast-deps", "--progress-bar", "off", *options]
    with temporary_folder(folder) as work:
        report = work / "report.json"
        argv += ["--report", str(report), *requirements]

        def tell(line: str) -> None:
            words = line.split()
            if words[:1] == ["Collecting"] and len(words) > 1:
                progress.update(f"choosing {words[1]}")

        on_line = None if seconds else tell
        # pip leaves temporary files on Ctrl-C: here they are removed in any case
        env = clean_env({"TMPDIR": str(work)})
        done = run(argv, env=env, on_line=on_line, timeout=seconds)
        if done.code != 0:
            raise _pip_error("choosing the wheels", done.output)
        return tuple(map(_wheel, json.loads(report.read_text(encoding="utf-8"))["install"]))


def _wheel(item: dict[str, Any]) -> Wheel:
    metadata, download = item["metadata"], item["download_info"]
    digest = download.get("archive_info", {}).get("hashes", {}).get("sha256")
    if not digest:
        raise ScaffoldError(
            f"the index gives no sha256 for {metadata['name']}", "use an index that does"
        )
    return Wheel(metadata["name"], metadata["version"], download["url"], digest)


def _pip_error(task: str, output: str) -> ScaffoldError:
    lines = [line.strip() for line in output.splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    other = [line for line in lines if line and not line.startswith(("WARNING", "[notice]"))]
    first, *more = errors or other[-6:] or ["pip said nothing"]
    return ScaffoldError(
        "\n".join((f"{task} for the starter channel failed: {first}", *more)),
        "check the network, and what pip is told: python -m pip config list",
    )

"""uv, which resolves and installs packages from PyPI; it comes with this program."""

import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pixi_scaffold.errors import LockError, UnsupportedError
from pixi_scaffold.pypi.platform import system_version, wheel_rank
from pixi_scaffold.system import Completed, clean_env, run, temporary_folder
from pixi_scaffold.workspace import Platform, PypiOptions, PypiRequirement, cutoff

LIMIT = 900.0
"""Seconds that one resolution may take."""
_PLATFORMS = {
    "osx-64": "x86_64-apple-darwin", "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc", "win-arm64": "aarch64-pc-windows-msvc",
    "win-32": "i686-pc-windows-msvc",
}  # fmt: skip
_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_GLIBC = (17, 28, *range(31, 41))
"""The minor versions of glibc that uv knows (uv pip compile --help, --python-platform)."""
_LEAKS = ("VIRTUAL_ENV", "CONDA_*", "PYTHONPATH", "PYTHONHOME")


@dataclass(frozen=True, slots=True)
class ChosenWheel:
    """A wheel that was chosen."""

    name: str
    version: str
    url: str
    sha256: str = ""
    """Empty where the index does not say it."""
    index: str = ""
    """Where it is from, as far as that is known: uv does not say it where there are several."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is to be resolved for one platform."""

    requirements: tuple[PypiRequirement, ...]
    platform: Platform
    python: str
    options: PypiOptions
    provided: Mapping[str, str] = field(default_factory=dict)
    """Versions of what conda packages provide, by PyPI's name."""
    preferred: Mapping[str, str] = field(default_factory=dict)
    """Versions that are kept where they may be."""
    exclude_newer: str = ""
    """A time, of RFC 3339."""
    strategy: str = "highest"
    """As a manifest names it; uv has the same names."""

    @property
    def indexes(self) -> dict[str, str]:
        """Return the index of each package that names one of its own."""
        return {r.name: r.index for r in self.requirements if r.index}


_FINDING = threading.Lock()
"""One thread at a time looks for the program, as sysconfig has to be asked."""
_TRUST = {"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}
"""Certificates of the system, as for pip and Pixi: a lab's own proxy has its own. (Older versions
of uv know the second name.)"""


def resolve(problem: Resolution, root: Path) -> tuple[ChosenWheel, ...] | str:
    """Return the wheels that meet a resolution, or why there are none, in uv's words.

    root: the folder that relative find-links are seen from. Raises UnsupportedError where
    something would have to be built, LockError where an index cannot be used.
    """
    import tomllib

    with temporary_folder() as place:
        arguments = list(_arguments(problem, place, root))
        extra = {}
        if problem.platform.subdir.startswith("osx"):
            extra["MACOSX_DEPLOYMENT_TARGET"] = "{}.{}".format(*system_version(problem.platform))
        done = run_uv(["pip", "compile", *arguments], place, extra)
        if done.code:
            return _explanation(done.output)
        data = tomllib.loads((place / "pylock.toml").read_text(encoding="utf-8"))
    return tuple(
        _distribution(package, problem)
        for package in data.get("packages", ())
        if package["name"] not in problem.provided
    )


def run_uv(
    arguments: Sequence[str | Path],
    folder: Path | None = None,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> Completed:
    """Run uv in a folder, by default the system's for temporary files: no project lies around it.

    extra: variables. Raises TimedOut after LIMIT seconds.
    """
    import tempfile

    import uv

    with _FINDING:
        program = uv.find_uv_bin()
    cwd = folder or Path(tempfile.gettempdir())
    return run([program, *arguments], cwd=cwd, env=_variables(extra), timeout=LIMIT)


def _variables(extra: Mapping[str, str]) -> dict[str, str]:
    """Return uv's environment: the certificates that pip is told to believe count for it, too."""
    env = clean_env({**_TRUST, "UV_NO_PROGRESS": "1", "NO_COLOR": "1", **extra}, drop=_LEAKS)
    if env.get("PIP_CERT"):
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    return env


def _arguments(problem: Resolution, folder: Path, root: Path) -> Iterator[str]:
    yield _requirements(problem, folder)
    if problem.provided:
        (folder / "provided.txt").write_text("\n".join(_provided(problem, folder)) + "\n")
        yield from ("--constraints", "provided.txt")
    options = problem.options
    if options.overrides:
        (folder / "overrides.txt").write_text("".join(f"{r}\n" for r in options.overrides))
        yield from ("--overrides", "overrides.txt")
    if known := problem.preferred:  # uv keeps what its output file had
        rows = (f"[[packages]]\nname = '{n}'\nversion = '{v}'\n" for n, v in known.items())
        head = 'lock-version = "1.0"\ncreated-by = "pixi-scaffold"\n'
        (folder / "pylock.toml").write_text(head + "".join(rows))
    yield from ("--format", "pylock.toml", "--output-file", "pylock.toml", "--no-header")
    yield from ("--python", sys.executable, "--python-version", problem.python)
    yield from ("--python-platform", _platform(problem.platform))
    yield from ("--no-python-downloads", "--only-binary", ":all:", "--quiet")
    yield from ("--resolution", problem.strategy, *_index_arguments(options, root))
    if options.prerelease_mode:
        yield from ("--prerelease", options.prerelease_mode)
    if problem.exclude_newer:
        yield from ("--exclude-newer", problem.exclude_newer)
    for name, text in options.exclude_newer:
        moment = cutoff(text, datetime.now(UTC)).isoformat()
        yield from ("--exclude-newer-package", f"{name}={moment}")


def _index_arguments(options: PypiOptions, root: Path) -> Iterator[str]:
    if options.index_url:
        yield from ("--default-index", options.index_url)
    for url in options.extra_index_urls:
        yield from ("--extra-index-url", url)
    for kind, place in options.find_links:
        yield from ("--find-links", place if kind == "url" else str(root / place))
    if options.index_strategy:
        yield from ("--index-strategy", options.index_strategy)


def _requirements(problem: Resolution, folder: Path) -> str:
    """Write what is asked for; return the file's name. Only a project can name other indexes."""
    texts = [str(requirement) for requirement in problem.requirements]
    if not problem.indexes:
        (folder / "requirements.in").write_text("\n".join(texts) + "\n", encoding="utf-8")
        return "requirements.in"
    urls = list(dict.fromkeys(problem.indexes.values()))
    lines = ["[project]", 'name = "the-manifest"', 'version = "0"', f"dependencies = {texts!r}"]
    for number, url in enumerate(urls):
        lines += ["[[tool.uv.index]]", f"name = 'i{number}'", f"url = '{url}'", "explicit = true"]
    lines.append("[tool.uv.sources]")
    lines += [f"{n} = {{ index = 'i{urls.index(u)}' }}" for n, u in problem.indexes.items()]
    (folder / "pyproject.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "pyproject.toml"


def _provided(problem: Resolution, folder: Path) -> Iterator[str]:
    """Write a wheel without content for each package that conda provides; yield where it is.

    As a constraint it is the only version that uv may take, and it needs nothing.
    """
    import zipfile

    for name, version in sorted(problem.provided.items()):
        try:
            plain = str(Version(version))
        except InvalidVersion:  # conda has versions that PyPI cannot have
            continue
        stem = f"{name.replace('-', '_')}-{plain}"
        path = folder / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {plain}\n"
            wheel.writestr(f"{stem}.dist-info/METADATA", head)
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
        yield f"{name} @ {path.as_uri()}"


def _platform(platform: Platform) -> str:
    if machine := _MACHINES.get(platform.subdir):
        _, minor = system_version(platform)
        known = max((m for m in _GLIBC if m <= minor), default=_GLIBC[0])
        return f"{machine}-manylinux_2_{known}"
    if platform.subdir in _PLATFORMS:
        return _PLATFORMS[platform.subdir]
    raise UnsupportedError(
        f"packages from PyPI cannot be resolved for {platform.subdir}",
        f"take {platform.name} out of what asks for them",
    )


def _distribution(package: Mapping[str, Any], problem: Resolution) -> ChosenWheel:
    """Return the best wheel of a package of a pylock.toml; raises UnsupportedError without one."""
    name = canonicalize_name(package["name"])
    built = {"*", name} & set(problem.options.no_binary)
    ranked: list[tuple[int, Mapping[str, Any]]] = []
    for wheel in package.get("wheels", ()):
        file = wheel.get("name") or wheel.get("url", wheel.get("path", "")).rsplit("/", 1)[-1]
        rank = wheel_rank(file, problem.platform, problem.python)
        if rank is not None:
            ranked.append((rank, wheel))
    if built or not ranked:
        why = "no-binary asks to build it" if built else "it has no wheel there"
        raise UnsupportedError(
            f"{name} {package.get('version', '')} for {problem.platform.name}: {why}, and only "
            "wheels can be locked and installed here",
            "ask for a version that has wheels, or for its conda package",
        )
    wheel = min(ranked, key=lambda pair: pair[0])[1]
    url = wheel["url"] if "url" in wheel else Path(wheel["path"]).absolute().as_uri()
    digest = wheel.get("hashes", {}).get("sha256", "")
    options = problem.options
    only = "" if options.extra_index_urls or options.find_links else options.index_url
    return ChosenWheel(name, package["version"], url, digest, problem.indexes.get(name, only))


def _explanation(output: str) -> str:
    """Return why uv found nothing; raises LockError when it could not look."""
    text = re.sub(r"^(warning|DEBUG).*\n", "", output, flags=re.MULTILINE).strip()
    if "No solution found" not in text:
        raise LockError(
            f"the package index cannot be used: {text}",
            "check the network and [pypi-options], then try again",
        )
    words = re.sub(r"^.*?(?=Because)", "", text, flags=re.DOTALL)
    words, _, hint = words.partition("\nhint: ")
    if "Wheels are required" in hint:
        words = f"{words.rstrip()}\nOnly wheels count: nothing is built from its source here."
    return re.sub(r"^ {2,9}(?=\S)", "", words, flags=re.MULTILINE)

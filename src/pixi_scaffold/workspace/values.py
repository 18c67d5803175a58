"""The kinds of values in a Pixi manifest: whether a value is one, and what is wanted if not.

Versions are Pixi's own (rattler); the usual ones are told without loading that library.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from os.path import normpath
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pixi_scaffold.workspace.versions import lies_in

SUBDIR = re.compile(
    r"linux-(32|64|aarch64|armv6l|armv7l|ppc64le|ppc64|s390x|riscv32|riscv64|loongarch64)"
    r"|osx-(64|arm64)|win-(32|64|arm64)|emscripten-wasm32|wasi-wasm32|zos-z|noarch"
)
"""What conda calls a platform (rattler_conda_types, Platform)."""

FAMILIES = frozenset({"linux", "unix", "win", "osx", "macos"})
"""Selectors for several subdirs, which no platform may be named after."""

PIXI_VERSION = "0.77.0"
"""The Pixi whose rules these are."""
PIXIS = (PIXI_VERSION, *(f"0.{minor}.{patch}" for minor in range(77, 100) for patch in range(4)))
"""That one and newer ones, be there such or not."""

_VERSION = re.compile(r"\d+(\.\d+)*")
_PLAIN_SPEC = re.compile(r"\*|(\d+(\.\d+)*\.\*)|=?=?\d+(\.\d+)*|(>=|<=|>|<|!=)\d+(\.\d+)*")
_UNITS = {
    "nanos nsec ns": 1e-9, "micros usec us": 1e-6, "millis msec ms": 1e-3,
    "seconds second secs sec s": 1, "minutes minute mins min m": 60,
    "hours hour hrs hr h": 3600, "days day d": 86400, "weeks week wks wk w": 604800,
    "months month M": 2630016, "years year yrs yr y": 31557600,
}  # fmt: skip
_SECONDS = {name: seconds for names, seconds in _UNITS.items() for name in names.split()}


class BadValueError(ValueError):
    """A value is not what it should be; the text says what that would be."""


def check_version(text: str) -> None:
    """Raise BadValueError unless `text` is one conda version."""
    if _VERSION.fullmatch(text):
        return
    from rattler import Version

    try:
        Version(text)
    except Exception as error:  # several kinds, no common base
        raise BadValueError(f"a version such as 12.0 ({error})") from error


def version_spec(text: str, *, strict: bool = True) -> tuple[str, bool]:
    """Return a version specifier as the solver takes it, and whether it was ambiguous.

    A bare version means that very version, as Pixi reads it with a warning
    (crates/pixi_spec/src/toml.rs, parse_version_string). strict: not as Requires-Python is read.
    Raises BadValueError.
    """
    if _VERSION.fullmatch(text):
        return f"=={text}", True
    parts = text.split(",")
    if all(_PLAIN_SPEC.fullmatch(p) and not _VERSION.fullmatch(p) for p in parts):
        return text, False
    from rattler import VersionSpec

    try:
        VersionSpec(text, strict=True)
    except Exception as error:  # several kinds, no common base
        if not strict or "missing range specifier" in str(error):
            try:
                return str(VersionSpec(text)), True
            except Exception as second:
                error = second
        why = str(error).replace("Eof", "it cannot be read")
        raise BadValueError(f"a version specifier such as >=1.2,<2 ({why})") from error
    return text, False


def newer(version: str, other: str) -> bool:
    """Whether one conda version is newer than another; both have been checked."""
    return satisfies(version, f">{other}")


def cutoff(text: str, now: datetime) -> datetime:
    """Return the moment after which packages do not count (crates/pixi_spec, exclude_newer.rs).

    A date counts to its end; a duration such as 7d counts back from `now`. Raises BadValueError.
    """
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
        except ValueError as error:
            raise BadValueError(f"a date ({error})") from error
        return day + timedelta(days=1)
    if parts := re.fullmatch(r"(?:\s*\d+\s*[A-Za-z]+)+\s*", text):
        pairs = re.findall(r"(\d+)\s*([A-Za-z]+)", parts[0])
        if all(unit in _SECONDS for _, unit in pairs):
            try:
                return now - timedelta(seconds=sum(int(n) * _SECONDS[u] for n, u in pairs))
            except OverflowError as error:
                raise BadValueError("a duration that is not so long") from error
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadValueError("a date (2026-01-31), a time (2026-01-31T12:00:00Z) or a duration (7d)")
    return moment


def _check_url(text: str) -> None:
    try:
        parts = urlsplit(text)
        usable = bool(parts.scheme and (parts.netloc or parts.scheme not in ("http", "https")))
    except ValueError:
        usable = False
    if not usable or not text.partition(":")[2]:
        raise BadValueError("a URL such as https://example.org")


def _check_license(text: str) -> None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        known = canonicalize_license_expression(text)
    except InvalidLicenseExpression as error:
        raise BadValueError(f"an SPDX expression such as MIT ({error})") from error
    if known != " ".join(text.split()):
        raise BadValueError(f"an SPDX expression, here {known}")


def check_archspec(text: str) -> None:
    """Raise BadValueError unless `text` names a microarchitecture; `0` is the unknown one."""
    from archspec.cpu import TARGETS

    if text != "0" and text not in TARGETS:
        raise BadValueError("a microarchitecture that archspec knows, such as x86_64_v3")


def _read_by(module: str, kind: str, wanted: str) -> Callable[[str], None]:
    """Return a check that a kind of packaging reads the text; `wanted` says it in words."""

    def check(text: str) -> None:
        try:
            getattr(import_module(f"packaging.{module}"), kind)(text)
        except ValueError as error:
            why = str(error).partition("\n")[0]
            raise BadValueError(f"{wanted} ({why})") from error

    return check


_SPECIFIERS = "a version specifier such as >=1.2,<2"
_read_specifiers = _read_by("specifiers", "SpecifierSet", _SPECIFIERS)


def _check_specifiers(text: str) -> None:
    _read_specifiers(text)
    if text and not all(part.strip() for part in text.split(",")):
        raise BadValueError(f"{_SPECIFIERS} (a comma separates nothing)")


def check_platform_name(text: str) -> None:
    """Raise BadValueError unless a platform may have this name."""
    plain = re.fullmatch(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?", text)
    if not plain or len(text) > 64 or text in FAMILIES:
        raise BadValueError(
            "a name of letters, digits and dashes, at most 64, that is not one of "
            + ", ".join(sorted(FAMILIES))
        )


def check_selector(text: str) -> None:
    """Raise BadValueError unless a target may have this selector."""
    if text in FAMILIES or SUBDIR.fullmatch(text):
        return
    if any(sign in text for sign in "*?["):
        if not re.fullmatch(r"[A-Za-z0-9*-]{1,64}", text):
            raise BadValueError("a pattern of letters, digits, dashes and *, such as linux-*")
        return
    try:
        check_platform_name(text)
    except BadValueError as error:
        raise BadValueError(
            "a family (linux, unix, win, osx), a platform such as linux-64 or a pattern of one"
        ) from error


def _check_condition(text: str) -> None:
    """Raise BadValueError unless `when` takes the text (pixi_spec 0.77, toml.rs)."""
    from rattler import MatchSpec

    try:
        spec = MatchSpec(text, strict=False)
    except Exception as error:  # several kinds, no common base
        why = str(error).partition("\n")[0]
        raise BadValueError(
            f"a package and its versions such as 'python >=3.12' ({why})"
        ) from error
    if spec.name is None or spec.build or spec.channel is not None or set("[]") & set(text):
        raise BadValueError("only a package and its versions; for more: { package = NAME, ... }")


def _check_subdirectory(text: str) -> None:
    if text.startswith("/") or normpath(text).split("/")[0] == "..":
        raise BadValueError("a folder inside the repository")


def matching(pattern: str, wanted: str) -> Callable[[str], None]:
    """Return a check that the whole text matches `pattern`; `wanted` says it in words."""
    compiled = re.compile(pattern)

    def check(text: str) -> None:
        if not compiled.fullmatch(text):
            raise BadValueError(wanted)

    return check


def check_file(text: str, root: Path) -> None:
    """Raise BadValueError unless the file is there, seen from the manifest's folder."""
    if not (root / text).is_file():
        raise BadValueError(f"a file that is there, and {root / text} is not")


STRINGS: dict[str, Callable[[str], Any]] = {
    "string": lambda _: None,
    "version": check_version,
    "version-spec": version_spec,
    "cutoff": lambda text: cutoff(text, datetime(2026, 1, 1, tzinfo=UTC)),
    "url": _check_url,
    "license": _check_license,
    "archspec": check_archspec,
    "pypi-version": lambda text: None if text == "*" else _check_specifiers(text),
    "pypi-release": _read_by("version", "Version", "a version as PyPI has them"),
    "specifiers": _check_specifiers,
    "requirement": _read_by("requirements", "Requirement", "a requirement such as numpy>=2"),
    "markers": _read_by(
        "markers", "Marker", "an environment marker such as sys_platform == 'linux'"
    ),
    "platform-name": check_platform_name,
    "selector": check_selector,
    "condition-text": _check_condition,
    "subdirectory": _check_subdirectory,
    "name": lambda _: None,
    "package": matching(r"[A-Za-z0-9_.-]*", "a package name of letters, digits, -, _ and ."),
    "pypi-package": matching(
        r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "a package name as PyPI has them"
    ),
    "environment-name": matching(r"[a-z0-9-]+", "a name of lower-case letters, digits and dashes"),
    "argument-name": matching(r"[^-]*", "an argument name without a dash"),
    "build-number": matching(r"\s*(>=|<=|>|<|==|!=|=)?\s*\d+\s*", "a build number such as '>=1'"),
    "md5": matching(r"[0-9a-fA-F]{32}", "an MD5 sum of 32 digits"),
    "sha256": matching(r"[0-9a-fA-F]{64}", "a SHA-256 sum of 64 digits"),
}
"""Kinds of strings: each raises BadValueError for a text that is not one."""


def satisfies(version: str, wanted: str) -> bool:
    """Whether a conda version lies in a range; what cannot be read does not."""
    answer = lies_in(version, wanted)
    if answer is not None:
        return answer
    from rattler import Version, VersionSpec

    try:
        return bool(VersionSpec(wanted).matches(Version(version)))
    except Exception:  # several kinds, no common base
        return False

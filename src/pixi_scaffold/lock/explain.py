"""Say why there is no lock, for people: the same words whichever engine tried (pure)."""

import difflib
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from pixi_scaffold.errors import ChannelError, LockError
from pixi_scaffold.lock.gateway import MOST
from pixi_scaffold.lock.layout import Package
from pixi_scaffold.lock.settings import cache_folder
from pixi_scaffold.report import in_folder
from pixi_scaffold.system import program
from pixi_scaffold.workspace import Workspace, mentions

_MISSING = re.compile(r"No candidates were found for ([\w.-]+) ?(.*?)\.?$", re.MULTILINE)
_NAMED = re.compile(r"^(?:Cannot solve the request because of: |[│ ]*[├└]─ )?([\w.-]+) (\S+)")
_CONSTRAINT = re.compile(r"the constraint ([\w.-]+) ")
_DAMAGED = re.compile(
    r"checksum|hash mismatch|invalid (type|value|data)|pars|deserializ|decode zstd|corrupt"
    r"|unknown frame|EOF while",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"error sending request|coalesced request|[Cc]onnection (refused|reset)|timed out|dns error"
    r"|failed to lookup|tls handshake|operation was canceled"
)
_REQUIRED = re.compile(r"you require (.*?), we can conclude")
_PACKAGE = re.compile(r"\b([A-Za-z][\w.-]*?)(?:\[[^\]]*\])?(?=[<>=!~]| and |$)")
LINES = 24
"""What is shown of a solver's explanation."""


def unsolvable(
    workspace: Workspace,
    failures: Iterable[tuple[str, str, str]],
    known: Iterable[str] = (),
    output: str = "",
    stand_in: str = "",
) -> LockError:
    """Return the error for solves without a solution.

    failures: environments, platform, and the solver's words. known: the names that the channels
    have. output: what another program said, put underneath.
    stand_in: words for other channels than the workspace's.
    """
    names = {name.lower() for name in known}
    missing: dict[str, dict[str, None]] = {}
    others: dict[str, dict[str, None]] = {}
    for environments, platform, why in failures:
        matched = _MISSING.search(why)
        if matched and (not names or matched[1].lower() not in names):
            missing.setdefault(matched[1].lower(), {})[platform] = None
        else:
            others.setdefault(why, {})[f"{environments} on {platform}"] = None
    channels = stand_in or " and ".join(workspace.channels) or "no channel"
    lines = ["no lock was written"]
    culprits = []
    for name, platforms in missing.items():
        meant = near_names(name, names)
        lines.append(f"no package {name} in {channels}{meant} (on {', '.join(platforms)})")
        culprits.append(name)
    for why, places in others.items():
        lines.append(f"the solver found no solution for {', '.join(places)}:")
        lines += [f"  {line}" for line in _short(why)]
        culprits += _culprits(why)
    if output:
        lines += ["what Pixi said:", *(f"  {line}" for line in _short(output))]
    return LockError("\n".join(lines), _line_to_change(workspace, culprits))


def near_names(name: str, known: Iterable[str]) -> str:
    """Return the names that may have been meant, as a question; empty where none is near."""
    near = difflib.get_close_matches(name.lower(), list(known), 3, 0.8)
    return f": {' or '.join(near)}?" if near else ""


def unsolvable_pypi(
    workspace: Workspace, failures: Mapping[str, str], provided: Mapping[str, Package]
) -> LockError:
    """Return the error for what PyPI cannot give.

    failures: uv's words by who asks where. provided: conda packages by the names that they have on
    PyPI.
    """
    by_text: dict[str, list[str]] = {}
    for title, text in failures.items():
        by_text.setdefault(text, []).append(title)
    lines = ["no lock was written"]
    culprits: list[str] = []
    for text, titles in by_text.items():
        flat = " ".join(text.split())
        clash = next(reversed(_REQUIRED.findall(flat)), "")
        words = f": {clash}" if clash else ""
        lines.append(f"PyPI has no solution for {', '.join(titles)}{words}")
        lines += [
            f"  {name} {provided[name].version} is there as the conda package {provided[name].name}"
            for name in _packages(flat)
            if name in provided
        ]
        lines += [f"  {line}" for line in _short(text)]
        culprits += _packages(clash or text)
    return LockError("\n".join(lines), _line_to_change(workspace, culprits))


def _packages(text: str) -> list[str]:
    """Return the packages of PyPI that uv's words name, each once."""
    from packaging.utils import canonicalize_name

    return list(dict.fromkeys(canonicalize_name(name) for name in _PACKAGE.findall(text)))


def _short(text: str) -> list[str]:
    lines = text.strip().splitlines()
    if len(lines) <= LINES:
        return lines
    return [*lines[:LINES], f"... and {len(lines) - LINES} more lines like these"]


def _culprits(why: str) -> list[str]:
    """Return the packages that an explanation is about, the most likely culprit first."""
    constrained = _CONSTRAINT.findall(why)
    named = []
    for line in why.splitlines():
        if not line.startswith(("│", " ")) and (matched := _NAMED.match(line)):
            named.append((matched[2] == "*", matched[1]))
    missing = [matched[1] for matched in _MISSING.finditer(why)]
    return list(dict.fromkeys([*missing, *constrained, *(name for _, name in sorted(named))]))


def _line_to_change(workspace: Workspace, culprits: Iterable[str]) -> str:
    for name in culprits:
        places = sorted(mentions(workspace.manifest, name), key=lambda place: '"*"' in place[1])
        if places:
            number, line = places[0]  # one that asks for any version is not to blame
            return f"change line {number} of {workspace.manifest.name}: {line}"
    return f"loosen a requirement in {workspace.manifest}"


def unreachable_error(workspace: Workspace, why: str, output: str = "") -> ChannelError:
    """Return the error for a channel that does not answer; output: what Pixi said."""
    prove = in_folder(workspace.root, f"{program()} check --train --channel starter")
    said = "".join(f"\n  {line}" for line in _short(output))
    return ChannelError(
        f"the channel does not answer: {why}" + (f"\nwhat Pixi said:{said}" if said else ""),
        f"check the network, then again; to train meanwhile: {prove}",
    )


def why_fetching_failed(said: str, damaged: str = "what it sends is damaged") -> tuple[str, str]:
    """Return what the error of a download is about, and what to do about it.

    damaged: the words for data that arrives and cannot be read.
    """
    if re.search(r"os error 27\b", said):
        return f"it sends more than {MOST >> 20} MiB", "name another channel or mirror"
    if re.search(r"os error (28|122)\b", said):
        return (
            "there is no space left for what it sends",
            "free some, or keep it elsewhere: export PIXI_CACHE_DIR=FOLDER",
        )
    if re.search(r"os error (13|30)\b", said):
        return (
            "what it sends cannot be kept",
            f"make {cache_folder()} writable, or: export PIXI_CACHE_DIR=FOLDER",
        )
    if not blames_network(said) and _DAMAGED.search(said):
        again = f"rm -r {shlex.quote(str(cache_folder('repodata')))}*"
        return damaged, f"name another channel or mirror; if it worked before: {again}"
    return "the channel failed", "check the network and the channel, then try again"


def repodata_failed(title: str, channels: Sequence[str], said: str) -> LockError:
    """Return the error for channels whose repodata cannot be had; said: the library's words."""
    message, hint = why_fetching_failed(said, "it sends what is no repodata")
    return LockError(f"{title}: {message} ({', '.join(channels)}): {said}", hint)


def blames_network(text: str) -> bool:
    """Whether a program's output is about a network that fails."""
    return bool(_NETWORK.search(text))

"""The files that a task's inputs and outputs name, as Pixi 0.77 finds them (crates/pixi_glob).

Its patterns are lines of a .gitignore turned round: the last one that matches decides, and `!`
leaves out. A folder that is left out is not entered; a hidden one is, where a pattern matches it.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pixi_scaffold.errors import ScaffoldError

_META = frozenset("*?[{")
_EVERYTHING = frozenset({"**", "./**", "**/*", "./**/*"})
_ALL_HIDDEN = frozenset({".*", ".**", "**/.*", "./.*", ".**/*"})
_NO_HIDDEN = "!{**/.*, .*, .**/*}"  # its blanks are part of it, so only the first has an effect
_PIECE = re.compile(
    r"\\(?P<escaped>.)|\[(?P<class>[!^]?+(?:\][^\]]*|[^\]]+))\]|(?<![^{,])(?P<first>(?:\*\*/)*\*\*(?:/|$))"
    r"|(?P<last>/(?:\*\*/)*\*\*(?=$|[,}]))|(?P<middle>/(?:\*\*/)+)|(?P<star>\*+)|(?P<one>\?)"
    r"|(?P<open>\{)|(?P<close>\})|(?P<comma>,)|(?P<plain>.)",
    re.DOTALL,
)
_MEANS = {
    "first": "(?:/?|.*/)", "last": "/.*", "middle": "(?:/|/.*/)", "star": "[^/]*", "one": "[^/]",
    "open": "(?:", "close": ")", "comma": "|",
}  # fmt: skip
"""What the pieces of a glob mean to the globset library, as regular expressions."""


class _IgnoreLine(NamedTuple):
    takes: bool
    only_folders: bool
    names: re.Pattern[str]


def task_files(root: Path, patterns: Iterable[str]) -> list[str]:
    """Return the files that the patterns name, in order, as seen from the workspace.

    Raises ScaffoldError for an invalid pattern.
    """
    whole = [_of_folder(root, pattern) for pattern in patterns]
    if not whole:
        return []
    split = [_split(pattern) for pattern in whole]
    up = max(prefix.count("..") for _, prefix, _ in split)
    if up > len(root.parents):
        raise ScaffoldError(f"there are not {up} folders above {root}", "use fewer ../")
    start, below = (root.parents[up - 1], root.parts[-up:]) if up else (root, ())
    rebased = []
    for sign, prefix, glob in split:
        everywhere = sign and not prefix and glob.startswith("**/")
        parents = () if everywhere else below[: up - prefix.count("..")]
        rebased.append(sign + "/".join([*parents, *(p for p in prefix if p != ".."), glob]))
    anchored = [_anchored(pattern) for pattern in rebased]
    hidden = _with_hidden(anchored)
    rules = [rule for line in (*anchored, *(hidden or ())) for rule in _rules(line)]
    names = _walk(start, "", rules, hidden is not None, frozenset())
    return sorted(os.path.relpath(start / name, root) for name in names)


def _of_folder(root: Path, pattern: str) -> str:
    if pattern.endswith("/"):
        return f"{pattern}**"
    return f"{pattern}/**" if (root / pattern).is_dir() else pattern


def _split(pattern: str) -> tuple[str, list[str], str]:
    """Return `!` or nothing, the folders in front of the first wildcard, and the rest."""
    sign = "!" if pattern.startswith("!") else ""
    body = pattern.removeprefix("!")
    wildcard = next((at for at, letter in enumerate(body) if letter in _META), 0)
    cut = body.rfind("/", 0, wildcard) + 1
    if body.startswith("/") and cut:
        raise ScaffoldError(
            f"the pattern {pattern!r} is not relative", "name it from the workspace"
        )
    prefix = os.path.normpath(body[:cut]).split("/") if cut else []
    return sign, [name for name in prefix if name != "."], body[cut:]


def _anchored(pattern: str) -> str:
    """Return a name without wildcards as that of one file beside the manifest."""
    body = pattern.removeprefix("!")
    plain = body and "/" not in body and not _META & set(body)
    return f"{'!' * (body != pattern)}/{body}" if plain else pattern


def _with_hidden(patterns: Sequence[str]) -> list[str] | None:
    """Return the lines to add where hidden files are entered; None where they are not."""

    def names_hidden(one: str) -> bool:
        return one.startswith(".") or "/." in one

    if any(one.startswith("!**/.*") for one in patterns):
        return None
    if _ALL_HIDDEN & set(patterns):
        return []
    named = [one for one in patterns if names_hidden(one) and not one.startswith("!.")]
    if not named and not _EVERYTHING & set(patterns):
        return None
    lines = [*patterns, _NO_HIDDEN]
    for one in named:
        if "/" in one and not set("*?[") & set(one):
            folder = one.rpartition("/")[0]
            lines += [folder, f"!{folder}/*", one]
        else:
            inside = one if one.startswith(".") else one[one.index("/.") + 1 :]
            lines.append(inside.partition("/")[0])
    return lines


def _rules(line: str) -> Iterator[_IgnoreLine]:
    """Yield what a line of a .gitignore says; nothing for a comment."""
    line = line if line.endswith("\\ ") else line.rstrip()
    if not line or line.startswith("#"):
        return
    body = line.removeprefix("!")
    glob = body.removeprefix("/").removesuffix("/")
    if not body.startswith("/") and "/" not in glob and glob != "**":
        glob = f"**/{glob}"
    if glob.endswith("/**"):
        glob += "/*"
    yield _IgnoreLine(body == line, body.endswith("/"), _expression(glob))


def _expression(glob: str) -> re.Pattern[str]:
    text, depth, shown = "", 0, glob.removeprefix("**/")
    for piece in _PIECE.finditer(glob):
        kind, sign = str(piece.lastgroup), str(piece[str(piece.lastgroup)])
        depth += (kind == "open") - (kind == "close")
        if depth < 0 or (kind == "plain" and sign in "[\\"):
            raise ScaffoldError(f"{shown!r} is no pattern: {sign} stands alone", f"write \\{sign}")
        if kind == "class":
            negated = sign[0] in "!^"
            body = re.sub(r"[\\\[\]&~|^]", r"\\\g<0>", sign[negated:])
            text += f"[{'^' * negated}{body}]"
        elif kind in _MEANS and (kind != "comma" or depth):
            text += _MEANS[kind]
        else:
            text += re.escape(sign)
    if depth:
        raise ScaffoldError(f"{shown!r} is no pattern: {{ is not closed", "close it")
    try:
        return re.compile(".*" if text == _MEANS["first"] else text, re.DOTALL)
    except re.error as error:
        raise ScaffoldError(f"{shown!r} is no pattern: {error}", "look at its brackets") from error


def _walk(
    folder: Path, prefix: str, rules: Sequence[_IgnoreLine], hidden: bool, above: frozenset[str]
) -> Iterator[str]:
    """Yield the files below a folder; links are followed, but not to a folder `above`."""
    above |= {os.path.realpath(folder)}
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name = prefix + entry.name
        try:
            is_folder = entry.is_dir()
        except PermissionError:
            continue
        except OSError as error:  # Pixi's walk stops there, too, whatever the patterns are
            hint = f"where it is a link to itself: rm {shlex.quote(entry.path)}"
            raise ScaffoldError(f"{entry.path}: {error.strerror}", hint) from error
        takes = _takes(rules, name, is_folder)
        if takes is False or (takes is None and not hidden and entry.name.startswith(".")):
            continue
        if not is_folder:
            if entry.is_file():
                yield name
        elif not entry.is_symlink() or os.path.realpath(entry) not in above:
            yield from _walk(folder / entry.name, f"{name}/", rules, hidden, above)


def _takes(rules: Sequence[_IgnoreLine], name: str, is_folder: bool) -> bool | None:
    """Return what the last rule that matches says; None where none says anything."""
    for rule in reversed(rules):
        if (is_folder or not rule.only_folders) and rule.names.fullmatch(name):
            return rule.takes
    return False if not is_folder and any(rule.takes for rule in rules) else None

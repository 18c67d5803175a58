"""What changed between two locks, in words: lines for a terminal, Markdown for a pull request."""

import re
from collections.abc import Iterator
from itertools import groupby

from pixi_scaffold.lock.diff import LockDiff, Move, PackageChange, PlatformDiff, WatchedVersion

COMMENT = 60_000
"""Characters; GitHub takes 65,536 in a comment."""


def diff_lines(diff: LockDiff) -> Iterator[str]:
    """Yield what changed, as lines that fit a terminal of 80 columns where the names do."""
    yield f"pixi.lock: {diff.before} -> {diff.after}{'' if diff.changed else ': nothing changed'}"
    for platform in diff.platforms:
        yield f"{platform.name}: {summary(platform)}"
        yield from (f"  {line}" for line in _remarks(platform))
        for asked, changes in _groups(platform):
            yield f"  {asked}"
            for change in changes:
                cost = shown_size(change.download) if change.download else ""
                name, versions = change.name, _versions(change)
                yield f"    {change.change:<7}  {name:<26} {versions:<26} {cost}".rstrip()


def markdown(diff: LockDiff) -> str:
    """Return what changed as Markdown for a comment of GitHub's; names are text, never markup."""
    head = f"### pixi.lock: {_text(diff.before)} → {_text(diff.after)}\n\n"
    if not diff.changed:
        return head + "Nothing changed.\n"
    table = "| platform | what changed | to download | Python, PyTorch, CUDA |\n|---|---|---|---|\n"
    for p in diff.platforms:
        words = [(_text(_moved(w, "→")), w.moved) for w in p.watched]
        watched = "<br>".join(f"**{text}**" if moved else text for text, moved in words)
        table += f"| {_text(p.name)} | {_text(_counts(p))} | {_cost(p)} | {watched} |\n"
    text, left_out = head + table, []
    for platform in diff.platforms:
        part = "".join(_platform_markdown(platform))
        if len(text) + len(part) > COMMENT:
            left_out.append(platform.name)
        else:
            text += part
    if left_out:
        names = _text(", ".join(left_out))
        text += f"\nToo long for a comment: {names}. In full: `pixi-scaffold lock --diff`\n"
    return text


def _platform_markdown(platform: PlatformDiff) -> Iterator[str]:
    remarks = [
        line for line in _remarks(platform) if not line.startswith(("Python", "PyTorch", "CUDA"))
    ]
    if not remarks and not platform.changes:
        return
    yield f"\n<details><summary>{_text(platform.name)}: {_text(_counts(platform))}</summary>\n\n"
    yield from (f"- {_text(line)}\n" for line in remarks)
    if platform.changes:
        yield "\n| asked for by | package | change | version | download |\n|---|---|---|---|---|\n"
    for asked, changes in _groups(platform):
        for change in changes:
            size = change.download
            cost = "?" if size is None else shown_size(size) if size else ""
            row = (asked, change.name, change.change, _versions(change, "→"))
            yield f"| {' | '.join(map(_text, row))} | {cost} |\n"
    yield "\n</details>\n"


def summary(platform: PlatformDiff) -> str:
    """Return one line on a platform: how many packages changed, and what is to be downloaded."""
    cost = _cost(platform)
    return _counts(platform) + (f"; {cost} to download" if cost else "")


def _counts(platform: PlatformDiff) -> str:
    if platform.state == "removed":
        return "no longer locked"
    if platform.state == "added":
        return f"new, {platform.packages} packages"
    counts = [f"{n} {move}" for move in Move if (n := platform.count(move))]
    return ", ".join(counts) or ("changed" if platform.changed else "unchanged")


def _cost(platform: PlatformDiff) -> str:
    """Return what is to be downloaded; empty where nothing is."""
    unknown = f"{platform.unsized} of unknown size" if platform.unsized else ""
    known = shown_size(platform.download) if platform.download else ""
    return " and ".join(filter(None, (known, unknown)))


def _remarks(platform: PlatformDiff) -> Iterator[str]:
    for watched in platform.watched:
        yield _moved(watched)
    if platform.requires:
        before, after = (", ".join(side) for side in platform.requires)
        yield f"it asks for other machines: {before} -> {after}"
    if platform.environments_added:
        yield f"new environments: {', '.join(platform.environments_added)}"
    if platform.environments_removed:
        yield f"environments gone: {', '.join(platform.environments_removed)}"


def _moved(watched: WatchedVersion, arrow: str = "->") -> str:
    if not watched.moved:
        return f"{watched.name} stays {watched.after}"
    before, after = watched.before or "none", watched.after or "none"
    return f"{watched.name} {before} {arrow} {after}"


def _groups(platform: PlatformDiff) -> Iterator[tuple[str, list[PackageChange]]]:
    """Yield the changes by what asked for them: a name of the manifest, and how many others do."""
    for name, changes in groupby(platform.changes, key=lambda c: c.asked_by[:1]):
        yield name[0] if name else "asked for by nothing", list(changes)


def _versions(change: PackageChange, arrow: str = "->") -> str:
    after = change.after
    # A version and a build: only the build moved.
    if change.change is Move.REBUILT and " " in after:
        after = after.partition(" ")[2]
    return f" {arrow} ".join(filter(None, (change.before, after))) or "built from source"


def shown_size(count: int) -> str:
    """Return bytes as people say them: 1.2 GB, 34 MB, 5 kB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.{int(count < 10 * unit)}f} {name}"
    return f"{count} B"


def _text(text: str) -> str:
    """Return a text that Markdown and HTML leave as it is, and that mentions and links nothing."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return re.sub(r"[^\w \-.,;:→+=]|_", lambda character: f"&#{ord(character[0])};", plain)

"""Compared with what Pixi 0.77.0 said of thousands of made-up workspaces (../shared/pixi-says).

Every verdict, every lock and every list of warnings here was its own; nothing is ours.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pixi_scaffold.errors import LockError, ManifestError
from pixi_scaffold.lock.current import compare
from pixi_scaffold.lock.diff import LockState, lock_diff
from pixi_scaffold.lock.file import Lock, no_lock, parse_lock
from pixi_scaffold.lock.gateway import gateway
from pixi_scaffold.lock.pypi import default_index
from pixi_scaffold.lock.rattler import RattlerEngine, Solving
from pixi_scaffold.lock.render import render_lock
from pixi_scaffold.lock.solve import solve_one
from pixi_scaffold.report import Silent
from pixi_scaffold.workspace import Environment, Workspace, find_manifest, parse_manifest
from tests.support.paths import SHARED
from tests.support.server import serve

SAYS = SHARED / "pixi-says"
pytestmark = pytest.mark.skipif(not SAYS.is_dir(), reason="what Pixi said is not here")
OWN_SLIP = "twin platforms"
"""Pixi calls its own lock stale at once; it does not warn of it, and we do."""


@pytest.fixture(
    params=[pytest.param(4, id="every-fourth"), pytest.param(1, id="all", marks=pytest.mark.slow)]
)
def step(request: pytest.FixtureRequest) -> int:
    """How many rows further the next one is that is compared."""
    return int(request.param)


@functools.cache
def rows(name: str) -> list[dict[str, Any]]:
    path = SAYS / name
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines()]


def read(manifest: str, folder: Path) -> tuple[Workspace | None, str]:
    """Return the workspace, or why it is refused."""
    try:
        return parse_manifest(manifest, folder / "pixi.toml"), ""
    except ManifestError as error:
        return None, error.message


class Differences:
    """Counts where we and Pixi part, by kind, and keeps the first of each to show."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.all = 0

    def add(self, kind: str, shown: str) -> None:
        self.kinds[kind] += 1
        self.first.setdefault(kind, shown)

    def show(self) -> str:
        lines = [f"{n} {kind}" for kind, n in self.kinds.most_common()]
        return "\n".join([f"{sum(self.kinds.values())} of {self.all} differ", *lines]) + (
            "\n\n" + "\n\n".join(f"--- {k}\n{text}" for k, text in list(self.first.items())[:8])
        )


def warned(workspace: Workspace) -> set[str]:
    return {w.kind for w in workspace.warnings} - {OWN_SLIP}


def meant(warnings: list[str]) -> set[str]:
    return {"deprecated" if one == "system-requirements" else one for one in warnings}


def test_it_reads_what_pixi_reads(tmp_path: Path) -> None:
    found = Differences()
    for row in rows("grammar.jsonl.gz"):
        found.all += 1
        workspace, why = read(row["manifest"], tmp_path)
        if (workspace is not None) != row["reads"]:
            kind = "we refuse" if row["reads"] else "Pixi refuses"
            found.add(f"{row['kind']}: {kind}", f"{row['manifest']}\n{why}")
        elif workspace and warned(workspace) != meant(row["warnings"]):
            found.add("warnings", f"{row['manifest']}\n{row['warnings']} {workspace.warnings}")
    assert not found.kinds, found.show()


def test_each_refusal_names_the_place_and_what_is_allowed(tmp_path: Path) -> None:
    """Where the key is in the file, its line is said."""
    lines = 0
    for row in rows("grammar.jsonl.gz"):
        workspace, why = read(row["manifest"], tmp_path)
        if workspace is None:
            assert str(tmp_path / "pixi.toml") in why
            lines += why.startswith(f"{tmp_path / 'pixi.toml'}:")
    assert lines > 700


@pytest.fixture
def made_up_channels(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The channels that Pixi was run on, in the place of conda-forge and lab."""
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))
    base = "https://conda.anaconda.org"
    with serve(SAYS / "channels") as url:
        mirrors = "".join(f'"{base}/{n}" = ["{url}/{n}"]\n' for n in ("conda-forge", "lab"))
        (user / "config.toml").write_text(f"[mirrors]\n{mirrors}")
        yield


async def lock_text(workspace: Workspace, source: Any, old: str | None = None) -> str | None:
    """Lock as the engine does; None where there is no solution."""
    path = workspace.lock_file
    before = parse_lock(old, path) if old else no_lock(path)
    solving = Solving(workspace, before)
    answers = await asyncio.gather(
        *(solve_one(problem, source, solving.kept(problem)) for problem in solving.todo)
    )
    try:
        contents, _ = solving.contents(answers)
    except LockError:
        return None
    return render_lock(workspace, contents)


def shown_difference(wanted: str | None, have: str | None) -> str:
    if wanted is None or have is None:
        return f"Pixi: {'no solution' if wanted is None else 'a lock'}; we: the other"
    old, new = wanted.splitlines(), have.splitlines()
    for number, (one, two) in enumerate(zip(old, new, strict=False)):
        if one != two:
            near = slice(max(0, number - 3), number + 3)
            return "Pixi:\n" + "\n".join(old[near]) + "\nwe:\n" + "\n".join(new[near])
    return f"{len(old)} lines and {len(new)}"


@pytest.mark.usefixtures("made_up_channels")
def test_every_lock_is_the_one_that_pixi_writes(tmp_path: Path, step: int) -> None:
    found = Differences()

    async def every() -> None:
        source = gateway()
        for row in rows("workspaces.jsonl.gz")[::step]:
            found.all += 1
            workspace, why = read(row["manifest"], tmp_path)
            if workspace is None:
                if row["result"] in ("locked", "unsolvable"):
                    found.add("we refuse", f"{row['manifest']}\n{why}")
                continue
            if row["result"] not in ("locked", "unsolvable"):
                found.add(f"Pixi refuses: {row['result']}", row["manifest"])
                continue
            if warned(workspace) != meant(row["warnings"]):
                found.add("warnings", f"{row['manifest']}\n{row['warnings']} {workspace.warnings}")
            wanted = row.get("lock") if row["result"] == "locked" else None
            have = await lock_text(workspace, source)
            if have != wanted:
                kind = "lock" if wanted and have else "solution"
                text = f"seed {row['seed']}\n{row['manifest']}{shown_difference(wanted, have)}"
                found.add(kind, text)

    asyncio.run(every())
    assert not found.kinds, found.show()


def verdict(manifest: str, lock: Lock, folder: Path) -> tuple[str, str]:
    workspace, why = read(manifest, folder)
    if workspace is None:
        return "refused", why
    problems = compare(workspace, lock).problems
    return ("stale" if problems else "current"), "; ".join(problems)


def test_every_edit_is_current_or_stale_as_for_pixi(tmp_path: Path, step: int) -> None:
    found = Differences()
    for row in rows("workspaces.jsonl.gz")[::step]:
        if row["result"] != "locked":
            continue
        own = {"kind": "none", "manifest": row["manifest"], "why": "its own lock"}
        lock = parse_lock(row["lock"], tmp_path / "pixi.lock")
        for edit in [own | {"verdict": row["again"]}, *row["edits"]]:
            found.all += 1
            have, why = verdict(edit["manifest"], lock, tmp_path)
            if have != edit["verdict"]:
                kind = f"{edit['kind']}: {edit['verdict']} ({edit['why']}), we: {have}"
                found.add(
                    kind, f"seed {row['seed']}: {why}\n{edit['manifest']}\n{row['lock'][:900]}"
                )
    assert not found.kinds, found.show()


@pytest.mark.slow
@settings(max_examples=400, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.data())
def test_a_lock_with_lines_astray_is_compared_or_named_as_damaged(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(("workspaces.jsonl.gz", "pypi.jsonl.gz")))
    locked = [row for row in rows(name) if row.get("lock")]
    row = locked[data.draw(st.integers(0, len(locked) - 1))]
    lines = with_the_default_index(row["lock"]).splitlines()
    place = st.integers(0, len(lines) - 1)
    for _ in range(data.draw(st.integers(1, 3))):
        here = data.draw(place)
        key = lines[here].partition(": ")[0]
        values = ("null", "[]", "{", "3", "'", '"', "]", "-1", "\t", "9" * 30, "é")
        values = tuple(f"{key}: {value}" for value in values)
        odd = st.sampled_from((lines[data.draw(place)], " " + lines[here], "", *values))
        lines[here] = data.draw(odd)
    path = Path("pixi.lock")
    workspace = parse_manifest(row["manifest"], Path("pixi.toml"))
    try:
        lock = parse_lock("\n".join(lines), path)
        compare(workspace, lock)
        lock_diff(LockState("old", lock, workspace), LockState("new", lock, workspace)).to_dict()
    except LockError:  # with a message and the next command; any other exception is a defect
        pass


def test_a_current_lock_is_not_touched(tmp_path: Path, step: int) -> None:
    """Pixi returns before it writes (crates/pixi_core, update_lock_file), as `again` presumes."""
    for row in rows("workspaces.jsonl.gz")[::step]:
        edits = [edit for edit in row.get("edits", ()) if edit["verdict"] == "current"]
        for manifest in [edit["manifest"] for edit in edits[:1]]:
            workspace, _ = read(manifest, tmp_path)
            assert workspace
            workspace.lock_file.write_text(row["lock"])
            locked = RattlerEngine().lock(workspace, workspace.lock_file, Silent())
            assert not locked.changed
            assert workspace.lock_file.read_text() == row["lock"]


@pytest.mark.usefixtures("made_up_channels")
def test_a_new_lock_keeps_what_pixi_keeps(tmp_path: Path, step: int) -> None:
    found = Differences()
    locks = {row["seed"]: row.get("lock") for row in rows("workspaces.jsonl.gz")}

    async def every() -> None:
        source = gateway()
        for row in rows("relocks.jsonl.gz")[::step]:
            found.all += 1
            workspace, why = read(row["manifest"], tmp_path)
            if workspace is None:
                found.add("we refuse", f"{row['manifest']}\n{why}")
                continue
            have = await lock_text(workspace, source, locks[row["seed"]])
            if have != row["new"]:
                kind = row["kind"] if row["new"] and have else f"solution: {row['kind']}"
                text = f"seed {row['seed']}\n{row['manifest']}{shown_difference(row['new'], have)}"
                found.add(kind, text)

    asyncio.run(every())
    assert not found.kinds, found.show()


@pytest.mark.usefixtures("made_up_channels")
def test_pyproject_is_a_manifest_like_pixi_toml(tmp_path: Path) -> None:
    """Names, features, packages and tasks of each environment, and the lock where PyPI has no part."""
    found = Differences()

    async def every() -> None:
        source = gateway()
        for row in rows("pyproject.jsonl"):
            folder = tmp_path / row["name"]
            folder.mkdir()
            path = folder / "pyproject.toml"
            path.write_text(row["pyproject"])
            if row["name"] == "both-files":  # then pixi.toml is the manifest
                continue
            found.all += 1
            try:
                workspace = parse_manifest(row["pyproject"], find_manifest(folder))
            except ManifestError as error:
                if row["workspace"] is not None:
                    found.add("we refuse", f"{row['pyproject']}{error.message}")
                continue
            if row["workspace"] is None:
                found.add("Pixi refuses", row["pyproject"])
                continue
            name = row["workspace"].replace("FOLDER", folder.name)
            have = [
                [e.name, list(e.features), *(sorted(part) for part in wanted(workspace, e))]
                for e in workspace.environments
            ]
            listed = [
                [name, features, sorted(conda), sorted(pypi), sorted(tasks)]
                for name, features, conda, pypi, tasks in row["environments"]
            ]
            if (workspace.name, have) != (name, listed):
                found.add("environments", f"{row['pyproject']}{listed}\n{have}")
            if (
                not any(map(workspace.may_ask_pypi, workspace.environments))
                and row["lock"] is not None
            ):
                text = await lock_text(workspace, source)
                if text != row["lock"]:
                    found.add("lock", row["pyproject"] + shown_difference(row["lock"], text))
            elif row["lock"] is not None:
                theirs = parse_lock(with_the_default_index(row["lock"]), workspace.lock_file)
                if problems := compare(workspace, theirs).problems:
                    found.add("stale", f"{row['pyproject']}{problems}")

    asyncio.run(every())
    assert not found.kinds, found.show()


def wanted(workspace: Workspace, environment: Environment) -> tuple[set[str], set[str], set[str]]:
    """What an environment asks conda and PyPI for on each of its platforms, and its tasks."""
    platforms = workspace.environment_platforms(environment)
    conda = [{r.name for r in workspace.requirements(environment, p)} for p in platforms]
    pypi = [{r.name for r in workspace.pypi(environment, p)} for p in platforms]
    tasks = [set(workspace.tasks(environment, p)) for p in platforms]
    return set.intersection(*conda), set.intersection(*pypi), set.intersection(*tasks)


def with_the_default_index(text: str) -> str:
    """The hosts of indexes in the data are examples; the default one is known to the tool."""
    return text.replace("https://index.example/simple", default_index())


@pytest.mark.parametrize("name", ["pypi.jsonl.gz", "pypi-mapped.jsonl.gz"])
def test_every_edit_of_what_is_asked_of_pypi_is_judged_as_by_pixi(
    name: str, tmp_path: Path, step: int
) -> None:
    found = Differences()
    (tmp_path / "map.json").write_text("{}")
    for row in rows(name)[::step]:
        if row.get("lock") is None:
            continue
        lock = parse_lock(with_the_default_index(row["lock"]), tmp_path / "pixi.lock")
        own = {"kind": "none", "manifest": row["manifest"], "why": "its own lock"}
        for edit in [own | {"verdict": row["again"]}, *row["edits"]]:
            found.all += 1
            have, why = verdict(with_the_default_index(edit["manifest"]), lock, tmp_path)
            if have != edit["verdict"]:
                kind = f"{edit['kind']}: {edit['verdict']} ({edit['why']}), we: {have}"
                found.add(
                    kind, f"seed {row['seed']}: {why}\n{edit['manifest']}\n{row['lock'][:1500]}"
                )
    assert not found.kinds, found.show()

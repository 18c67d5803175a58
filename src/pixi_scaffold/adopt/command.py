"""`adopt`: bring the scaffold to an existing project, on a branch, next to what it has."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.adopt.branch import check_repository, commit_on_branch
from pixi_scaffold.adopt.environment_file import read_environment_file
from pixi_scaffold.adopt.manifest import ProjectShape, adopted_manifest, mentions_example, portable
from pixi_scaffold.adopt.pyproject import read_pyproject
from pixi_scaffold.adopt.pytorch import asks_pytorch, with_conda_forge
from pixi_scaffold.adopt.requirements import read_requirements
from pixi_scaffold.adopt.wanted import Wanted, known, read_text
from pixi_scaffold.errors import UsageError
from pixi_scaffold.report import DOCS, Progress, Report, Run, Verdict, in_folder
from pixi_scaffold.system import (
    File,
    is_file,
    is_folder,
    layout,
    program,
    read_tree,
    temporary_folder,
)
from pixi_scaffold.template import ANSWERS_FILE, Template, open_template, render, slug
from pixi_scaffold.workspace import manifest_among, parse_manifest

BRANCH = "pixi-scaffold-adopt"
_READERS = dict.fromkeys((".yml", ".yaml"), read_environment_file) | {".toml": read_pyproject}
_EXAMPLE = ("main.py", "trainer.py", "runs.py")
_PAGES = re.compile(r"docs/.*|README\.md|LICENSE|AGENTS\.md|ruff\.toml")
"""What describes another project than this one, or its style."""
_PROGRAM = re.compile(r"(main|trainer|runs)\.py|tests/.*")
"""The template's program and its tests, which come where the project has no main.py."""
_BARE = {"example": "none"}
"""The answer for a main.py with checkpoints and nothing of an example in it."""
_RUNS_TASK = re.compile(r"pixi run (?:--?[a-z-]+ )*(?:-e \S+ )?([a-z][\w-]*)")


@dataclass(frozen=True, slots=True)
class AdoptRequest:
    """What the user typed after `adopt`."""

    folder: Path
    sources: tuple[Path, ...] = ()
    """The files that say what the project needs; none: those that are there."""
    branch: str = BRANCH
    template: str | None = None
    ref: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False


def adopt(request: AdoptRequest, progress: Progress) -> Report:
    """Bring the scaffold; return the report. Nothing is changed where it raises ScaffoldError."""
    root = request.folder.resolve()
    _check(root, request)
    run = Run(progress)
    with run.step("packages") as step:
        wanted, changed, sources = _wanted(root, request.sources)
        left_out = tuple(map(str, wanted.left_out))
        detail = f"{len(wanted.conda)} from conda and {len(wanted.pypi)} from PyPI"
        lines = [f"changed: {one}" for one in changed] + [f"left out: {one}" for one in left_out]
        named = f"{', '.join(sources)}: {detail}" if sources else "no list of packages"
        step.passed(named, tuple(lines))
    with run.step("scaffold") as step:
        brought, kept = _brought(root, request, wanted)
        lines = [f"kept as it is: {', '.join(kept)}"] if kept else []
        if platforms := _platforms(brought):
            meaning = "a machine gets the first that it satisfies, CUDA where a driver is"
            lines.append(f"PyTorch for the named platforms {', '.join(platforms)}: {meaning}")
        step.passed(f"{len(brought)} files", tuple(lines))
    by_hand = (*_unread(root, sources), *_by_hand(root, brought, kept, wanted))
    name = "" if request.dry_run else request.branch
    with run.step("branch") as step:
        if request.dry_run:
            step.skipped("a dry run: nothing was changed", f"{program()} adopt")
        else:
            before = commit_on_branch(root, name, brought, "Bring the pixi scaffold")
            step.passed(f"{name}, with one commit; back to {before}: git checkout -")
    facts = {
        "branch": name, "files": tuple(brought), "kept": tuple(kept), "changed": changed,
        "left_out": left_out, "by_hand": by_hand,
    }  # fmt: skip
    text = f"the scaffold is on the branch {name}" if name else "nothing was changed"
    verdict = Verdict(bool(name), text, tuple(f"by hand: {one}" for one in by_hand))
    then = [in_folder(root, f"{program()} {verb}") for verb in ("lock", "check")] if name else []
    return Report("adopt", run.results, facts, tuple(then), verdict=verdict)


def _check(root: Path, request: AdoptRequest) -> None:
    if not is_folder(root):
        raise UsageError(f"there is no folder {request.folder}", "name the project's folder")
    if is_file(root / ANSWERS_FILE):
        raise UsageError(
            f"{root.name} follows a template already",
            in_folder(root, f"{program()} status"),
        )
    check_repository(root, request.branch)
    for source in request.sources:
        if not is_file(source):
            raise UsageError(f"there is no file {source}", "name an environment.yml: --from FILE")


def _wanted(root: Path, given: tuple[Path, ...]) -> tuple[Wanted, tuple[str, ...], tuple[str, ...]]:
    """Return what the project asks for, what was changed of it, and the files that say so."""
    paths = given or tuple(
        root / name for name in known("files")["read"].split() if is_file(root / name)
    )
    wanted, read = Wanted(), []
    for path in paths:
        more = _READERS.get(path.suffix, read_requirements)(read_text(path), path)
        if more != Wanted(more.name):
            read.append(path.name)
        wanted = wanted.with_more(more, path.name)
    wanted, builds = portable(wanted)
    wanted, notes = with_conda_forge(wanted)
    return wanted, (*builds, *notes), tuple(read)


def _brought(
    root: Path, request: AdoptRequest, wanted: Wanted
) -> tuple[dict[str, File], dict[str, File]]:
    """Return the files to add, and those of the scaffold in whose place the project has its own."""
    name = slug(root.name) or "my-project"
    with temporary_folder() as folder, open_template(request.template, request.ref) as template:
        place = folder / name
        _render(template, place, request.data)
        rendered = read_tree(place)
    pytorch, program_file = asks_pytorch(wanted), _program(root)
    brings = pytorch and program_file != "main.py"
    left = _PAGES.pattern if brings else f"{_PAGES.pattern}|{_PROGRAM.pattern}"
    rendered = {p: f for p, f in rendered.items() if not re.fullmatch(left, p)}
    if layout.MANIFEST in rendered:
        text = rendered[layout.MANIFEST].content.decode()
        shape = ProjectShape(program_file, brings, brings or is_folder(root / "tests"), pytorch)
        manifest = adopted_manifest(text, wanted, shape)
        rendered[layout.MANIFEST] = File(manifest.encode())
    kept = [p for p in rendered if _is_taken(root, p)]
    pyproject = root / layout.PYPROJECT
    if is_file(pyproject) and manifest_among({layout.PYPROJECT: read_text(pyproject)}):
        kept.append(layout.MANIFEST)  # which would hide [tool.pixi]
    brought = {p: f for p, f in rendered.items() if p not in kept}
    return brought, {p: rendered[p] for p in kept if p in rendered}


def _render(template: Template, place: Path, data: Mapping[str, Any]) -> None:
    """Render the template with a bare program, where it has such."""
    try:
        render(template, place, {**_BARE, **data}, ask=False)
    except UsageError as error:
        if _BARE.keys() & data.keys() or not any(name in error.message for name in _BARE):
            raise
        render(template, place, data, ask=False)  # a template of its own


def _program(root: Path) -> str:
    return next((one for one in known("files")["programs"].split() if is_file(root / one)), "")


def _is_taken(root: Path, path: str) -> bool:
    """Whether the project has a file there, or a file or a link where a folder would have to be."""
    places = [root / path, *(root / path).parents[: path.count("/")]]
    folders = [p for p in places[1:] if p.is_symlink() or p.exists()]
    return os.path.lexists(places[0]) or not all(p.is_dir() and not p.is_symlink() for p in folders)


def _unread(root: Path, sources: tuple[str, ...]) -> tuple[str, ...]:
    """Return what to do about other files that say what the project needs."""
    read = "\n".join((*sources, *(read_text(root / n) for n in sources if is_file(root / n))))
    patterns = known("files")["unread"].split()
    names = sorted({path.name for pattern in patterns for path in root.glob(pattern)})
    unread = ", ".join(name for name in names if name not in read)
    return (f"{unread}: not read; put what they ask for into pixi.toml",) if unread else ()


def _by_hand(
    root: Path, brought: Mapping[str, File], kept: Mapping[str, File], wanted: Wanted
) -> tuple[str, ...]:
    """Return what is left to do by hand."""
    todo = []
    texts = {p: f.content.decode() for p, f in brought.items() if f.is_text}
    lacking = [n for n in _EXAMPLE if n not in brought and not is_file(root / n)]
    for path, text in texts.items():
        places = [] if path.startswith(".copier") else mentions_example(text, lacking)
        if places:
            lines = ", ".join(dict.fromkeys(str(line) for line, _ in places))
            names = ", ".join(dict.fromkeys(name for _, name in places))
            todo.append(f"{path}:{lines} names {names}: put your own files there")
    for package in sorted(p.parent.name for p in (root / "src").glob("*/__init__.py")):
        begin = "where main.py imports it, import sys; sys.path.insert(0, 'src') comes before"
        todo.append(f"src/{package}: {begin}, and src is in transfer_input_files")
    script = _program(root)
    if "main.py" in brought:
        training = f"the training of {script}" if script else "your training"
        todo.append(f"main.py: put {training} into its class Training, which saves and resumes")
        if "htcondor/train.sub" in brought:
            todo.append("htcondor/train.sub: add what main.py reads to transfer_input_files")
    elif layout.MANIFEST in brought:
        if not script:
            todo.append('a task that trains: train = "python FILE" under [tasks] in pixi.toml')
        todo.append("a task smoke that trains for seconds, for check --train and for CI")
        if script:
            page = f"{DOCS.removesuffix('/reference/rules')}/explanation/checkpoints.md"
            todo.append(f"{script}: save and end with 85 on SIGTERM, and resume: {page}")
        if not asks_pytorch(wanted):
            todo.append("PyTorch is in none of the lists: pixi.toml has no CUDA platform")
    todo += filter(None, (_kept(root, path, file) for path, file in kept.items()))
    tasks = set(re.findall(r"(?m)^(\w+) = ", texts.get(layout.MANIFEST, "")))
    for path, text in texts.items():
        named = dict.fromkeys(_RUNS_TASK.findall(text)) if path.startswith(".git") else ()
        if unknown := [name for name in named if name not in tasks]:
            todo.append(f"{path} runs tasks that are not there yet: {', '.join(unknown)}")
    return tuple(todo)


def _platforms(brought: Mapping[str, File]) -> list[str]:
    """Return the platforms of the manifest that is brought, where one of them has CUDA."""
    manifest = brought.get(layout.MANIFEST)
    if manifest is None:
        return []
    workspace = parse_manifest(manifest.content.decode(), Path(layout.MANIFEST))
    cuda = any(v.name == "__cuda" for p in workspace.platforms for v in p.declared)
    return [p.name for p in workspace.platforms] if cuda else []


def _kept(root: Path, path: str, file: File) -> str:
    """Return what to do about a file that the project has of its own."""
    if path == ".gitignore" and is_file(root / path):
        there = (root / path).read_text(encoding="utf-8", errors="replace").splitlines()
        lines = file.content.decode().splitlines()
        lacking = [line for line in lines if line and line[0] != "#" and line not in there]
        return f".gitignore: add {' '.join(lacking)}" if lacking else ""
    if path == layout.MANIFEST and not is_file(root / path):
        path = f"[tool.pixi] of {layout.PYPROJECT}"
    return f"{path}: yours is kept; the template's: {program()} new NAME --no-check, elsewhere"

"""The speed of `status` and `update`, measured side by side in one run:  python bench/status.py

`status` of 100 projects whose answers are all different (the first time, then with what that kept),
and `update` against `copier update` on copies of one project. Each figure is the median of
interleaved repetitions. The template is this repository's own history, tagged for the purpose.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.tool import COPIER, TOOL, interleaved, seconds
from tests.support.paths import REPOSITORY

DIFFERENT = {
    "site": ("generic", "chtc", "ospool", "lxplus"),
    "delivery": ("bootstrap", "pack", "container"),
    "cuda_version": ("12.9", "13.0"),
    "ci": ("github", "gitlab", "none"),
}


def git(folder: Path, *args: str) -> str:
    argv = ["git", "-c", "user.name=b", "-c", "user.email=b@localhost", *args]
    done = subprocess.run(argv, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def tagged(folder: Path) -> list[str]:
    """Clone this repository, tag every commit that changed the template, and return the tags."""
    git(folder.parent, "-c", "safe.directory=*", "clone", "--quiet", str(REPOSITORY), str(folder))
    commits = git(folder, "log", "--reverse", "--format=%H", "--", "template", "copier.yml").split()
    for number, commit in enumerate(commits, 1):
        git(folder, "tag", f"v0.{number}.0", commit)
    return [f"v0.{number}.0" for number in range(1, len(commits) + 1)]


def projects(folder: Path, template: Path, tags: list[str], count: int) -> list[Path]:
    """Make projects at all versions, no two with the same answers; each has its own edits."""
    from pixi_scaffold.system import write_file
    from pixi_scaffold.template import Renderer, Template

    made = []
    with Renderer(Template(str(template))) as renderer:
        for number in range(count):
            answers = {key: v[number % len(v)] for key, v in DIFFERENT.items()}
            name = {"project_name": f"project{number}", "author": f"Person {number}"}
            place = folder / f"project{number}"
            render = renderer.render(tags[number % len(tags)], {**name, **answers})
            for path, file in render.files.items():
                write_file(place, path, file)
            with (place / "main.py").open("a") as file:
                file.write(f"# mine {number}\n")
            git(place, "init", "--quiet", "-b", "main")
            git(place, "add", "--all")
            git(place, "commit", "--quiet", "-m", "start")
            made.append(place)
    return made


def lock(folders: list[Path], kind: str) -> str:
    """Give every project a lock with real packages, if there is one to be had."""
    example = REPOSITORY.parent / "shared" / "locks" / "v7-pixi-example-multi-machine.lock"
    if kind != "none" and example.is_file():
        for folder in folders:
            text = example.read_text() + f"# {folder.name}\n"  # no two are the same
            (folder / "pixi.lock").write_text(text)
        return f"each with another lock ({example.stat().st_size // 1024} KiB)"
    return "without locks"


def bench_status(folder: Path, template: Path, tags: list[str], args: argparse.Namespace) -> None:
    (folder / "lab").mkdir()
    made = projects(folder / "lab", template, tags, args.projects)
    words = lock(made, "some")

    def ours() -> float:
        return seconds_any([TOOL, "status", "lab", "--json"], folder)

    title = f"status of {args.projects} different projects, {words}"
    cold = seconds_any([TOOL, "status", "lab", "--json"], folder)
    print(f"  {title}, nothing kept: {cold:.2f} s")
    found = interleaved({title: ours}, max(args.times // 2, 1))[title]
    print(f"  {title}: {found:.2f} s (goal: under 3 s for 100)")
    few, many = (peak_memory(made[:count]) for count in (10, len(made)))
    print(f"  memory for 10 and for {len(made)} projects: {few} and {many} MB (goal: the same)")


def peak_memory(folders: list[Path]) -> int:
    """Return the most memory that `status` of some projects takes, in MB."""
    code = (
        "import pathlib, resource, sys\n"
        "from pixi_scaffold.report import Silent\n"
        "from pixi_scaffold.update import status_or_heal\n"
        "status_or_heal([pathlib.Path(p) for p in sys.argv[1:]], None, Silent())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    argv = [sys.executable, "-c", code, *map(str, folders)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return int(done.stdout)


def seconds_any(argv: list[str], cwd: Path) -> float:
    """Time a command that is right to exit with 3."""
    shell = f"{' '.join(argv)} >/dev/null; test $? -eq 3"
    return seconds(["sh", "-c", shell], cwd)


def bench_update(folder: Path, template: Path, tags: list[str], args: argparse.Namespace) -> None:
    (folder / "one").mkdir()
    (project,) = projects(folder / "one", template, tags[:1], 1)
    lock([project], "none")
    numbers = iter(range(10**6))

    def copy() -> Path:
        place = folder / f"copy{next(numbers)}"
        shutil.copytree(project, place, symlinks=True)
        return place

    found = interleaved(
        {
            "pixi-scaffold update --yes": lambda: seconds([TOOL, "update", "--yes"], copy()),
            "copier update --defaults": lambda: seconds(
                [COPIER, "update", "--defaults", "--quiet"], copy()
            ),
        },
        args.times,
    )
    ours, theirs = found.values()
    for name, value in found.items():
        print(f"  {name:<32}{value:8.2f} s")
    print(f"  ratio {ours / theirs:.2f} (goal: at most 0.60, without a new lock)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="repetitions")
    parser.add_argument("--projects", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["GIT_CONFIG_GLOBAL"] = str(folder / "gitconfig")
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # nothing of an earlier run
        (folder / "gitconfig").write_text("[user]\nname = b\nemail = b@localhost\n")
        tags = tagged(folder / "template")
        bench_status(folder, folder / "template", tags, args)
        bench_update(folder, folder / "template", tags, args)


if __name__ == "__main__":
    main()

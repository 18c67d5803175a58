"""What changed between two locks: real locks, and py-rattler's own reading of them as the judge."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from html import unescape
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from pixi_scaffold.lock import read_lock
from pixi_scaffold.lock.diff import LockState, Move, is_newer, lock_diff
from pixi_scaffold.lock.file import parse_lock
from pixi_scaffold.lock.told import COMMENT, diff_lines, markdown, shown_size
from pixi_scaffold.workspace import parse_manifest
from tests.conftest import git
from tests.support.command import scaffold
from tests.support.paths import LOCKS, REPOSITORY

needs_locks = pytest.mark.skipif(
    not LOCKS.is_dir(), reason="the real locks (../shared/locks) are not here"
)
MANIFEST = """\
[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"]
[dependencies]
app = "*"
python = "*"
"""


def entry(name: str, version: str, build: str = "0", size: int = 1000, depends: str = "") -> str:
    url = f"https://conda.anaconda.org/conda-forge/noarch/{name}-{version}-{build}.conda"
    text = f"- conda: {url}\n  sha256: {abs(hash((name, version, build))):064x}\n"
    text += f"  depends:\n  - {depends}\n" if depends else ""
    return text + f"  size: {size}\n"


def lock_of(*entries: str, platform: str = "linux-64", environment: str = "default") -> str:
    rows = "".join(f"      {e.splitlines()[0]}\n" for e in entries)
    return (
        f"version: 7\nplatforms:\n- name: {platform}\n  virtual-packages:\n  - __glibc=2.28\n"
        f"environments:\n  {environment}:\n    channels:\n"
        "    - url: https://conda.anaconda.org/conda-forge/\n    packages:\n"
        f"      {platform}:\n{rows}packages:\n{''.join(entries)}"
    )


def state(text: str) -> LockState:
    return LockState("x", parse_lock(text, Path("pixi.lock")))


@needs_locks
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("v6-ml-example", "v6-gpu-ml-library-test"),
        ("v6-gpu-ml-library-test", "v6-ml-example"),
        ("v5-lung_image", "v6-chtc-containers"),
        ("v7-pixi-example-multi-machine", "v7-cuda-combined-build"),
    ],
)
def test_the_changes_are_those_of_rattler_s_own_reading(one: str, two: str) -> None:
    """py-rattler reads both locks, and says which version is the newer one."""
    from rattler import LockFile, Version

    paths = [LOCKS / f"{name}.lock" for name in (one, two)]
    diff = lock_diff(*(LockState(p.name, read_lock(p)) for p in paths))
    files = [LockFile.from_path(p) for p in paths]
    for platform in diff.platforms:
        if platform.state:
            continue
        rows = []
        for file in files:
            row = {}
            for name, environment in file.environments():
                for p in environment.platforms():
                    if p.name != platform.name:
                        continue
                    for package in environment.packages(p):
                        binary = hasattr(package, "repo_data_record")
                        archive = package.repo_data_record().sha256 if binary else package.location
                        row[name, package.name] = (str(package.version), archive)
            rows.append(row)
        had, has = rows
        wanted = {m: set() for m in Move}
        both = {e for e, _ in had} & {e for e, _ in has}
        for environment, name in {**had, **has}:
            old, new = had.get((environment, name)), has.get((environment, name))
            if environment not in both or old == new:
                continue
            if old is None or new is None:
                wanted[Move.ADDED if old is None else Move.REMOVED].add(name)
            elif old[0] == new[0]:
                wanted[Move.REBUILT].add(name)
            else:
                wanted[Move.UP if Version(new[0]) > Version(old[0]) else Move.DOWN].add(name)
        for move in Move:
            assert {c.name for c in platform.changes if c.change is move} == wanted[move], move
    assert any(p.changes for p in diff.platforms) or one.startswith(("v5", "v7"))


@needs_locks
def test_what_is_downloaded_is_what_the_new_lock_adds() -> None:
    """The sum that YAML gives for the archives which only the new lock has."""
    paths = [LOCKS / f"{n}.lock" for n in ("v6-ml-example", "v6-gpu-ml-library-test")]
    diff = lock_diff(*(LockState(p.name, read_lock(p)) for p in paths))
    old, new = (yaml.load(p.read_text(), yaml.CSafeLoader) for p in paths)
    for platform in diff.platforms:
        sums = []
        for document in (old, new):
            urls = {
                row["conda"]
                for environment in document["environments"].values()
                for row in environment["packages"].get(platform.name, ())
            }
            packages = [p for p in document["packages"] if p.get("conda") in urls]
            sums.append({p["sha256"]: p["size"] for p in packages})
        fresh = sums[1].keys() - sums[0].keys()
        assert platform.download == sum(sums[1][one] for one in fresh)
        assert platform.unsized == 0


def test_each_kind_of_change_and_who_asked_for_it() -> None:
    workspace = parse_manifest(MANIFEST, Path("pixi.toml"))
    old = lock_of(
        entry("app", "1.9", depends="lib >=1"), entry("lib", "1.10"), entry("python", "3.12.1"),
        entry("gone", "2"), entry("same", "1"), entry("built", "1", "h0_0"),
    )  # fmt: skip
    new = lock_of(
        entry("app", "1.10", depends="lib >=1", size=5), entry("lib", "1.9", size=70),
        entry("python", "3.13.0", size=600), entry("fresh", "3", size=8000), entry("same", "1"),
        entry("built", "1", "h0_1", size=90000),
    )  # fmt: skip
    sides = [LockState(n, parse_lock(t, Path(n)), workspace) for n, t in (("a", old), ("b", new))]
    [platform] = lock_diff(*sides).platforms
    told = {c.name: (str(c.change), c.asked_by, c.download) for c in platform.changes}
    assert told == {
        "app": ("up", ("app",), 5),  # 1.10 is newer than 1.9, whatever the text says
        "lib": ("down", ("app",), 70),
        "python": ("up", ("python",), 600),
        "gone": ("removed", (), 0),
        "fresh": ("added", (), 8000),
        "built": ("rebuilt", (), 90000),
    }
    assert platform.download == 98675
    text = "\n".join(diff_lines(lock_diff(*sides)))
    assert "Python 3.12.1 -> 3.13.0" in text
    assert re.search(r"rebuilt +built +1 h0_0 -> h0_1 +90 kB", text)


def test_a_renamed_platform_is_the_same_platform() -> None:
    old, new = (lock_of(entry("app", v), platform=p) for v, p in (("1", "linux-64"), ("2", "gpu")))
    new = new.replace("- name: gpu\n", "- name: gpu\n  subdir: linux-64\n")
    [platform] = lock_diff(state(old), state(new)).platforms
    assert (platform.name, platform.state) == ("gpu", "")
    assert [str(c.change) for c in platform.changes] == ["up"]


def test_platforms_and_environments_that_come_and_go() -> None:
    one = lock_of(entry("app", "1"))
    other = lock_of(entry("app", "1"), environment="dev")
    [platform] = lock_diff(state(one), state(other)).platforms
    assert (platform.environments_added, platform.environments_removed) == (("dev",), ("default",))
    assert platform.changes == ()
    moved = lock_of(entry("app", "1"), platform="osx-arm64")
    states = {p.name: p.state for p in lock_diff(state(one), state(moved)).platforms}
    assert states == {"osx-arm64": "added", "linux-64": "removed"}
    cuda = one.replace("__glibc=2.28\n", "__glibc=2.28\n  - __cuda=13\n")
    [platform] = lock_diff(state(one), state(cuda)).platforms
    assert platform.requires == (("__glibc=2.28",), ("__cuda=13", "__glibc=2.28"))


def test_a_package_from_pypi_has_no_size() -> None:
    text = lock_of(entry("app", "1"))
    pypi = "- pypi: https://files.example.org/x-2.0-py3-none-any.whl\n  name: x\n  version: 2.0\n"
    row = "      - pypi: https://files.example.org/x-2.0-py3-none-any.whl\npackages:\n"
    new = text.replace("packages:\n- ", row + "- ") + pypi
    [platform] = lock_diff(state(text), state(new)).platforms
    [change] = platform.changes
    assert (change.kind, change.name, change.after, change.download) == ("pypi", "x", "2.0", None)
    assert (platform.download, platform.unsized) == (0, 1)
    assert "1 of unknown size to download" in next(
        iter(list(diff_lines(lock_diff(state(text), state(new))))[1:])
    )
    assert is_newer("pypi", "2.0", "2.0rc1")


def test_markdown_is_text_whatever_a_name_says() -> None:
    hostile = "a|b</details><script>alert(1)</script>@everyone`x`[l](http://e.org)#1"
    old, new = lock_of(entry("app", "1")), lock_of(entry("app", "2"))
    sides = [LockState(hostile, parse_lock(t, Path("x"))) for t in (old, new)]
    text = markdown(lock_diff(*sides))
    line = text.splitlines()[0]
    assert not re.search(r"[|<>@`\[\]]", line.removeprefix("### "))
    assert hostile in unescape(line)


def test_a_comment_is_not_longer_than_github_takes() -> None:
    entries = [[entry(f"package-{n}", v) for n in range(2000)] for v in ("1", "2")]
    text = markdown(lock_diff(*(state(lock_of(*one)) for one in entries)))
    assert len(text) <= COMMENT + 500
    assert "Too long for a comment: linux-64" in text
    assert "2000 up" in text


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A workspace with two commits of its lock."""
    git(tmp_path, "init", "--quiet", "-b", "main")
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    for version in ("1", "2"):
        (tmp_path / "pixi.lock").write_text(lock_of(entry("app", version)))
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "-m", version)
    return tmp_path


def test_the_command_compares_with_a_commit(repository: Path) -> None:
    same = scaffold("lock", "--diff", cwd=repository)
    assert (same.code, same.out.splitlines()[0]) == (0, "pixi.lock: HEAD -> now: nothing changed")
    one = scaffold("lock", "--diff", "HEAD~1", cwd=repository)
    assert re.search(r"up +app +1 -> 2 +1.0 kB", one.out)
    back = scaffold("lock", repository, "--diff", "HEAD..HEAD~1", "--json", cwd=repository.parent)
    [platform] = back.document["diff"]["platforms"]
    assert [(c["name"], c["change"]) for c in platform["changes"]] == [("app", "down")]
    github = scaffold("lock", "--diff", "HEAD~1", "--output-format", "github", cwd=repository)
    assert "| app | app | up | 1 → 2 | 1.0 kB |" in github.out
    git(repository, "rm", "--quiet", "--cached", "pixi.lock")
    git(repository, "commit", "--quiet", "-m", "none")
    first = scaffold("lock", "--diff", cwd=repository)
    assert "linux-64: new, 1 packages" in first.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--diff", "nope"], "git log --oneline -- pixi.lock"),
        (["--diff", "."], "pixi-scaffold lock . --diff"),
        (["--diff=--all"], "git knows no revision --all"),
        (["--diff", "--check"], "--diff only compares two locks"),
        (["--output-format", "github"], "--output-format belongs to --diff"),
    ],
)
def test_wrong_usage_is_told(repository: Path, args: list[str], says: str) -> None:
    ran = scaffold("lock", *args, cwd=repository)
    assert ran.code == 2
    assert says in ran.err


def test_without_git_there_is_no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "pixi.toml").write_text(MANIFEST)
    (tmp_path / "pixi.lock").write_text(lock_of(entry("app", "1")))
    ran = scaffold("lock", "--diff", cwd=tmp_path)
    assert (ran.code, "is in no git repository" in ran.err) == (1, True)


GH = """\
#!{python}
# A double of `gh api`, as its manual says: GET, or POST with --field; 30 of a list are a page.
import argparse, json, subprocess, sys
from pathlib import Path
store = Path({store!r})
comments = json.loads(store.read_text())
parser = argparse.ArgumentParser()
for argument in ("command", "endpoint", "--jq", "--method", "--field"):
    parser.add_argument(argument)
parser.add_argument("--paginate", action="store_true")
given = parser.parse_args()
assert given.command == "api"
if given.jq:
    assert given.endpoint == "repos/ada/p/issues/7/comments"
    for page in range(0, len(comments) if given.paginate else 30, 30):
        text = json.dumps(comments[page : page + 30])
        subprocess.run(["jq", "--raw-output", given.jq], input=text, text=True, check=True)
    sys.exit()
assert given.field == "body=@lock.md"
body = Path("lock.md").read_text()
if given.method == "PATCH":
    where, _, number = given.endpoint.rpartition("/")
    assert where == "repos/ada/p/issues/comments"
    [comment] = [c for c in comments if c["id"] == int(number)]
    comment["body"] = body
else:
    assert given.endpoint == "repos/ada/p/issues/7/comments"
    comments.append({{"id": len(comments) + 1, "user": {{"type": "Bot"}}, "body": body}})
store.write_text(json.dumps(comments))
"""
EVENT = {
    "action": "synchronize", "number": 7, "repository": {"full_name": "ada/p"},
    "pull_request": {"number": 7, "head": {"repo": {"fork": False, "full_name": "ada/p"}}},
}  # fmt: skip
"""Of a webhook's pull_request, as GitHub documents it: what the workflow reads of it."""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("jq") is None, reason="gh's --jq needs jq here")
@pytest.mark.skipif(shutil.which("bash") is None, reason="the steps are for bash")
def test_ci_comments_once_and_changes_its_comment(repository: Path, tmp_path: Path) -> None:
    """The steps of the generated workflow, run by bash in merges, with doubles of pipx and gh."""
    workflow = next((REPOSITORY / "template").glob("*github*/workflows/check.yml.jinja"))
    text = re.sub("{%.*?%}", "", workflow.read_text())
    job = yaml.safe_load(re.sub(r"(?<!\$){{.*?}}", "1", text))["jobs"]["lock"]
    tools, store, summary = tmp_path / "tools", tmp_path / "comments", tmp_path / "summary"
    tools.mkdir()
    pipx = f'#!/bin/sh\nshift 4\nexec {sys.executable} -m pixi_scaffold "$@"\n'
    gh = GH.format(python=sys.executable, store=str(store))
    for name, program in (("pipx", pipx), ("gh", gh)):
        (tools / name).write_text(program)
        (tools / name).chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    github = {"event": EVENT, "token": "t", "repository": "ada/p"}

    def value(expression: re.Match[str]) -> str:
        return str(
            functools.reduce(lambda part, key: part[key], expression[1].split(".")[1:], github)
        )

    def run_ci() -> list[str]:
        """Run the steps; return the bodies of the comments by Bots that there are then."""
        summary.write_text("")
        for step in job["steps"]:
            if "run" in step:
                own = {
                    k: re.sub(r"\${{ (github\S+) }}", value, v)
                    for k, v in step.get("env", {}).items()
                }
                argv = ["bash", "-e", "-c", step["run"]]  # the default shell of a Linux runner
                subprocess.run(argv, cwd=repository, env={**env, **own}, check=True)
        (repository / "lock.md").unlink()
        return [c["body"] for c in json.loads(store.read_text()) if c["user"]["type"] == "Bot"]

    person = {"user": {"type": "User"}, "body": "### pixi.lock: why?"}
    others = [person | {"id": number} for number in range(1, 41)]
    store.write_text(json.dumps(others))
    [body] = run_ci()
    assert body.startswith("### pixi.lock: ")
    assert "| app | app | up | 1 → 2 | 1.0 kB |" in body
    assert summary.read_text() == body
    (repository / "pixi.lock").write_text(lock_of(entry("app", "3"), entry("lib", "1")))
    git(repository, "commit", "--quiet", "--all", "--amend", "-m", "3")
    [body] = run_ci()
    assert "1 → 3" in body
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "the lock as it was")
    assert run_ci() == ["### pixi.lock: nothing changed\n"]
    assert summary.read_text() == ""
    assert json.loads(store.read_text())[:40] == others
    store.write_text("[]")
    assert run_ci() == []


class GitLab(BaseHTTPRequestHandler):
    """A double of GitLab's API as its manual has it: notes of a merge request, and whose token it is.

    https://docs.gitlab.com/api/notes/
    """

    NOTES = "/projects/7/merge_requests/3/notes"
    server: GitLabServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        given = dict(parse_qsl(url.query))
        if url.path == "/user":
            return self.answer({"id": 9})
        assert (url.path, given["sort"]) == (self.NOTES, "asc")
        page, size = int(given["page"]), min(int(given["per_page"]), 100)
        self.answer(self.server.notes[(page - 1) * size : page * size])

    def do_PUT(self) -> None:
        where, _, number = self.path.rpartition("/")
        [note] = [note for note in self.server.notes if str(note["id"]) == number]
        assert (where, note["author"]) == (self.NOTES, {"id": 9})
        note["body"] = self.body()
        self.answer(note)

    def do_POST(self) -> None:
        assert self.path == self.NOTES
        notes = self.server.notes
        notes.append({"id": len(notes) + 1, "author": {"id": 9}, "body": self.body()})
        self.answer(notes[-1])

    def body(self) -> str:
        return dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))[
            "body"
        ]

    def answer(self, content: object) -> None:
        self.send_response(200 if self.headers["PRIVATE-TOKEN"] == "secret" else 401)
        self.end_headers()
        self.wfile.write(json.dumps(content, separators=(",", ":")).encode())

    def log_message(self, *_: object) -> None:
        pass


class GitLabServer(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), GitLab)
        person = {"author": {"id": 1}, "body": "### pixi.lock: why?"}
        self.notes: list[dict[str, Any]] = [person | {"id": number} for number in range(1, 121)]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, which the image has")
def test_gitlab_notes_once_and_changes_its_note(repository: Path, tmp_path: Path) -> None:
    """The script of the generated job, run by bash, with doubles of pip and of GitLab."""
    text = next((REPOSITORY / "template").glob("*gitlab*")).read_text()
    [script] = yaml.safe_load(re.sub("{%.*?%}", "", re.sub("{{.*?}}", "1", text)))["lock"]["script"]
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, line in (("pip", "true"), ("pixi-scaffold", f"{sys.executable} -m pixi_scaffold")):
        (tools / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (tools / name).chmod(0o755)
    server = GitLabServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    others = list(server.notes)

    def run_ci(token: str = "secret") -> list[str]:
        env = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "TEMPLATE_TOKEN": token,
            "CI_API_V4_URL": f"http://127.0.0.1:{server.server_port}",
            "CI_PROJECT_ID": "7",
            "CI_MERGE_REQUEST_IID": "3",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": git(repository, "rev-parse", "HEAD^1").strip(),
        }
        subprocess.run(["bash", "-e", "-c", script], cwd=repository, env=env, check=True)
        return [note["body"] for note in server.notes[len(others) :]]

    try:
        assert run_ci(token="") == []
        [body] = run_ci()
        assert "| app | app | up | 1 → 2 | 1.0 kB |" in body
        (repository / "pixi.lock").write_text(lock_of(entry("app", "3"), entry("lib", "1")))
        git(repository, "commit", "--quiet", "--all", "--amend", "-m", "3")
        [body] = run_ci()
        assert "1 → 3" in body
        git(repository, "commit", "--quiet", "--allow-empty", "-m", "the lock as it was")
        assert run_ci() == ["### pixi.lock: nothing changed\n"]
        assert server.notes[: len(others)] == others
        del server.notes[len(others) :]
        assert run_ci() == []
    finally:
        server.shutdown()
        server.server_close()


def test_sizes_are_said_as_people_do() -> None:
    assert [shown_size(n) for n in (5, 8200, 34_000_000, 1_230_000_000, 12_300_000_000)] == [
        "5 B", "8.2 kB", "34 MB", "1.2 GB", "12 GB",
    ]  # fmt: skip

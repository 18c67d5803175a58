"""What a person reads when there is no lock: the cause once, the nearest name, the line to change.

The servers here are doubles of those that cannot be had: slow, lying, broken ones. So is Pixi, whose
words follow the pattern in its sources (0.77); they were not taken from a run of it.
"""

from __future__ import annotations

import http.server
import json
import os
import re
import resource
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from pixi_scaffold.errors import ChannelError, LockError
from pixi_scaffold.lock import gateway, relock, unreachable
from pixi_scaffold.lock.gateway import MOST, bounded_files
from pixi_scaffold.lock.pixi import explained
from pixi_scaffold.lock.rattler import RattlerEngine
from pixi_scaffold.report import Silent
from pixi_scaffold.workspace import Workspace, read_manifest
from tests.support.command import scaffold
from tests.support.paths import SHARED
from tests.support.server import closed, listening, serve

MANIFEST = """[workspace]
channels = ["conda-forge"]
platforms = ["linux-64", "osx-arm64"]
[dependencies]
python = "*"
"""


def workspace(folder: Path, more: str) -> Workspace:
    (folder / "pixi.toml").write_text(MANIFEST + more)
    return read_manifest(folder / "pixi.toml")


def refusal(found: Workspace) -> LockError:
    with pytest.raises(LockError) as caught:
        RattlerEngine().lock(found, found.lock_file, Silent())
    assert not found.lock_file.exists()
    return caught.value


@pytest.mark.usefixtures("conda_forge")
def test_a_misspelt_name_is_said_once_with_the_nearest(tmp_path: Path) -> None:
    error = refusal(workspace(tmp_path, 'scpy = ">=1"\n'))
    assert "no package scpy in conda-forge: scipy? (on linux-64, osx-arm64)" in error.message
    assert error.message.count("scpy") == 1
    assert error.hint == 'change line 6 of pixi.toml: scpy = ">=1"'


@pytest.mark.usefixtures("conda_forge")
def test_what_cannot_be_solved_ends_with_the_line_to_change(tmp_path: Path) -> None:
    error = refusal(workspace(tmp_path, '[constraints]\npython = "<3"\n'))
    assert error.hint == 'change line 7 of pixi.toml: python = "<3"'
    error = refusal(workspace(tmp_path, 'pytorch = ">=99"\n'))
    assert error.hint == 'change line 6 of pixi.toml: pytorch = ">=99"'
    assert error.message.count("No candidates were found for pytorch") == 1, (
        "once for both platforms"
    )


@pytest.mark.usefixtures("conda_forge")
def test_a_long_explanation_is_cut(tmp_path: Path) -> None:
    error = refusal(workspace(tmp_path, '[target.linux.dependencies]\npytorch-gpu = "*"\n'))
    assert "__cuda" in error.message
    assert len(error.message.splitlines()) < 40
    assert "more lines like these" in error.message


PIXI_MISSING = """Error:   x failed to solve requirements of environment 'default' for platform 'linux-64'
  |-> failed to solve the environment
  `-> Cannot solve the request because of: No candidates were found for scpy *.
"""
PIXI_NETWORK = """Error:   x failed to solve requirements of environment 'default' for platform 'linux-64'
  |-> a coalesced request failed
  `-> error sending request for url (https://conda.anaconda.org/conda-forge/noarch/repodata.json.zst)
"""


def test_pixi_is_explained_in_the_same_words(tmp_path: Path, offline: None) -> None:
    found = workspace(tmp_path, 'scpy = "*"\n')
    error = explained(found, "lock", PIXI_MISSING)
    assert "no package scpy in conda-forge (on linux-64)" in error.message
    assert error.hint == 'change line 6 of pixi.toml: scpy = "*"'
    assert "what Pixi said:\n  Error:" in error.message

    with pytest.raises(ChannelError) as caught:
        relock(tmp_path, "rattler", frozenset(), Silent())
    error = explained(found, "lock", PIXI_NETWORK)
    assert error.message.splitlines()[0] == caught.value.message
    assert error.hint == caught.value.hint


class _Answer(http.server.BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(get: Callable[[_Answer], None]) -> Iterator[str]:
    """Answer HEAD with 200, and GET with what `get` does."""

    class Handler(_Answer):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            get(self)

    with listening(Handler) as url:
        yield url


def test_a_server_that_answers_and_never_sends(tmp_path: Path) -> None:
    done = threading.Event()
    with serving(lambda _: (done.wait(600), None)[1]) as url:
        assert "no answer within 1 s" in (unreachable([f"{url}/"], 1.0) or "")
        done.set()


def test_a_server_that_sends_garbage(
    tmp_path: Path, mirror: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))

    def garbage(request: _Answer) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "12")
        request.end_headers()
        request.wfile.write(b"not repodata")

    with serving(garbage) as url:
        mirror(url)
        error = refusal(workspace(tmp_path, ""))
    assert "sends what is no repodata" in error.message
    assert "network" not in error.hint
    assert str(tmp_path / "cache") in error.hint


def test_repodata_without_end_is_given_up(
    tmp_path: Path, mirror: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library unpacks lies in one file, and that is not let grow; the limit is lowered here."""
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(gateway, "MOST", 2 << 20)

    def bomb(request: _Answer) -> None:
        if not request.path.endswith("/repodata.json.zst"):
            request.send_error(404)
            return
        request.send_response(200)
        request.end_headers()
        request.wfile.write(zstd.compress(b'{"packages": {}, "x": "' + b"x" * (16 << 20)))

    with serving(bomb) as url:
        mirror(url)
        error = refusal(workspace(tmp_path, ""))
    assert "it sends more than" in error.message
    assert "another channel" in error.hint
    assert sum(f.stat().st_size for f in (tmp_path / "cache").rglob("*") if f.is_file()) < 8 << 20


@pytest.mark.parametrize(("said", "is_asked"), [("", False), ("disable-sharded = false\n", True)])
def test_a_mirror_is_asked_for_shards_only_where_the_user_says_so(
    tmp_path: Path,
    user: Path,
    mirror: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    is_asked: bool,
) -> None:
    """The library unpacks their list in memory: 2 GB of it took 3.5 GB. Files are bounded."""
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))
    paths = set()

    def nothing(request: _Answer) -> None:
        paths.add(request.path.rpartition("/")[2])
        request.send_error(404)

    with serving(nothing) as url:
        mirror(url)
        with (user / "config.toml").open("a") as config:
            config.write(f"[repodata-config]\n{said}")
        refusal(workspace(tmp_path, ""))
    assert ("repodata_shards.msgpack.zst" in paths) == is_asked
    assert "repodata.json.zst" in paths


@pytest.mark.usefixtures("conda_forge")
def test_repodata_is_kept_where_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PIXI_CACHE_DIR, then RATTLER_CACHE_DIR, then the default (crates/pixi_config)."""
    home, rattler, pixi = (tmp_path / name for name in ("home", "rattler", "pixi"))
    for folder in (home, rattler, pixi):
        folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    for name, used in (("PIXI_CACHE_DIR", pixi), ("RATTLER_CACHE_DIR", rattler), (None, home)):
        monkeypatch.delenv("PIXI_CACHE_DIR", raising=False)
        if name is None:
            monkeypatch.delenv("RATTLER_CACHE_DIR", raising=False)
        else:
            monkeypatch.setenv("RATTLER_CACHE_DIR", str(rattler))
            monkeypatch.setenv(name, str(used))
        found = workspace(tmp_path, "")
        RattlerEngine().lock(found, found.lock_file, Silent())
        found.lock_file.unlink()
        with_files = {
            f.name for f in (home, rattler, pixi) if any(os.walk(f)) and any(f.rglob("*.*"))
        }
        assert used.name in with_files, name
        if name == "PIXI_CACHE_DIR":
            assert with_files == {"pixi"}


def test_a_projects_own_configuration_has_the_last_word(
    tmp_path: Path, mirror: Callable[[str], None], slice_url: str
) -> None:
    """PROJECT/.pixi/config.toml goes before the user's (docs of Pixi, configuration)."""
    mirror(closed())
    workspace(tmp_path, "")
    (tmp_path / ".pixi").mkdir()
    (tmp_path / ".pixi" / "config.toml").write_text(
        f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{slice_url}"]\n'
    )
    assert relock(tmp_path, "rattler", frozenset(), Silent()).exit_code == 0
    assert (tmp_path / "pixi.lock").is_file()


@pytest.mark.usefixtures("mirror")
def test_another_mirror_has_a_cache_of_its_own(
    tmp_path: Path,
    mirror: Callable[[str], None],
    slice_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 304 from a mirror is no word about what another mirror once sent."""
    monkeypatch.setenv("PIXI_CACHE_DIR", str(tmp_path / "cache"))
    mirror(slice_url)
    found = workspace(tmp_path, "")
    RattlerEngine().lock(found, found.lock_file, Silent())
    found.lock_file.unlink()

    def unchanged(request: _Answer) -> None:
        is_asked = "If-Modified-Since" in request.headers or "If-None-Match" in request.headers
        request.send_response(304 if is_asked else 404)
        request.end_headers()

    with serving(unchanged) as url:
        mirror(url)
        refusal(found)


CASES = SHARED / "cases" / "lock"


def case(name: str, folder: Path) -> Path:
    """A copy of one of the small cases that Pixi's verdict is known of."""
    if not CASES.is_dir():
        pytest.skip("the small cases (../shared/cases/lock) are not here")
    shutil.copytree(CASES / name, folder / name)
    return folder / name


CHECK, READ = "lock --check", "check --only manifest"


@pytest.mark.parametrize(
    ("name", "command", "code", "said"),
    [
        ("dead-selector", READ, 0, "target linux-64-cdua matches none of the platforms"),
        ("feature-names-extra-subdir", CHECK, 0, "current"),
        ("host-dependencies", CHECK, 0, "current"),
        ("migrated-cuda-platform-v6", CHECK, 0, "has format 6: Pixi rewrites it"),
        ("no-platforms", CHECK, 0, "current"),
        ("pypi-but-conda-part-stale", CHECK, 3, "asks for gone, which is not locked"),
        ("record-from-another-host", CHECK, 0, "from another host than the channels"),
        ("solve-group-channels-of-pixi", CHECK, 0, "current"),
        ("solve-group-two-versions", CHECK, 3, "alpha differs inside solve group g"),
        ("spec-bare-version", "lock --engine rattler", 0, "did you mean 3.12.*?"),
        ("spec-equals-star", READ, 3, "dependencies.alpha: .* is incompatible with '=='"),
        ("sysreq-cuda-v6", CHECK, 0, "current"),
        ("task-depends-underscore", CHECK, 0, "current"),
        ("train-skipped-is-success", "check --train", 3, "do not say what they provide of PyPI"),
    ],
)
def test_the_cases_that_pixi_was_asked_about(
    tmp_path: Path, mirror: Callable[[str], None], name: str, command: str, code: int, said: str
) -> None:
    """What each EXPECT.md there says; a channel with python 3.12 stands in for conda-forge."""
    folder = case(name, tmp_path)
    for subdir, versions in (("linux-64", ("3.12", "3.12.7")), ("noarch", ())):
        packages = {
            f"python-{v}-0.conda": {
                "name": "python", "version": v, "build": "0", "build_number": 0,
                "depends": [], "sha256": "0" * 64, "size": 1,
            }
            for v in versions
        }  # fmt: skip
        (tmp_path / "channel" / subdir).mkdir(parents=True)
        repodata = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages}
        (tmp_path / "channel" / subdir / "repodata.json").write_text(json.dumps(repodata))
    with serve(tmp_path / "channel") as url:
        mirror(url)
        ran = scaffold(*command.split(), "--json", cwd=folder)
    assert (ran.code, name) == (code, name)
    words = [f"{r['detail']} {' '.join(r['lines'])}" for r in ran.document["results"]]
    assert re.search(said, " ".join(words)), words
    assert not any(command == following for following in ran.document.get("next", ()))
    if name == "spec-bare-version":
        assert "/python-3.12-" in (folder / "pixi.lock").read_text()


def test_every_case_is_asked_about() -> None:
    if not CASES.is_dir():
        pytest.skip("the small cases (../shared/cases/lock) are not here")
    [asked] = [
        mark.args[1]
        for mark in test_the_cases_that_pixi_was_asked_about.pytestmark  # type: ignore[attr-defined]
    ]
    assert sorted(row[0] for row in asked) == sorted(p.name for p in CASES.iterdir())


def test_a_training_that_did_not_happen_is_no_pass(tmp_path: Path) -> None:
    """No platform of the workspace is this machine: everything is skipped, nothing failed."""
    (tmp_path / "pixi.toml").write_text(
        '[workspace]\nchannels = ["conda-forge"]\nplatforms = ["zos-z"]\n'
    )
    (tmp_path / "pixi.lock").write_text(
        "version: 7\nplatforms:\n- name: zos-z\nenvironments:\n  default:\n    channels:\n"
        "    - url: https://conda.anaconda.org/conda-forge/\n    packages: {}\npackages: []\n"
    )
    ran = scaffold("check", "--train", "--json", cwd=tmp_path)
    status = {r["name"]: r["status"] for r in ran.document["results"]}
    assert status["lock"] == "passed"
    assert status["train"] == "skipped"
    assert ran.code == 3
    assert not any("check --train" in command for command in ran.document["next"])


def test_two_locks_at_once_leave_no_limit_of_files_behind() -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    one, other = bounded_files(), bounded_files()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(one)
        second.enter_context(other)
        first.close()  # the second is still at it
        assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == MOST
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_a_stand_in_channel_that_gives_no_package_is_a_failure(tmp_path: Path) -> None:
    """An environment that asks for nothing is solved all the same, and makes no lock of it."""
    channel = tmp_path / "channel"
    for subdir in ("noarch", "linux-64"):
        (channel / subdir).mkdir(parents=True)
        empty = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}}
        (channel / subdir / "repodata.json").write_text(json.dumps(empty))
    (tmp_path / "pixi.toml").write_text(
        '[workspace]\nname = "w"\nchannels = ["conda-forge"]\nplatforms = ["linux-64"]\n'
        '[dependencies]\npytorhc = "*"\n'
        "[environments]\nbare = { features = [], no-default-feature = true }\n"
    )
    workspace = read_manifest(tmp_path / "pixi.toml")
    with pytest.raises(LockError, match="no package pytorhc in the stand-in channel"):
        RattlerEngine().lock(
            workspace, tmp_path / "pixi.lock", Silent(), channels=[channel.as_uri()]
        )
    assert not (tmp_path / "pixi.lock").exists()

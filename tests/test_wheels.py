"""Choosing and fetching the starter channel's wheels, on indexes of small wheels on loopback.

The judge is pip: it asks these indexes as it asks every other.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.report import Silent
from pixi_scaffold.starter import build_channel, channel, wheels
from pixi_scaffold.starter.package import Entry, write_package
from pixi_scaffold.starter.wheel import dependencies, unknown_extras
from pixi_scaffold.starter.wheels import (
    PLATFORMS,
    PYTHONS,
    check_python,
    choose,
    fetch,
    missing,
    pins,
)
from tests.support.index import Index, index, make_wheel
from tests.support.server import closed, swallow


def interpreter_stand_in(folder: Path, subdir: str) -> Path:
    """A package of the right name: packing the real one takes seconds that no test here is about."""
    index = {"name": "python", "version": "3", "build": "0", "build_number": 0, "depends": []}
    return write_package(folder, {**index, "subdir": subdir}, [Entry("bin/python", b"")])


PINS = ("torch==2.13.0", "base-lib==1.0")
linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is one build only")


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stand-ins for PyTorch's default build, its libraries and one other; a cache of our own."""
    for module in (channel, wheels):
        monkeypatch.setattr(module, "pins", lambda: PINS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setattr(wheels, "CPU_INDEX", closed())
    monkeypatch.setattr(channel, "pack_interpreter", interpreter_stand_in)
    folder = tmp_path / "wheels"
    nested = ["deep; extra == 'nvcc'", "cuda-toolkit[cublas]; extra == 'all'", "x; extra == 'x'"]
    return [
        make_wheel(folder, "torch", "2.13.0", ["cuda-toolkit[all]==13.0.3", "base-lib"]),
        make_wheel(folder, "cuda-toolkit", "13.0.3", [*nested, "blas-lib==1.*; extra == 'cublas'"]),
        make_wheel(folder, "blas-lib", "1.2"),
        make_wheel(folder, "base-lib", "1.0"),
    ]


class Agrees(Silent):
    """Keeps what was told and asked, and answers."""

    def __init__(self, answer: bool = True) -> None:
        self.answer, self.told = answer, ""

    def note(self, text: str) -> None:
        self.told += text + "\n"

    def agree(self, question: str) -> bool:
        self.told += question
        return self.answer


def point_pip_at(running: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", running.url)


@pytest.mark.slow
@linux
def test_without_pytorchs_index_the_default_build_is_taken_and_told(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = Agrees()
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        starter = build_channel(user)
    assert "PyTorch's index cannot be reached" in user.told
    assert "GB to download" in user.told
    assert user.told.endswith("Go on?")
    records = json.loads((starter.folder / starter.subdir / "repodata.json").read_text())
    depends = {r["name"]: r["depends"] for r in records["packages.conda"].values()}
    assert set(depends) == {"python", "pytorch", "cuda-toolkit", "blas-lib", "base-lib"}
    assert depends["pytorch"][1:] == [
        "cuda-toolkit ==13.0.3", "cuda-toolkit", "blas-lib 1.*", "base-lib",
    ]  # fmt: skip
    assert depends["cuda-toolkit"][1:] == []
    assert [p.name for p in starter.folder.parent.iterdir() if p.is_dir()] == [starter.folder.name]


@linux
def test_an_index_that_swallows_packets_gets_one_question(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(wheels, "CPU_INDEX_SECONDS", 3.0)
    with index(small) as running, swallow() as silent:
        point_pip_at(running, monkeypatch)
        monkeypatch.setattr(wheels, "CPU_INDEX", silent)
        selection = choose(tmp_path, Silent())
    assert selection.no_cpu_build == "PyTorch's index does not answer within 3 s"
    assert {w.name for w in selection.wheels} == {"torch", "cuda-toolkit", "blas-lib", "base-lib"}


@linux
def test_a_constraint_of_pip_does_not_hide_that_there_is_no_cpu_build(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As machines of a lab have one in pip's configuration; pip then speaks of a conflict."""
    (tmp_path / "constraints.txt").write_text("torch<=2.14.1\n")
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "constraints.txt"))
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        selection = choose(tmp_path, Silent())
    assert selection.no_cpu_build == "PyTorch's index cannot be reached"
    assert {w.name for w in selection.wheels} == {"torch", "cuda-toolkit", "blas-lib", "base-lib"}


@pytest.mark.slow
@linux
def test_pytorchs_index_is_asked_for_pytorch_alone(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpu = make_wheel(tmp_path / "cpu", "torch", "2.13.0+cpu", ["base-lib"])
    with index(small) as running, index([cpu]) as pytorch:
        point_pip_at(running, monkeypatch)
        monkeypatch.setattr(wheels, "CPU_INDEX", pytorch.url)
        user = Agrees(answer=False)
        starter = build_channel(user)
    assert pytorch.projects() == ["torch"]
    assert user.told == ""
    records = json.loads((starter.folder / starter.subdir / "repodata.json").read_text())
    versions = {r["name"]: r["version"] for r in records["packages.conda"].values()}
    assert versions["pytorch"] == "2.13.0+cpu"
    assert set(versions) == {"python", "pytorch", "base-lib"}


@linux
def test_an_index_of_the_users_with_the_cpu_build_is_enough(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpu = make_wheel(tmp_path / "cpu", "torch", "2.13.0+cpu", ["base-lib"])
    with index([*small, cpu]) as running, index([]) as pytorch:
        point_pip_at(running, monkeypatch)
        monkeypatch.setattr(wheels, "CPU_INDEX", pytorch.url)
        selection = choose(tmp_path, Silent())
    assert pytorch.asked == []
    assert {w.version for w in selection.wheels} == {"2.13.0+cpu", "1.0"}


@linux
def test_who_does_not_want_gigabytes_gets_none(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        with pytest.raises(Skipped, match="not to be downloaded"):
            build_channel(Agrees(answer=False))
    assert not list((tmp_path / "cache").rglob("*.whl"))


@linux
def test_too_small_a_disk_is_told_before_the_download(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    user = Agrees()
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        with pytest.raises(ScaffoldError, match="nothing was downloaded") as caught:
            build_channel(user)
    assert "XDG_CACHE_HOME" in caught.value.hint
    assert "Go on?" not in user.told
    assert not list((tmp_path / "cache").rglob("*.whl"))


BUILD = """
import sys
from pixi_scaffold.report import Silent
from pixi_scaffold.starter import build_channel, channel, wheels
channel.pins = wheels.pins = lambda: {pins!r}
wheels.CPU_INDEX = {cpu!r}
build_channel(Silent())
"""


@pytest.mark.slow
@linux
def test_a_build_that_was_killed_goes_on(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = tmp_path / "cache" / "pixi-scaffold"
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        running.stuck = "torch-"  # its file does not come to its end
        program = BUILD.format(pins=PINS, cpu=closed())
        build = subprocess.Popen([sys.executable, "-c", program], start_new_session=True)
        end = time.monotonic() + 600
        while len(list((cache / "wheels").glob("[!.]*/*.whl"))) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        os.killpg(build.pid, signal.SIGKILL)
        build.wait()
        [work] = [p for p in (cache / "channels").iterdir() if p.is_dir()]
        assert (work / "wheels.json").is_file()
        running.stuck = ""
        running.asked.clear()
        starter = build_channel(Silent())
    assert running.projects() == []  # chosen before
    assert {path.rpartition("/")[2].partition("-")[0] for path in running.asked} == {"torch"}
    assert starter.packages == 5


@pytest.mark.slow
@linux
def test_wheels_are_kept_for_the_next_channel(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        one = build_channel(Silent())
        shutil.rmtree(one.folder)
        build_channel(Silent())
        selection = choose(tmp_path, Silent())
    assert missing(selection, tmp_path / "cache" / "pixi-scaffold" / "wheels") == []


@pytest.mark.slow
@linux
def test_a_kept_wheel_that_is_damaged_is_fetched_again(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        one = build_channel(Silent())
        shutil.rmtree(one.folder)
        [kept] = (tmp_path / "cache").rglob("blas_lib*.whl")
        kept.write_bytes(kept.read_bytes()[:-30])
        with pytest.raises(ScaffoldError, match="is not a wheel"):
            build_channel(Silent())
        assert build_channel(Silent()) == one


@pytest.mark.slow
@pytest.mark.parametrize("fine", [True, False])
def test_a_wheel_whose_digest_is_not_the_indexs_is_not_used(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fine: bool
) -> None:
    """The index says one digest, the file that it links to has another: pip's own refusal."""
    with index(small) as running:
        point_pip_at(running, monkeypatch)
        if not fine:
            running.digests["base_lib-1.0-py3-none-any.whl"] = "0" * 64
        selection = choose(tmp_path, Silent())
        if fine:
            names = {path.name.partition("-")[0] for path in fetch(selection, tmp_path, Silent())}
            assert names == {"torch", "cuda_toolkit", "blas_lib", "base_lib"}
        else:
            with pytest.raises(ScaffoldError, match="(?i)hash"):
                list(fetch(selection, tmp_path, Silent()))
            assert not list(tmp_path.glob("????????????????/base_lib*.whl"))


def test_no_index_at_all_is_an_error_with_pips_words(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ScaffoldError, match="choosing the wheels") as caught:
        choose(tmp_path, Silent())
    assert "pip config" in caught.value.hint
    assert "No matching distribution found for" in caught.value.message
    assert "[notice]" not in caught.value.message


def test_a_build_that_fails_leaves_no_channel(
    small: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ScaffoldError, match="choosing the wheels"):
        build_channel(Silent())
    channels = tmp_path / "cache" / "pixi-scaffold" / "channels"
    assert not [p for p in channels.iterdir() if not p.name.startswith(".building-")]


def test_every_pin_is_exact() -> None:
    assert all("==" in pin and "*" not in pin for pin in pins())
    assert pins()[0].startswith("torch==")
    assert len({pin.partition("==")[0] for pin in pins()}) == len(pins())


def test_extras_are_followed_with_their_markers() -> None:
    others = {
        "tool": [
            "a==1; extra == 'one' and python_version > '3'",
            "gone; extra == 'one' and python_version < '3'",
            "tool[two]; extra == 'all'",
            "Deep_Lib[z]>=2; extra == 'two'",
            "plain",
        ],
        "deep-lib": ["bottom; extra == 'z'", "tool[all]; extra == 'z'"],
    }
    requires = ["tool[all,one]==3", "other; extra == 'mine'"]
    assert dependencies(requires, others) == [
        "tool ==3", "tool", "deep-lib >=2", "bottom", "a ==1",
    ]  # fmt: skip
    assert unknown_extras(requires, {}) == {"tool"}
    assert unknown_extras(requires, {"tool": others["tool"]}) == {"deep-lib"}
    assert unknown_extras(requires, others) == set()


CONVERT = """
import resource, sys
from pathlib import Path
from pixi_scaffold.starter.wheel import convert
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert(Path(sys.argv[1]), Path(sys.argv[2]), "linux-64")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.slow
@pytest.mark.parametrize("record", [True, False])
def test_a_large_wheel_is_converted_without_holding_it(tmp_path: Path, record: bool) -> None:
    """A file of 400 MB (of zeros, so the wheel is small), with and without its digest in RECORD."""
    wheel = make_wheel(tmp_path, "big", "1.0", files={"big.py": ""})
    with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("big.so", "w", force_zip64=True) as file:
            for _ in range(400):
                file.write(bytes(1 << 20))
        info = archive.getinfo("big-1.0.dist-info/RECORD")
        text = archive.read(info).decode()
        archive.filelist.remove(info)
        del archive.NameToInfo[info.filename]
        digest = "sha256=B4rsFTWHc8TcG5mYb3M3FNRhwMOiRrT8hmzAbnBLmh0" if record else ""
        archive.writestr(info.filename, f"{text}big.so,{digest},\n")
    done = subprocess.run(
        [sys.executable, "-c", CONVERT, wheel, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 120  # MB


def test_a_python_without_wheels_is_told_those_that_have_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from packaging.tags import Tag

    from pixi_scaffold.starter import wheels as module

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check_python()
    for tag in (
        Tag("cp316", "cp316", PLATFORMS[0]),  # too new
        Tag("cp314", "cp314t", PLATFORMS[0]),  # free-threaded
        Tag("cp313", "cp313", "musllinux_1_2_x86_64"),
        Tag("cp313", "cp313", "macosx_15_0_x86_64"),
    ):
        monkeypatch.setattr(module, "sys_tags", lambda tag=tag: iter([tag]))
        with pytest.raises(ScaffoldError, match=f"{PYTHONS[0]} to {PYTHONS[-1]}"):
            build_channel(Silent())
    assert not list(tmp_path.rglob("*.whl"))

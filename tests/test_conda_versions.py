"""Versions and specifiers that are told without the library: it is the judge, of all that it is asked."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from rattler import Version, VersionSpec

from pixi_scaffold.lock.layout import Package
from pixi_scaffold.lock.matching import Matcher
from pixi_scaffold.workspace import lies_in
from tests.support.paths import LOCKS, SLICE

SIGNS = (">=", "<=", ">", "<", "==", "!=", "")


def of_the_library(version: str, wanted: str) -> bool:
    return bool(VersionSpec(wanted).matches(Version(version)))


def random_version(chosen: random.Random) -> str:
    parts = [str(chosen.choice((0, 0, 1, 2, 3, 10, 12, 2024))) for _ in range(chosen.randint(1, 4))]
    if chosen.random() < 0.4:
        parts[-1] += chosen.choice(("a0", "a", "b2", "rc1", "w", "a0b", "post", "dev3"))
    if chosen.random() < 0.2:
        parts.append(chosen.choice(("a0", "rc2", "b", "x1y2", "post0", "dev1", "dev", "devx")))
    return ".".join(parts)


def test_versions_of_any_usual_form_are_compared_as_by_the_library() -> None:
    chosen = random.Random(7)
    answered = 0
    for _ in range(6000):
        clauses = [
            chosen.choice(("", "", "!=")) + random_version(chosen) + ".*" if chosen.random() < 0.3
            else chosen.choice(SIGNS) + random_version(chosen)
            for _ in range(chosen.randint(1, 2))
        ]  # fmt: skip
        version, wanted = random_version(chosen), ",".join(clauses)
        answer = lies_in(version, wanted)
        if answer is not None:
            answered += 1
            assert answer == of_the_library(version, wanted), (version, wanted)
    assert answered > 4000


@pytest.mark.slow
@pytest.mark.skipif(not SLICE.is_dir(), reason="needs the extract of conda-forge in ../shared")
def test_what_conda_forge_asks_for_is_told_as_by_the_library() -> None:
    document = json.loads((SLICE / "linux-64" / "repodata.json").read_text())
    records = document["packages.conda"].values()
    versions = sorted({record["version"] for record in records})
    texts = {text for record in records for text in record["depends"]}
    specs = sorted({text.split()[1] for text in texts if " " in text})
    chosen = random.Random(7)
    answered = 0
    for wanted in chosen.sample(specs, 1200):
        near = [v for v in versions if v[:2] == wanted.lstrip("<>=!")[:2]] or versions
        for version in (*chosen.sample(versions, 2), *chosen.choices(near, k=4)):
            answer = lies_in(version, wanted)
            if answer is not None:
                answered += 1
                assert answer == of_the_library(version, wanted), (version, wanted)
    assert answered > 5000


@pytest.mark.parametrize(
    ("version", "wanted"),
    [("1!2.0", ">=1"), ("2.0+cpu", ">=1"), ("1.0_1", ">=1"), ("1.0", "~=1.0"),
     ("1.0", ">=1|<0.5"), ("1.0", "=1.0"), ("1.0", "")],
)  # fmt: skip
def test_the_library_is_asked_about_anything_else(version: str, wanted: str) -> None:
    assert lies_in(version, wanted) is None


@pytest.mark.skipif(not LOCKS.is_dir(), reason="needs the locks in ../shared")
def test_an_ordinary_lock_is_compared_without_the_library() -> None:
    """Loading it takes a fifth of `lock --check`."""
    lock = LOCKS / "v7-pixi-example-multi-machine.lock"
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from pixi_scaffold.lock import read_lock\nfrom pixi_scaffold.lock.matching import Matcher\n"
        "from pixi_scaffold.workspace import Platform, Requirement\n"
        f"lock = read_lock(Path({str(lock)!r}))\n"
        "for name, environment in lock.environments.items():\n"
        "    for row, packages in environment.rows.items():\n"
        "        here = [lock.layout.package(u) for kind, u in packages if kind == 'conda']\n"
        "        asked = [Requirement(p.name) for p in here]\n"
        "        [platform] = [p for p in lock.layout.platforms if p.name == row]\n"
        "        Matcher().walk(Platform(row, platform.subdir), here, asked, ())\n"
        "print('rattler' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(
    "text",
    ["x", "x *", "x 1.0.*", "x 1.0 py312h1_0", "x 1.0 py312*", "x 1.0 *_0", "x * *h1*", "x 2 *_0",
     "x 1.0 PY312h1_0", "x 1.0 py312h1.0", "x >=1,<2 *", 'x[version=">=1"]', 'x[version="1.0.*"]',
     'x[version="==1.0", build="py312*"]', 'x[build="*_1"]', 'x[build="*_0"]'],
)  # fmt: skip
def test_names_and_builds_are_matched_as_by_the_library(text: str) -> None:
    url = "https://conda.anaconda.org/conda-forge/linux-64/x-1.0-py312h1_0.conda"
    package = Package(url, "x", "1.0", "py312h1_0", 0, (), (), {}, {})
    matcher = Matcher()
    answer = matcher.meets(package, text)
    assert not matcher.specs, "the library was asked"
    assert answer == matcher.record(package).matches(matcher.spec(text))

"""Time `lock` and `lock --check`, beside Pixi where it is on PATH: whole commands, in one run.

Seconds on the clock, and of processors (cpu), which other work on the machine changes little.

lock: three platforms, on the extract of conda-forge in ../shared, with empty caches each time.
lock --check: that lock, and made-up ones of 10 MB and 57 MB, of which the memory is said, too.
Another state of the sources to compare with: --against FOLDER (a checkout of it).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.support.paths import SLICE  # noqa: E402
from tests.support.server import serve  # noqa: E402

MANIFEST = """[workspace]
name = "bench"
channels = ["conda-forge"]
platforms = [
  { name = "gpu", platform = "linux-64", cuda = "12.0" },
  { name = "cpu", platform = "linux-64" },
  "osx-arm64",
]
[dependencies]
python = ">=3.11"
pytorch = "*"
tqdm = "*"
[target.gpu.dependencies]
cuda-version = "12.9.*"
"""


def run(argv: Sequence[str], cwd: Path, env: dict[str, str]) -> tuple[float, int, float]:
    """Return seconds, peak memory in MB and CPU seconds of one command; exits when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(argv)} failed: {process.stderr.read() if process.stderr else ''}")
    return seconds, usage.ru_maxrss // 1024, usage.ru_utime + usage.ru_stime


def large(folder: Path, environments: int, packages: int) -> None:
    """Write a made-up workspace with a lock of many environments, each current."""
    subdirs = ("linux-64", "osx-arm64", "win-64")
    head = ["version: 7", "platforms:", *(f"- name: {s}" for s in subdirs), "environments:"]
    manifest = ["[workspace]", 'channels = ["conda-forge"]', f"platforms = {list(subdirs)}"]
    manifest += ["[environments]"]
    blocks = []
    names = ["default", *(f"e{n:03}" for n in range(1, environments))]
    for number, name in enumerate(names):
        manifest.append(f'{name} = {{ features = ["f{number}"], no-default-feature = true }}')
        head += [f"  {name}:", "    channels:"]
        head += ["    - url: https://conda.anaconda.org/conda-forge/", "    packages:"]
        for subdir in subdirs:
            head.append(f"      {subdir}:")
            for i in range(packages):
                digest = hashlib.sha256(f"{subdir}{number}{i}".encode()).hexdigest()
                url = f"https://conda.anaconda.org/conda-forge/{subdir}/pkg-{i}-1.{number}-h{digest[:7]}_0.conda"
                head.append(f"      - conda: {url}")
                needs = dict.fromkeys(j for j in (i + 1, i + 2, 2 * i + 1) if i < j < packages)
                depends = [f"  - pkg-{j} >=1.{number},<2.0a0" for j in needs]
                blocks += [f"- conda: {url}", f"  sha256: {digest}", f"  md5: {digest[:32]}"]
                blocks += ["  depends:", *depends] if depends else []
                blocks += ["  license: MIT", "  license_family: MIT", "  purls: []"]
                blocks += ["  size: 12345", "  timestamp: 1700000000000"]
    for number in range(environments):
        manifest += [f"[feature.f{number}.dependencies]", 'pkg-0 = "*"']
    folder.mkdir()
    (folder / "pixi.toml").write_text("\n".join(manifest) + "\n")
    (folder / "pixi.lock").write_text("\n".join([*head, "packages:", *blocks]) + "\n")


def commands(against: Path | None) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return what is compared: how each starts, and what its environment needs."""
    found = {
        "this": ([sys.executable, "-m", "pixi_scaffold"], {"PYTHONPATH": str(REPOSITORY / "src")})
    }
    if against:
        found["other"] = (found["this"][0], {"PYTHONPATH": str(against / "src")})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tools = commands(options.against)
    pixi = shutil.which("pixi")
    with serve(SLICE) as url, tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        (root / "home").mkdir()
        mirrors = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{url}"]\n'
        (root / "home" / "config.toml").write_text(mirrors)
        work = root / "work"
        work.mkdir()
        (work / "pixi.toml").write_text(MANIFEST)
        base = os.environ | {"PIXI_HOME": str(root / "home"), "NO_COLOR": "1"}
        large(root / "10MB", 24, 300)
        large(root / "57MB", 130, 300)

        def fresh(env: dict[str, str]) -> dict[str, str]:
            cache = tempfile.mkdtemp(dir=root)
            return (
                base
                | env
                | {"PIXI_CACHE_DIR": cache, "RATTLER_CACHE_DIR": cache, "XDG_CACHE_HOME": cache}
            )

        rows: dict[str, dict[str, list[tuple[float, int, float]]]] = {}
        for turn in range(options.rounds):
            for name, (argv, env) in tools.items():
                lock = work / "pixi.lock"
                lock.unlink(missing_ok=True)
                took = run([*argv, "lock", "--engine", "rattler"], work, fresh(env))
                rows.setdefault("lock, cold", {}).setdefault(name, []).append(took)
                took = run([*argv, "lock", "--check"], work, base | env)
                rows.setdefault("lock --check", {}).setdefault(name, []).append(took)
                for size in ("10MB", "57MB") if turn < 2 else ():
                    took = run([*argv, "lock", "--check"], root / size, base | env)
                    rows.setdefault(f"lock --check, {size}", {}).setdefault(name, []).append(took)
            if pixi:
                (work / "pixi.lock").unlink()
                took = run([pixi, "lock", "--no-progress"], work, fresh({}))
                rows["lock, cold"].setdefault("pixi", []).append(took)
                took = run([pixi, "lock", "--check", "--dry-run"], work, base)
                rows["lock --check"].setdefault("pixi", []).append(took)
    for what, by_name in rows.items():
        first = min(by_name["this"])[0]
        for name, times in by_name.items():
            seconds, memories, cpus = zip(*times, strict=True)
            best, memory, cpu = min(seconds), max(memories), min(cpus)
            print(
                f"{what:24} {name:6} {best:6.2f} s  {best / first:5.2f} of this  {memory:5} MB"
                f"  {cpu:6.2f} s cpu"
            )


if __name__ == "__main__":
    main()

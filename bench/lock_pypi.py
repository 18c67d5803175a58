"""Time `lock` of ten packages from PyPI on three platforms, beside three runs of `uv pip compile`.

Whole commands, by turns, in one run: with caches that were filled once, and with empty ones
(--cold). The package index must answer; the conda channel is a made-up one with python alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uv

PACKAGES = (
    "einops", "requests", "rich", "httpx", "pandas", "scipy", "tqdm", "jinja2", "pyyaml", "attrs",
)  # fmt: skip
PLATFORMS = {
    "linux-64": "x86_64-manylinux_2_28",
    "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc",
}


def prepare(folder: Path) -> None:
    """Write a channel with python, a workspace and a requirements file."""
    record = {
        "name": "python", "version": "3.12.7", "build": "0", "build_number": 0, "depends": [],
        "sha256": "a" * 64, "md5": "a" * 32, "size": 1,
    }  # fmt: skip
    for subdir in (*PLATFORMS, "noarch"):
        files = (
            {"python-3.12.7-0.conda": record | {"subdir": subdir}} if subdir in PLATFORMS else {}
        )
        where = folder / "channel" / subdir
        where.mkdir(parents=True)
        (where / "repodata.json").write_text(json.dumps({"packages.conda": files}))
    (folder / "pixi.toml").write_text(
        f'[workspace]\nname = "b"\nchannels = ["{(folder / "channel").as_uri()}"]\n'
        f'platforms = {json.dumps(list(PLATFORMS))}\n[dependencies]\npython = "3.12.*"\n'
        + "[pypi-dependencies]\n"
        + "".join(f'{name} = "*"\n' for name in PACKAGES)
    )
    (folder / "requirements.in").write_text("\n".join(PACKAGES) + "\n")


def ours(folder: Path, env: dict[str, str]) -> None:
    (folder / "pixi.lock").unlink(missing_ok=True)
    command = [sys.executable, "-m", "pixi_scaffold", "lock", "--engine", "rattler", str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=env)


def uv_three_times(folder: Path, env: dict[str, str]) -> None:
    for platform in PLATFORMS.values():
        command = [
            uv.find_uv_bin(), "pip", "compile", "requirements.in", "--python-version", "3.12.7",
            "--python-platform", platform, "--only-binary", ":all:", "--format", "pylock.toml",
            "--python", sys.executable, "--quiet", "-o", f"pylock.{platform.split('-')[-1]}.toml",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=folder, env=env)
    for written in folder.glob("pylock.*"):
        written.unlink()


def seconds(
    run: Callable[[Path, dict[str, str]], None], folder: Path, env: dict[str, str]
) -> float:
    start = time.perf_counter()
    run(folder, env)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="empty caches for every command")
    parser.add_argument("--times", type=int, default=7)
    args = parser.parse_args()
    taken: dict[str, list[float]] = {"lock": [], "uv, three times": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for turn in range(args.times + 1):
            for label, run in (("lock", ours), ("uv, three times", uv_three_times)):
                cache = folder / "cache" / (f"{turn}-{label}" if args.cold else label)
                env = {
                    **os.environ,
                    "UV_CACHE_DIR": str(cache / "uv"),
                    "XDG_CACHE_HOME": str(cache),
                }
                took = seconds(run, folder, env)
                if turn:  # the first one fills the caches
                    taken[label].append(took)
    for label, values in taken.items():
        print(f"{label}: median {statistics.median(values):.2f} s, best {min(values):.2f} s")
    caches = "empty" if args.cold else "warm"
    for what, of in (("the medians", statistics.median), ("the best", min)):
        one, other = (of(values) for values in taken.values())
        print(f"lock takes {one / other:.2f} times as long by {what} ({caches} caches)")


if __name__ == "__main__":
    main()

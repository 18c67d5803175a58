"""Run a command as on a machine whose pip knows one index, and that without PyTorch's CPU build:

    python -m tests.support.bare_machine make new NAME=folder/myproject

Nothing else can be reached, HOME is empty. The index forwards to the one of this machine's pip. In
place of PyTorch's CUDA build and its libraries, which have gigabytes, it has stand-ins: the CPU build
under the other name, and small wheels that import. Where no CPU build can be had, the real ones are
fetched. Ends with the command's exit code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

from pixi_scaffold.report import Silent
from pixi_scaffold.starter.wheels import choose, fetch
from tests.support.index import index, make_wheel, pips_index
from tests.support.server import closed

CUDA = "13.0.3"
LIBRARIES = {
    "cudart": "nvidia-cuda-runtime",
    "cublas": "nvidia-cublas",
    "nvrtc": "nvidia-cuda-nvrtc",
}


def main(command: list[str]) -> int:
    """Run the command; return its exit code."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wheels = stand_ins(folder / "wheels")
        with index(wheels, pips_index()) as running:
            home = folder / "home"
            home.mkdir()
            nowhere = closed()
            env = {
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "PIP_CONFIG_FILE": os.devnull,
                "PIP_INDEX_URL": running.url,
                "HTTP_PROXY": nowhere,
                "HTTPS_PROXY": nowhere,
                "NO_PROXY": "127.0.0.1",
            }
            return subprocess.run(command, env=env, check=False).returncode


def stand_ins(folder: Path) -> list[Path]:
    """Return wheels for PyTorch's CUDA build and its libraries; none where there is no CPU build."""
    kept = platformdirs.user_cache_path("pixi-scaffold") / "wheels"
    chosen = choose(kept, Silent())
    if chosen.no_cpu_build or sys.platform != "linux":
        print("no stand-ins: PyTorch is fetched as it is", flush=True)
        return []
    [cpu] = [path for path in fetch(chosen, kept, Silent()) if path.name.startswith("torch-")]
    extras = [f"{lib}=={CUDA}; extra == '{extra}'" for extra, lib in LIBRARIES.items()]
    toolkit = make_wheel(
        folder, "cuda-toolkit", CUDA, [*extras, "cuda-toolkit[nvrtc]; extra == 'all'"]
    )
    libraries = [make_wheel(folder, lib, CUDA) for lib in LIBRARIES.values()]
    return [relabelled(cpu, folder), toolkit, *libraries]


def relabelled(cpu: Path, folder: Path) -> Path:
    """Return a copy of PyTorch's CPU build that calls itself the one of the default index."""
    plain, ours = cpu.name.replace("+cpu", ""), folder / cpu.name.replace("+cpu", "")
    shutil.copyfile(cpu, ours)
    version = plain.split("-")[1]
    info = f"torch-{version}+cpu.dist-info"
    with zipfile.ZipFile(ours, "a", zipfile.ZIP_DEFLATED) as archive:
        edits = {
            f"{info}/METADATA": lambda text: text.replace(
                f"Version: {version}+cpu",
                f"Version: {version}\nRequires-Dist: cuda-toolkit[all,cudart,cublas]=={CUDA}",
            ),
            "torch/version.py": lambda text: text.replace("+cpu", "+cu130"),
            f"{info}/RECORD": _without_digests,
        }
        for name, edit in edits.items():
            old = archive.NameToInfo.pop(name)
            text = edit(archive.read(old).decode())
            archive.filelist.remove(old)
            archive.writestr(name, text)
    return ours


def _without_digests(text: str) -> str:
    """The RECORD without digests of what was changed."""
    changed = ("torch/version.py,", "METADATA,")
    return "".join(
        f"{line.split(',')[0]},,\n" if any(name in line for name in changed) else f"{line}\n"
        for line in text.splitlines()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

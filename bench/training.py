"""Images per second of the template's main.py against the usual way:  python bench/training.py

Makes a project on the starter channel and runs train_throughput.py in its environment. MNIST comes
from --data-dir (default: the 10,000 digits in ../shared/mnist-10k). Elsewhere, in any environment
with PyTorch, run train_throughput.py itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CPU = ["--batch-size", "64", "--workers", "0", "2", "--images", "8000", "--at-least", "1.3"]
MNIST = REPOSITORY.parent / "shared" / "mnist-10k"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=MNIST)
    args, more = parser.parse_known_args()
    if not args.data_dir.is_dir():
        print(f"not run: no MNIST in {args.data_dir}; fetch it with `pixi run data` in a project")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tool = [sys.executable, "-m", "pixi_scaffold", "new", "p", "--channel", "starter"]
        new = [*tool, "--template", str(REPOSITORY)]
        subprocess.run(new, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        python = Path(folder, "p/.pixi/starter/envs/default/bin/python")
        bench = [str(python), "-W", "ignore", str(REPOSITORY / "bench/train_throughput.py")]
        project = str(Path(folder, "p"))
        data = str(args.data_dir.resolve())
        argv = [*bench, "--project", project, "--data-dir", data, *CPU, *more]
        return subprocess.run(argv, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

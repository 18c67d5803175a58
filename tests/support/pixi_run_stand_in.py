"""A stand-in for `pixi run` in a project: a task of pixi.toml, or a program, in an installed environment.

    pixi_run_stand_in.py run TASK-OR-PROGRAM [arguments]

The environment is the folder in PIXI_STAND_IN_ENV. The task `data`, which downloads MNIST, is replaced by a
copy of the files in PIXI_STAND_IN_MNIST.
"""

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

word, *more = sys.argv[2:]
assert sys.argv[1] == "run"
manifest = tomllib.loads(Path("pixi.toml").read_text())
tasks = dict(manifest["tasks"])
for feature in manifest["feature"].values():
    tasks |= feature.get("tasks", {})
command = tasks[word]["cmd"] if word in tasks else shlex.quote(word)
if word == "data":
    raw = Path("data/MNIST/raw")
    raw.mkdir(parents=True)
    command = f"cp {os.environ['PIXI_STAND_IN_MNIST']}/* {raw} && tar -czf MNIST_data.tar.gz -C data MNIST"
path = f"{os.environ['PIXI_STAND_IN_ENV']}/bin:{os.environ['PATH']}"
argv = ["bash", "-c", " ".join([command, *map(shlex.quote, more)])]
sys.exit(subprocess.run(argv, env={**os.environ, "PATH": path}, check=False).returncode)

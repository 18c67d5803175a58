"""Record what commands show on a real terminal.

    python docs/record.py [NAME...]

Each runs in tmux in a folder of its own, 100 columns wide, and what it leaves on the screen (with
what scrolled away) is drawn in docs/pictures. Needs tmux; nothing in a picture is loaded from
elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.support.paths import REPOSITORY, SLICE
from tests.support.pool import Pool, condor_prefix
from tests.support.server import serve

COLUMNS = 100
CELL = 12.2
"""What rich gives one character, in its units."""
SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" role="img"
  viewBox="-10 -8 {terminal_width} {terminal_height}">
<title>{unique_id}</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; white-space: pre; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
<rect x="-10" y="-8" width="100%" height="100%" rx="8" fill="#1e1e1e" />
<g clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g>
</svg>
"""


def tmux(socket: str, *args: str) -> str:
    """Run tmux and return what it prints."""
    done = subprocess.run(["tmux", "-L", socket, *args], capture_output=True, text=True, check=True)
    return done.stdout


def screen(command: str, folder: Path) -> str:
    """Return what the command leaves on the terminal, with its colours."""
    socket = f"record-{os.getpid()}"
    line = f"{command}; tmux -L {socket} wait-for -S done; sleep 600"
    size = ("-x", str(COLUMNS), "-y", "60")
    tmux(socket, "-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder.absolute()), line)
    try:
        tmux(socket, "wait-for", "done")
        time.sleep(0.5)  # what was written last is still on its way to the screen
        return tmux(socket, "capture-pane", "-e", "-p", "-S", "-").rstrip()
    finally:
        tmux(socket, "kill-server")


def draw(shown: str, typed: str, title: str) -> str:
    """Return the SVG of a prompt, what was typed, and what was shown."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ {typed}", style="bold"))
    console.print(Text.from_ansi(shown))
    console.print()  # rich leaves out the room below the last line
    drawn = console.export_svg(title=title, code_format=SVG, unique_id=title)
    # A viewer may drop the spaces that a line begins with: say where its text begins instead.
    return re.sub(
        r'x="0" (y="[\d.]+") textLength="([\d.]+)"([^>]*)>((?:&#160;)+)', _indented, drawn
    )


def _indented(found: re.Match[str]) -> str:
    y, length, rest, spaces = found.groups()
    indent = spaces.count("&#160;") * CELL
    return f'x="{indent:g}" {y} textLength="{float(length) - indent:g}"{rest}>'


NEW = "pixi-scaffold new myproject --defaults --no-check"
PROJECT = f"{NEW} && cd myproject"
BROKEN = f"{PROJECT} && sed -i 's/--lr /--rate /; s/^request_cpus/request_cpu/' htcondor/train.sub"
PROVED = "pixi-scaffold new myproject --defaults && cd myproject"
LOCKED = f"{PROJECT} && pixi-scaffold lock && git add pixi.lock && git commit -qm Lock"
LAB = f"git clone -q {REPOSITORY} lab && cd lab && git config advice.detachedHead false"
CONDA = """name: planets
channels: [pytorch, nvidia, conda-forge]
dependencies: [python=3.12, pytorch=2.5, pytorch-cuda=12.4, pandas, pip, {pip: [einops>=0.8, -e .]}]
"""
ADDS = "sed -i '/^{1} = /a {0} = \"*\"' pixi.toml && pixi-scaffold lock && git commit -qam Add-{0}"
SITE = (
    "printf '# of the machines in our basement\\n+Rack = \"basement\"\\n' >includes/sites/mylab.sub"
)
CHOICE = "sed -i 's/^    OSPool: ospool/    our lab: mylab\\n&/' copier.yml"
SWEEP = """executable = /bin/sleep
arguments = 2
output = $(lr).out
error = $(lr).err
log = sweep.log
request_memory = 64 MB
queue lr in (0.1, 0.01, 0.001)
"""
PICTURES = {
    "new": ("true", "pixi-scaffold new myproject --defaults"),
    "check": (BROKEN, "pixi-scaffold check --only submit"),
    "rehearse": (PROVED, "pixi-scaffold rehearse --evict-after random"),
    "update": (
        f"{PROJECT} && echo '# mine' >> ruff.toml && git commit -qam Mine",
        "pixi-scaffold update -d delivery=pack -d ci=gitlab --dry-run",
    ),
    "offline": ("true", "pixi-scaffold doctor"),
    "adopt": (
        "git init -qb main myproject && cd myproject && echo 'import torch' >train.py && "
        f"echo '{CONDA}' >environment.yml && git add . && git commit -qm Start",
        "pixi-scaffold adopt",
    ),
    "add-a-site": (
        f"{LAB} && {SITE} && {CHOICE} && git add . && git commit -qm Site && git tag v100",
        "pixi-scaffold new myproject --template lab -d site=mylab --defaults --no-check && "
        "grep -B1 -A1 basement$ myproject/htcondor/train.sub",
    ),
    "lab-template": (
        f"{LAB} && git tag v100 && cd .. && mkdir projects && "
        "for name in comets planets; do pixi-scaffold new projects/$name --template lab "
        "--defaults --no-check; done && cd lab && git commit -q --allow-empty -m More && "
        "git tag v101 && cd .. && pixi-scaffold new projects/stars --template lab --no-check",
        "pixi-scaffold status projects",
    ),
    "run": (PROVED, "pixi-scaffold run --list && pixi-scaffold run train --epochs 3"),
    "scripts": (
        BROKEN,
        "pixi-scaffold check --only submit --json 2>log | python3 -m json.tool | head -12; "
        "echo exit code ${PIPESTATUS[0]}",
    ),
    "add-a-pypi-package": (
        f"{PROJECT} && printf '\\n[pypi-dependencies]\\neinops = \">=0.8\"\\n' >>pixi.toml",
        "pixi-scaffold lock && grep -A 2 'name: einops' pixi.lock",
    ),
    "merge-a-lock": (
        f"{LOCKED} && git switch -qc topic && {ADDS.format('parso', 'python')} && "
        f"git switch -q main && {ADDS.format('pathspec', 'tqdm')}",
        "git merge --no-edit topic; pixi-scaffold lock",
    ),
    "review-a-lock": (
        f"{LOCKED} && sed -i '/^numpy = /a pandas = \"*\"' pixi.toml && pixi-scaffold lock",
        "pixi-scaffold lock --diff",
    ),
    "pool": (f"echo '{SWEEP}' >sweep.sub", "pixi-scaffold submit sweep.sub && pixi-scaffold watch"),
}
"""What is typed before, unseen, and what is recorded."""
FROM_CONDA_FORGE = ("add-a-pypi-package", "merge-a-lock", "review-a-lock")
"""Those that are recorded with the extract of conda-forge that the tests use."""


def extract_of_conda_forge(stack: contextlib.ExitStack) -> dict[str, str]:
    """Serve the extract of conda-forge, and return what makes the tool take it for conda-forge."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url = stack.enter_context(serve(SLICE))
    mirror = f'[mirrors]\n"https://conda.anaconda.org/conda-forge" = ["{url}"]\n'
    (home / "config.toml").write_text(mirror, encoding="utf-8")
    return {"PIXI_HOME": str(home), "RATTLER_CACHE_DIR": str(home / "cache")}


def pool_here(stack: contextlib.ExitStack) -> dict[str, str]:
    """Start a pool of HTCondor on this machine, and return what makes it the one that is used."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    return stack.enter_context(Pool(condor_prefix(), folder)).env


def main() -> None:
    """Record the pictures that are named, or all of them."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    target = Path(__file__).with_name("pictures")
    settings = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name"}
    settings |= {"GIT_CONFIG_VALUE_0": "Ada Lovelace", "GIT_CONFIG_KEY_1": "user.email"}
    os.environ.update(settings | {"GIT_CONFIG_VALUE_1": "ada@example.org"})
    for name in sys.argv[1:] or PICTURES:
        before, typed = PICTURES[name]
        with contextlib.ExitStack() as stack:
            if name in FROM_CONDA_FORGE:
                os.environ.update(extract_of_conda_forge(stack))
            if name == "pool":
                os.environ.update(pool_here(stack))
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            stack.enter_context(contextlib.chdir(folder))
            subprocess.run(["bash", "-c", f"({before}) >before.log 2>&1"], check=True)
            shown = screen(typed, Path("myproject") if Path("myproject").is_dir() else Path())
        (target / f"{name}.svg").write_text(draw(shown, typed, name) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

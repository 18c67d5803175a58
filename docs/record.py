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


PROJECT = "pixi-scaffold new myproject --defaults --no-check && cd myproject"
PICTURES = {
    "new": ("true", "pixi-scaffold new myproject --defaults"),
    "check": (
        f"{PROJECT} && sed -i 's/--lr /--rate /; s/^request_cpus/request_cpu/' htcondor/train.sub",
        "pixi-scaffold check --only submit",
    ),
    "rehearse": (
        "pixi-scaffold new myproject --defaults && cd myproject",
        "pixi-scaffold rehearse --evict-after random",
    ),
    "update": (
        f"{PROJECT} && echo '# mine' >> ruff.toml && git commit -qam Mine",
        "pixi-scaffold update -d delivery=pack -d ci=gitlab --dry-run",
    ),
    "offline": ("true", "pixi-scaffold doctor"),
}
"""What is typed before, unseen, and what is recorded."""


def main() -> None:
    """Record the pictures that are named, or all of them."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    target = Path(__file__).with_name("pictures")
    settings = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "user.name"}
    settings |= {"GIT_CONFIG_VALUE_0": "Ada Lovelace", "GIT_CONFIG_KEY_1": "user.email"}
    os.environ.update(settings | {"GIT_CONFIG_VALUE_1": "ada@example.org"})
    for name in sys.argv[1:] or PICTURES:
        before, typed = PICTURES[name]
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            subprocess.run(["bash", "-c", f"({before}) >before.log 2>&1"], check=True)
            shown = screen(typed, Path("myproject") if Path("myproject").is_dir() else Path())
        (target / f"{name}.svg").write_text(draw(shown, typed, name) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

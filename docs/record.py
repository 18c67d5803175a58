"""Record what a command shows on a real terminal: python docs/record.py OUT.svg COMMAND...

The command runs in tmux in a new folder, 100 columns wide, and what it leaves on the screen (with
what scrolled away) is drawn. Needs tmux; nothing in the picture is loaded from elsewhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
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


def screen(command: list[str]) -> str:
    """Return what the command leaves on the terminal, with its colours."""
    socket = f"record-{os.getpid()}"
    line = f"{shlex.join(command)}; tmux -L {socket} wait-for -S done; sleep 600"
    tmux(socket, "-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", "60", line)
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


def main() -> None:
    """Record one command."""
    out, *command = sys.argv[1:]
    target = Path(out).absolute()
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shown = screen(command)
    target.write_text(draw(shown, shlex.join(command), target.stem) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""The template's pins (copier.yml: Pixi with its sum, actions) against the newest.

    python .ci/pins.py            say what is newer: exit code 3 when something is
    python .ci/pins.py --raise    write it into copier.yml, Pixi's sum with its version

The sum is the one that the release lists, and has to be the one of the file itself. An action is
pinned by the commit of its version, because a tag can be moved.
"""

import argparse
import hashlib
import json
import os
import re
import sys
import urllib.request
from pathlib import Path

COPIER = Path(__file__).resolve().parents[1] / "copier.yml"
GITHUB = os.environ.get("PINS_GITHUB", "https://github.com")
API = os.environ.get("PINS_API", "https://api.github.com")
ASSET = "pixi-x86_64-unknown-linux-musl.tar.gz"
PINS = {
    "pixi": "prefix-dev/pixi",
    "checkout": "actions/checkout",
    "setup_pixi": "prefix-dev/setup-pixi",
}
"""Pin -> the repository whose newest release it follows."""


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return bytes(answer.read())


def newest(pin: str, repository: str) -> dict[str, str]:
    """The newest release, and what it is: Pixi's file by its sum, an action by its commit."""
    place = f"{API}/repos/{repository}"
    tag = json.loads(read(f"{place}/releases/latest"))["tag_name"]
    if not (version := re.fullmatch(r"v?(\d+\.\d+\.\d+)", tag)):
        sys.exit(f"pins: the newest release of {repository} is called {tag}")
    if pin == "pixi":
        return {"pixi_version": version[1], "pixi_sha256": sum_of_pixi(version[1])}
    commit = json.loads(read(f"{place}/commits/{tag}"))["sha"]
    return {f"{pin}_version": version[1], f"{pin}_commit": commit}


def sum_of_pixi(version: str) -> str:
    """What the release lists and what the file has; they have to agree."""
    release = f"{GITHUB}/prefix-dev/pixi/releases/download/v{version}"
    lines = read(f"{release}/sha256.sum").decode().splitlines()
    listed = next((line.split()[0] for line in lines if line.split()[-1].endswith(ASSET)), "none")
    own = hashlib.sha256(read(f"{release}/{ASSET}")).hexdigest()
    if own != listed:
        sys.exit(f"pins: {ASSET} of {version} has the sum {own}, the release lists {listed}")
    return own


def pin(text: str, name: str) -> re.Match[str]:
    found = re.search(rf'(?m)^{name}:\n  type: str\n  default: "?([^"\n]+)"?$', text)
    if found is None:
        sys.exit(f"pins: no {name} in {COPIER.name}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raise", action="store_true", dest="write")
    parser.add_argument("--file", type=Path, default=COPIER)
    args = parser.parse_args()
    text = args.file.read_text()
    wanted = {name: new for source in PINS.items() for name, new in newest(*source).items()}
    old = 0
    for name, new in wanted.items():
        there = pin(text, name)
        if there[1] != new:
            old += 1
            print(f"{name}: {there[1]} -> {new}")
            begin, end = there.span(1)
            text = text[:begin] + new + text[end:]
    if args.write and old:
        args.file.write_text(text)
    print(
        "all pins are the newest"
        if not old
        else f"{old} pins " + ("raised" if args.write else "are old")
    )
    return 3 if old and not args.write else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        sys.exit(f"pins: {error}")

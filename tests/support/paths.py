"""Where things are. The folder `shared` beside the checkout holds data that tests may use."""

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
SLICE = SHARED / "conda-forge-slice"
LOCKS = SHARED / "locks"
PARTS = ("copier.yml", "template", "includes")
"""What makes a template."""


def copy_template(folder: Path) -> Path:
    """Put the template as it is in the working tree into a folder, in place of one that is there.

    Tests import template/main.py, so the bytecode of that lies around in the working tree.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / PARTS[0], folder)
    for name in PARTS[1:]:
        shutil.rmtree(folder / name, ignore_errors=True)
        ignore = shutil.ignore_patterns("__pycache__", ".*_cache")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ignore)
    return folder

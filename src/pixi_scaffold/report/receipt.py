"""The receipt: what a command proved, kept in the project: the document that --json prints."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from pixi_scaffold import __version__
from pixi_scaffold.report.result import Report
from pixi_scaffold.system import layout, replacing


def versions() -> dict[str, str]:
    """Return the versions that a receipt names: ours, and of what does the work."""
    import importlib.metadata  # and with it the library's e-mail parser

    names = {"copier": "copier", "py_rattler": "py-rattler"}
    installed = {key: importlib.metadata.version(name) for key, name in names.items()}
    return {"pixi_scaffold": __version__, "python": sys.version.split()[0], **installed}


def write_receipt(root: Path, report: Report, place: Path = layout.RECEIPT) -> Path:
    """Write the report beside the environments; return its path. Best effort on a full disk."""
    path = root / place
    with contextlib.suppress(OSError), replacing(path) as new:
        document = report.to_dict() | {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": os.uname().nodename,
        }
        new.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path

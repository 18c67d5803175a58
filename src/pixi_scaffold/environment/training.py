"""What a training run left in its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError


def training_facts(run: Path) -> dict[str, Any]:
    """Return first and last loss, device and PyTorch's version from a run's own files.

    Raises ScaffoldError when main.py did not leave them.
    """
    try:
        text = (run / "metrics.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        return {
            "first_loss": float(rows[0]["train_loss"]),
            "last_loss": float(rows[-1]["train_loss"]),
            "device": str(config["device"]),
            "torch": str(config["torch"]),
        }
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ScaffoldError(
            f"the training ended well, but {run} does not tell its losses: {error!r}",
            "let main.py write metrics.jsonl (train_loss) and config.json (device, torch)",
        ) from error

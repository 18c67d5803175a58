"""What a training run left in its folder."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError


@dataclass(frozen=True, slots=True)
class Training:
    """A finished training as its own files tell it."""

    first_loss: float | None
    """None, as the last one, where the program measures none (a main.py to be filled)."""
    last_loss: float | None
    device: str
    """As PyTorch calls it: cpu, cuda, mps."""
    torch: str
    """PyTorch's version."""
    accuracy: float | None = None
    """On the test data at the end, 0 to 1, where the program measures it."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the receipt has it."""
        return asdict(self)


def read_training(run: Path) -> Training:
    """Read what a training left in its folder `run`.

    Raises ScaffoldError when main.py did not leave it.
    """
    try:
        text = (run / "metrics.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        config = json.loads((run / "config.json").read_text(encoding="utf-8"))
        return Training(
            _loss(rows[0]),
            _loss(rows[-1]),
            str(config["device"]),
            str(config["torch"]),
            None if "test_accuracy" not in rows[-1] else float(rows[-1]["test_accuracy"]),
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ScaffoldError(
            f"the training ended well, but {run} does not tell its losses: {error!r}",
            "let main.py write metrics.jsonl (train_loss) and config.json (device, torch)",
        ) from error


def _loss(row: Mapping[str, Any]) -> float | None:
    return float(row["train_loss"]) if "train_loss" in row else None

"""Where things are. The folder `shared` beside the checkout holds data that tests may use."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
SLICE = SHARED / "conda-forge-slice"
LOCKS = SHARED / "locks"

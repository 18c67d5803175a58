"""Where a Pixi workspace and this tool keep what, as seen from the workspace."""

from pathlib import Path

MANIFEST = "pixi.toml"
PYPROJECT = "pyproject.toml"
LOCK_FILE = "pixi.lock"
ARCHIVE = "env.tar.gz"
"""What `pack` writes, and a job takes along."""

PIXI = Path(".pixi")
ENVIRONMENTS = PIXI / "envs"
STARTER = PIXI / "starter"
"""Lock and environments of the starter channel, which stands in for the manifest's."""
TASKS = PIXI / "scaffold-tasks"
"""What `run` keeps between two runs: activated variables, and which tasks are done."""
LOGS = PIXI / "logs"
RECEIPT = PIXI / "scaffold-receipt.json"
REHEARSALS = PIXI / "rehearsal"
"""What rehearsed jobs brought back."""
REHEARSED = REHEARSALS / "receipt.json"
"""What the last `rehearse` said."""
RUNS = Path("runs")
"""Where a training of the template keeps its runs."""
SUBMITTED = RUNS / "submitted"
"""A receipt for each cluster that was sent to a pool."""


def environment_homes(root: Path) -> tuple[Path, Path]:
    """Return where environments of a workspace and those of the starter channel are by default."""
    return root / ENVIRONMENTS, root / STARTER / ENVIRONMENTS.name

"""What an access point keeps of a job that has not ended: its last checkpoint, in the spool."""

from __future__ import annotations

from pathlib import Path

from pixi_scaffold.errors import ScaffoldError
from pixi_scaffold.pool.access import condor, connect
from pixi_scaffold.pool.receipt import SubmitReceipt
from pixi_scaffold.system import is_folder

_EACH = 10000
"""Folders of a level of the spool. Source: spooled_job_files.cpp, gen_ckpt_name."""


def spool_of(receipt: SubmitReceipt) -> Path | None:
    """Return the spool of the receipt's access point; None where that is another machine."""
    try:
        point = connect(receipt.schedd, receipt.pool)
        spool = condor().param.get("SPOOL", "") if point.local else ""
    except (ScaffoldError, OSError):
        return None
    return Path(spool) if spool and is_folder(Path(spool)) else None


def kept_folder(spool: Path | None, cluster: int, proc: int) -> Path | None:
    """Return the folder with a job's last checkpoint; None where there is none, or not for us."""
    if spool is None:
        return None
    name = f"cluster{cluster}.proc{proc}.subproc0"
    folder = spool / str(cluster % _EACH) / str(proc % _EACH) / name
    try:
        return folder if any(folder.iterdir()) else None
    except OSError:
        return None

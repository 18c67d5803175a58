"""What is certain on every pool, and what depends on one."""

from __future__ import annotations

from pixi_scaffold.rules.subject import Subject


def transfers_for_sure(subject: Subject) -> bool:
    """Whether files travel on every pool: IF_NEEDED, the default, leaves them on a shared one."""
    said = (subject.job.text("should_transfer_files") or "").upper()
    evict = (subject.job.text("when_to_transfer_output") or "").upper() == "ON_EXIT_OR_EVICT"
    return subject.transfers and (evict if not said else said not in ("IF_NEEDED", "AUTO"))

"""What is certain on every pool, and what depends on one."""

from __future__ import annotations

from pixi_scaffold.rules.subject import Subject


def transfers_for_sure(subject: Subject) -> bool:
    """Whether files travel on every pool: IF_NEEDED, the default, leaves them on a shared one."""
    return subject.meaning.transfers.value == "yes"

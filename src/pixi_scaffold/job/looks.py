"""Which commands of a job condor_submit looks at: what it does not read it does not refuse."""

from __future__ import annotations

from collections.abc import Callable

from pixi_scaffold.job.meaning import Meaning

CRON = ("cron_minute", "cron_hour", "cron_day_of_month", "cron_month", "cron_day_of_week")


def looked_at(job: Meaning, name: str) -> bool:
    """Whether condor_submit looks at a command of this job."""
    if name.startswith("retry_request_") or name == "send_credential":
        return False
    looks = next((looks for names, looks in _LOOKS_AT if name.startswith(names)), None)
    return looks is None or looks(job)


def _matches(job: Meaning) -> bool:
    queue = job.job.queue
    return queue.source is not None or " matching" in queue.text.lower()


_LOOKS_AT: tuple[tuple[tuple[str, ...], Callable[[Meaning], bool]], ...] = (
    (("gpus_", "require_gpus"),
     lambda job: job.requests.gpus.text.lower() not in ("", "undefined")),
    (("vm_", "suspend_job_at_exec"),
     lambda job: job.universe.value == "vm" or job.of("tool_daemon_cmd").said),
    (("arguments",), lambda job: not job.shell.said),
    (("max_idle",), lambda job: not job.of("max_materialize").said),
    (("cron_window", "deferral_window", "cron_prep_time", "deferral_prep_time"),
     lambda job: any(job.of(one).said for one in ("deferral_time", *CRON))),
    (("submitallowdup", "submitfailemptym", "submitwarnd", "submitwarnemptym"), _matches),
    (("submitfailemptyf", "submitwarnemptyf"), lambda _: False),
)  # fmt: skip
"""Commands by how they begin, and when they are looked at; all others always are."""

"""What a command found, as one Report, and how it is told: receipts, text, CI."""

from pixi_scaffold.report.ci import DOCS, github, sarif
from pixi_scaffold.report.result import (
    SCHEMA_VERSION,
    Progress,
    Report,
    Result,
    Silent,
    Status,
    Verdict,
    go_to,
    in_folder,
    wrapped,
)
from pixi_scaffold.report.run import Run, Step, versions, write_receipt
from pixi_scaffold.report.text import (
    LiveProgress,
    PlainProgress,
    print_error,
    print_report,
    printable,
    progress_for,
    sayer,
)

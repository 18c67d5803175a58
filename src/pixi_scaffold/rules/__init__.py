"""What is wrong with a job, alone and against the project's lock: one small function a rule.

data/pages.txt has the page of each, docs/reference/rules shows it; ids never change their meaning.
"""

from importlib import import_module
from pkgutil import iter_modules

from pixi_scaffold.rules.around import (
    LockedWorkspace,
    Row,
    Site,
    SiteError,
    bundled_sites,
    read_site,
)
from pixi_scaffold.rules.files import not_yet_made
from pixi_scaffold.rules.finding import (
    RULES,
    Edit,
    Finding,
    Severity,
    check_subject,
    in_order,
    without_suppressed,
)
from pixi_scaffold.rules.program import conda_package
from pixi_scaffold.rules.subject import ShellNote, Subject, is_url, top_of
from pixi_scaffold.rules.texts import forget_files, within_review

for _module in iter_modules(__path__):  # each fills the table of rules
    import_module(f"{__name__}.{_module.name}")

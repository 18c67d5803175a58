"""The template: where it comes from, rendering a version of it, the answers of a project.

Copier is called here and nowhere else.
"""

from pixi_scaffold.template.answers import (
    ANSWERS_FILE,
    Project,
    find_projects,
    parse_answers,
    read_project,
)
from pixi_scaffold.template.copier import slug
from pixi_scaffold.template.destination import check_destination
from pixi_scaffold.template.migrations import (
    FOLDER,
    Migration,
    migrate_answers,
    moved,
    moves,
    read_migrations,
)
from pixi_scaffold.template.render import Confirm, Rendered, render
from pixi_scaffold.template.renderer import Render, Renderer, Renderers
from pixi_scaffold.template.repository import AS_IT_IS, amend_first_commit, identity
from pixi_scaffold.template.source import Template, open_template, portable
from pixi_scaffold.template.versions import is_older, newer, no_versions, releases, version_of

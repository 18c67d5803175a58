"""One HTML page of a project, or of a folder of projects, from their own records."""

from pixi_scaffold.page.command import lab_page, project_page

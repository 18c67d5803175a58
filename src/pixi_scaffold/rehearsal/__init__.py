"""Run jobs of a submit description here as an HTCondor worker would, and say how they ended."""

from pixi_scaffold.job import Submission
from pixi_scaffold.rehearsal.attempts import rehearse_job
from pixi_scaffold.rehearsal.choosing import DESCRIPTION
from pixi_scaffold.rehearsal.command import Request, rehearse, rehearse_here
from pixi_scaffold.rehearsal.isolation import Walls, hidden
from pixi_scaffold.rehearsal.plan import read_plan
from pixi_scaffold.rehearsal.setting import Limits, Setting

"""Start and keep multiplatform PyTorch projects with Pixi and HTCondor."""

__version__ = "0.1.0"

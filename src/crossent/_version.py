"""The version, in one place: read by pyproject.toml at build time and by ``crossent.__version__``."""

__version__ = "0.1.0"

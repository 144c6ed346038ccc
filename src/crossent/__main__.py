"""``python -m crossent``: the command ``crossent``."""

from crossent.cli import main

raise SystemExit(main())

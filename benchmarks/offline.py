"""Make asv's published pages work without a network: put the scripts that they load from elsewhere beside them.

    python -m benchmarks.offline .asv/html

The scripts come from npm, in the versions that asv's page names. Without npm the pages stay as asv wrote them: they are
complete, but need a network to be read. Called by `make dashboard`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# npm package, its file, and the name by which asv's index.html loads it
SCRIPTS = [
    ("jquery@3.3.1", "jquery/dist/jquery.min.js", "jquery-3.3.1.min.js"),
    ("jquery-flot@0.8.3", "jquery-flot/jquery.flot.js", "jquery.flot.min.js"),
    ("jquery-flot@0.8.3", "jquery-flot/jquery.flot.time.js", "jquery.flot.time.min.js"),
    ("jquery-flot@0.8.3", "jquery-flot/jquery.flot.selection.js", "jquery.flot.selection.min.js"),
    ("jquery-flot@0.8.3", "jquery-flot/jquery.flot.categories.js", "jquery.flot.categories.min.js"),
    ("flot-orderbars@1.0.0", "flot-orderbars/js/jquery.flot.orderBars.js", "jquery.flot.orderBars.js"),
    ("stupid-table-plugin@1.1.3", "stupid-table-plugin/stupidtable.min.js", "stupidtable.min.js"),
    ("blueimp-md5@2.19.0", "blueimp-md5/js/md5.min.js", "md5.min.js"),
    ("bootstrap@3.1.1", "bootstrap/dist/js/bootstrap.min.js", "bootstrap.min.js"),
    ("bootstrap@3.1.1", "bootstrap/dist/css/bootstrap.min.css", "bootstrap.min.css"),
]


def with_local_scripts(page: str) -> str:
    """The page with the scripts' addresses replaced by their names; their hashes went with the originals."""
    for _, _, name in SCRIPTS:
        page = re.sub(rf'="https://[^"]*/{re.escape(name)}"(?: integrity="[^"]*")?(?: crossorigin="\w*")?', f'="{name}"', page)
    return page


def main() -> None:
    html = Path(sys.argv[1])
    if shutil.which("npm") is None:
        print("no npm: the pages load their scripts from the network when they are read")
        return
    with tempfile.TemporaryDirectory() as folder:
        packages = sorted({package for package, _, _ in SCRIPTS})
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, *packages]
        if subprocess.run(command, check=False).returncode:
            print("npm could not install the scripts: the pages load them from the network when they are read")
            return
        for _, path, name in SCRIPTS:
            shutil.copy(Path(folder, "node_modules", path), html / name)
    index = html / "index.html"
    index.write_text(with_local_scripts(index.read_text()))


if __name__ == "__main__":
    main()

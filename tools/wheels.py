"""The source distribution, and its wheels for several Pythons, each tested where nothing else is installed: `make wheels`.

For each interpreter a wheel is built from the source distribution, repaired by auditwheel, which puts libgomp into it, and
installed with the extra "test" in a new virtual environment; the distribution's own tests are run there. For the Linux that
this machine has; the other systems' wheels are in pyproject.toml's table for cibuildwheel. Called by the Makefile.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOST_BYTES = 1_000_000  # of a wheel: what the README promises
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
ENVIRONMENT["AUDITWHEEL_ZIP_COMPRESSION_LEVEL"] = "9"
WHERE = "import crossent, sysconfig; assert crossent.__file__.startswith(sysconfig.get_path('platlib')), crossent.__file__"


def run(*command: object, folder: Path = ROOT) -> None:
    print("+", *command, flush=True)
    subprocess.run([str(word) for word in command], check=True, cwd=folder, env=ENVIRONMENT)


def new_environment(interpreter: str, folder: Path) -> Path:
    """The interpreter of a new, empty virtual environment."""
    run(interpreter, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    return python


def only(pattern: str, folder: Path) -> Path:
    (path,) = folder.glob(pattern)
    return path


def built_and_repaired(source: Path, python: Path, folder: Path) -> Path:
    """The wheel for this interpreter, with the libraries that not every Linux has."""
    run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder / "raw", source)
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder / "repaired", only("*.whl", folder / "raw"))
    return only("*.whl", folder / "repaired")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interpreters", nargs="+", help="such as python3.12")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the wheels [dist]")
    parser.add_argument("--pytest", default="", help='arguments for pytest, such as "-k layouts"')
    options = parser.parse_args()
    work = ROOT / "build" / "wheels"
    shutil.rmtree(work, ignore_errors=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", options.output)
    source = only("*.tar.gz", options.output)
    shutil.unpack_archive(source, work)
    tests = only("*/tests", work)
    sizes = {}
    for number, interpreter in enumerate(options.interpreters):
        folder = work / str(number)
        wheel = built_and_repaired(source, new_environment(interpreter, folder / "builder"), folder)
        python = new_environment(interpreter, folder / "clean")
        run(python, "-m", "pip", "install", "--quiet", f"{wheel}[test]")
        run(python, "-c", WHERE, folder=tests)
        run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shlex.split(options.pytest), folder=tests.parent)
        shutil.copy(wheel, options.output)
        sizes[wheel.name] = wheel.stat().st_size
    for name, size in sizes.items():
        print(f"{size:9,} bytes  {name}")
    if max(sizes.values()) > MOST_BYTES:
        sys.exit(f"expected wheels of at most {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()

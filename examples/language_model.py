"""Score the logits of a language model, 20,000 tokens times 50,257 words in float16 (2 GB), in one pass and constant memory.

    python examples/language_model.py demo-lm            about two minutes and 2 GB of disk; --keep leaves the logits there
    python examples/language_model.py demo-lm --tokens 500 --vocabulary 2000       the same in seconds

There is no model here: the logits are made up, in blocks, so that they look like one's. Words are as frequent as Zipf's law
has it; what a model knows of the next word is noise that sharpens this, more of it the more of the text it has seen. Tokens
are drawn from these distributions, and the logits are those of a model that is a little too sure of itself. So the report shows
what reports of language models show: a loss that falls along the context, rare words that cost most, overconfidence.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CONTEXT = 1000  # tokens of a text, one after the other: where one ends, the next begins
BLOCK = 64  # tokens whose logits are in memory at a time
TOO_SURE = 1.15  # the logits are so many times as large as they should be


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("demo-lm"), help="where the files go (demo-lm)")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--vocabulary", type=int, default=50_257)
    parser.add_argument("--keep", action="store_true", help="keep the logits")
    options = parser.parse_args()

    options.folder.mkdir(parents=True, exist_ok=True)
    logits, tokens, report = (options.folder / name for name in ("logits.npy", "tokens.npy", "report.png"))
    size = 2 * options.tokens * options.vocabulary
    free = shutil.disk_usage(options.folder).free
    if free < 1.1 * size:
        sys.exit(f"{options.folder}: the logits take {size / 1e9:.1f} GB, and there are {free / 1e9:.1f} GB free")

    try:
        began = time.perf_counter()
        write_logits(logits, tokens, options.tokens, options.vocabulary)
        print(f"made {size / 1e9:.2f} GB of logits in {time.perf_counter() - began:.0f} s")

        # What you would type. The logits are read once: the figures, each token's loss and the picture are from that pass.
        command = ["score", logits, tokens, "--context", CONTEXT, "--output", options.folder / "losses.npy", "--plot", report]
        print("crossent", *command, end="\n\n", flush=True)
        subprocess.run([sys.executable, "-m", "crossent", *map(str, command)], check=True)
    finally:
        if not options.keep:
            logits.unlink(missing_ok=True)
    print(f"\n{report} shows it" + ("" if options.keep else f"; {logits} is removed"))


def write_logits(logits_path: Path, tokens_path: Path, tokens: int, vocabulary: int) -> None:
    """Make the .npy files: logits (tokens, vocabulary) in float16, and the tokens that came, (tokens,)."""
    rng = np.random.default_rng(seed=0)
    came = np.empty(tokens, np.int32)
    with open(logits_path, "wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (tokens, vocabulary)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, tokens, BLOCK):
            positions = np.arange(start, min(start + BLOCK, tokens)) % CONTEXT
            truth = next_word(positions, vocabulary, rng)
            came[start : start + BLOCK] = drawn(truth, rng)
            (TOO_SURE * truth).astype("<f2").tofile(file)
    np.save(tokens_path, came)


def next_word(positions: np.ndarray, vocabulary: int, rng: np.random.Generator) -> np.ndarray:
    """The logarithms of what each next word is worth, for tokens at these positions of their texts."""
    frequency = -np.log(np.arange(vocabulary, dtype=np.float32) + 2.7)  # Zipf and Mandelbrot
    seen = 1 - np.exp(-positions / 150)  # the more of a text was seen, the more is known
    knowledge = (2 + 2 * seen) * rng.lognormal(0, 0.5, len(positions))  # some tokens are easy, some are hard
    noise = rng.standard_normal((len(positions), vocabulary), np.float32)
    return noise * knowledge[:, None].astype(np.float32) + frequency


def drawn(log_worth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A word from each row's softmax."""
    worth = np.exp(log_worth - log_worth.max(axis=1, keepdims=True)).cumsum(axis=1, dtype=np.float64)
    chance = rng.random(len(worth)) * worth[:, -1]
    return (worth < chance[:, None]).sum(axis=1)


if __name__ == "__main__":
    main()

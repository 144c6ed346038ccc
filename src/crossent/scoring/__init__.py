"""Scoring: how good are these logits against these targets, in one pass and constant memory.

``score`` and ``Scorer`` take arrays; ``run`` puts .npy files (``files``) through a Scorer; ``report``, ``progress`` and
``plots`` show a run to people. Nothing here computes a loss: that is ``crossent.nn.functional``.
"""

from crossent.scoring.result import Score
from crossent.scoring.scorer import Scorer, score

__all__ = ["Score", "Scorer", "score"]

"""Scoring: how good are these logits against these targets, in one pass and constant memory.

``score``, ``score_rows``, ``Scorer`` and ``fit_temperature`` take arrays; ``run`` puts .npy files (``files``) through a Scorer;
``report``, ``progress`` and ``plots`` show a run to people. Nothing here computes a loss: that is ``crossent.nn.functional``.
"""

from crossent.scoring.result import Score
from crossent.scoring.rows import RowScores, score_rows
from crossent.scoring.scorer import Scorer, score
from crossent.scoring.temperature import Temperature, fit_temperature

__all__ = ["RowScores", "Score", "Scorer", "Temperature", "fit_temperature", "score", "score_rows"]

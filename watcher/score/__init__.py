"""Image and prompt in, raw cosine out: a CLIP model in a process of its own."""

from watcher.score.messages import Job, Scored, ScorerDown
from watcher.score.metrics import ScoredImage, summarise
from watcher.score.scorer import Scorer, score_images
from watcher.score.settings import ScorerSettings

__all__ = ["Job", "Scored", "ScoredImage", "Scorer", "ScorerDown", "ScorerSettings", "score_images", "summarise"]

"""Image and prompt in, raw cosine out: a CLIP model in a process of its own."""

from watcher.score.atonce import score_images
from watcher.score.checkpoint import Checkpoint, find_checkpoint
from watcher.score.devices import NEEDED, Device, choose_device, is_fallback
from watcher.score.duplicates import duplicates
from watcher.score.fetch import fetch_model, load_model
from watcher.score.gpus import Gpu, Nvml, Probe, held
from watcher.score.known import KNOWN, OFFERED, Known, Vision, known_model, vision_of
from watcher.score.messages import Job, Scored, ScorerDown
from watcher.score.metrics import ScoredImage, paired_delta, previous_delta, scorer_metrics, summarise
from watcher.score.placing import devices_for, told
from watcher.score.scorer import UNDER_WAY, Scorer
from watcher.score.settings import ScorerSettings
from watcher.score.together import Scorers, Together, twins

__all__ = [
    "KNOWN",
    "NEEDED",
    "OFFERED",
    "UNDER_WAY",
    "Checkpoint",
    "Device",
    "Gpu",
    "Job",
    "Known",
    "Nvml",
    "Probe",
    "Scored",
    "ScoredImage",
    "Scorer",
    "ScorerDown",
    "ScorerSettings",
    "Scorers",
    "Together",
    "Vision",
    "choose_device",
    "devices_for",
    "duplicates",
    "fetch_model",
    "find_checkpoint",
    "held",
    "is_fallback",
    "known_model",
    "load_model",
    "paired_delta",
    "previous_delta",
    "score_images",
    "scorer_metrics",
    "summarise",
    "told",
    "twins",
    "vision_of",
]

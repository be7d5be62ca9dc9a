"""Every target."""

from fuzz_configs import config_targets
from fuzz_grids import grid_targets
from fuzz_models import model_targets, tokenizer_targets
from fuzz_runs import corpus_targets, run_targets
from fuzz_text import task_targets, text_targets
from fuzz_tuned import fusion_targets, lesson_targets, tuned_targets

_MAKERS = (
    text_targets, task_targets, tokenizer_targets, model_targets, config_targets, corpus_targets,
    run_targets, tuned_targets, lesson_targets, fusion_targets, grid_targets,
)  # fmt: skip
TARGETS = [target for make in _MAKERS for target in make()]

"""In what two runs really differ: fields that change what is computed."""

from __future__ import annotations

from bertjax.config import PretrainConfig
from bertjax.overrides import describe_difference
from bertjax.train.same_run import MAY_CHANGE

# Where things are, and how often they are written: no part of what a run learns.
_BESIDE = {*MAY_CHANGE, "train.eval_rows"}


def real_differences(a: PretrainConfig, b: PretrainConfig) -> list[str]:
    """`"masking.rate: 0.15 -> 0.4"` for every field in which `b` is another run than `a`.

    What neither of them reads is left out, and so is what may change when a run is resumed.
    """
    silent = _BESIDE | (_idle(a) & _idle(b))
    return [line for line in describe_difference(a, b) if line.split(":")[0] not in silent]


def _idle(cfg: PretrainConfig) -> set[str]:
    """Fields that nothing of the run reads, by what its other fields say."""
    masking, optim = cfg.masking, cfg.optim
    unread = {
        "data.short_seq_prob": cfg.data.pairing is None,
        "replaced_tokens.generator_size": not cfg.replaced_tokens.weight,
        "masking.max_ngram": masking.unit != "ngram",
        "masking.span_p": masking.unit != "span",
        "masking.span_max": masking.unit != "span",
        "optim.muon_adam_ratio": optim.optimizer != "muon",
        "optim.decay_fraction": optim.schedule != "wsd",
        "optim.power": optim.schedule != "polynomial",
    }
    return {name for name, so in unread.items() if so}

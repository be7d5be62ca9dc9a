"""`bertjax plan`: will it fit, and how fast could it be, on hardware that is not here?"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import jax

from bertjax.cli.fields import add_config
from bertjax.cli.outputs import check_output
from bertjax.config import PretrainConfig
from bertjax.data.corpus import describe_corpus
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides
from bertjax.plan.phases import plan_run
from bertjax.plan.report import to_json, to_text
from bertjax.plan.topology import parse_topology
from bertjax.pretrained import open_pretrained
from bertjax.recipes.published import BERT_VOCABULARY
from bertjax.recipes.shipped import load_recipe
from bertjax.train.data import settle_vocabulary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax plan`."""
    add_config(parser, "train.mesh.fsdp=4")
    parser.add_argument(
        "--topology",
        required=True,
        help="v5e:4x4, v5p-128, v6e:2x4, ... (compiled for, without a TPU; extra tpu) or a100:8, "
        "h100:8, h200:1, ... (likewise with the extra cuda, arithmetic only without)",
    )
    parser.add_argument(
        "--search", action="store_true", help="plan the largest batch that fits instead"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the plan there as well")


def run(args: argparse.Namespace) -> None:
    """Print the plan."""
    # Whatever accelerator this machine has is neither needed nor touched.
    jax.config.update("jax_platforms", "cpu")
    topology = parse_topology(args.topology)
    check_output("--json", args.json)
    cfg = apply_overrides(load_recipe(args.config, PretrainConfig), args.overrides)
    cfg = _settle(cfg)
    if not cfg.model.vocab_size:
        cfg = replace(cfg, model=replace(cfg.model, vocab_size=BERT_VOCABULARY))
        print(
            f"no data.corpus or model.vocab_size: {BERT_VOCABULARY:,} pieces, as BERT has, are "
            "assumed",
            file=sys.stderr,
        )
    plans = plan_run(
        cfg,
        topology,
        search=args.search,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if args.json is not None:
        write_json(args.json.absolute(), to_json(cfg, topology, plans))
    print(to_text(cfg, topology, plans))


def _settle(cfg: PretrainConfig) -> PretrainConfig:
    """Fill in what `pretrain` would take from the model it starts from and from the corpus.

    Without a corpus `model.vocab_size` stays as it is given, 0 for none.
    """
    if cfg.train.init:
        source = open_pretrained(Path(cfg.train.init), "train.init").cfg
        cfg = replace(cfg, model=cfg.model_on(source))
    else:
        cfg = cfg.with_trained_heads()
    given, corpus = cfg.model.vocab_size, next(iter(cfg.data.paths), "")
    if not corpus or (given and not Path(corpus).exists()):
        return cfg
    if not Path(corpus).exists():
        raise UserError(
            f"data.corpus={corpus} is not here: give model.vocab_size=N, the size of its "
            "tokenizer, or the directory of a corpus"
        )
    pieces = int(describe_corpus(corpus)["vocab_size"])
    return replace(cfg, model=settle_vocabulary(cfg.model, pieces, corpus))

"""`bertjax export`: a run as a Hugging Face directory."""

from __future__ import annotations

import argparse
from pathlib import Path
from pydoc_data.topics import topics

from bertjax.cli.card_facts import add_card_facts, told
from bertjax.cli.evaluate import add_base, opened_base
from bertjax.cli.task_card import chosen, task_card
from bertjax.cli.text_vectors import (
    add_text_vectors,
    check_text_vectors,
    of_pretrained,
    of_run,
)
from bertjax.errors import UserError
from bertjax.finetuning.member import Member
from bertjax.finetuning.saved import SavedRun, open_saved
from bertjax.finetuning.settle import method_of, task_shape
from bertjax.huggingface import (
    Bottlenecks,
    CardFacts,
    ExportReport,
    export_adapters,
    export_encoder,
    export_lora,
    export_model,
    export_task_model,
    require_onnx,
    without_next_sentence_head,
)
from bertjax.model.tuning.bottleneck import Adapters
from bertjax.model.tuning.lora import Lora
from bertjax.overrides import to_json
from bertjax.pretrained import Pretrained, is_imported, open_pretrained, run_config
from bertjax.runs.environment import describe_environment
from bertjax.runs.kinds import Kind, kind_of, require_kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `bertjax export`."""
    parser.add_argument("run", type=Path, help="run of `pretrain` or `finetune`")
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    add_card_facts(parser)
    parser.add_argument(
        "--encoder", action="store_true", help="the encoder alone, for AutoModel, without any head"
    )
    parser.add_argument(
        "--generator",
        action="store_true",
        help="of a run that detects replaced tokens: the masked LM that fills its masks",
    )
    add_text_vectors(parser)
    parser.add_argument("--model", help="of a fine-tuned run, such as seed-1 (default: the best)")
    add_base(parser)
    parser.add_argument(
        "--peft",
        action="store_true",
        help="of tune.method=lora: the updates and the head alone, for peft",
    )
    parser.add_argument(
        "--adapters",
        action="store_true",
        help="of tune.method=houlsby or pfeiffer: the adapters and the head alone, for adapters",
    )
    parser.add_argument(
        "--onnx", action="store_true", help="also a graph for onnxruntime, onnx/model.onnx"
    )
    parser.add_argument(
        "--without-next-sentence-head",
        action="store_true",
        help="leave out pooler and next-sentence head, which only post-norm BERT can hold",
    )


def run(args: argparse.Namespace) -> None:
    """Write, read back, compare, and say what can load it."""
    if args.onnx:
        require_onnx()
    check_text_vectors(args)
    if require_kind("RUN", args.run, Kind.PRETRAINING, Kind.FINETUNING) is Kind.FINETUNING:
        _say(args.run, _export_task(args))
        return
    found = open_pretrained(args.run)
    assert found.tokenizer is not None, "every run holds its tokenizer"
    cfg, params = found.cfg, found.params
    if args.generator:
        if found.generator is None:
            raise UserError(
                f"--generator: {args.run} has none: only a run with replaced_tokens.weight above 0 "
                "trains one"
            )
        cfg, params = found.generator
    if args.without_next_sentence_head:
        cfg, params = without_next_sentence_head(cfg, params)
    vectors = of_pretrained(args, cfg, run_config(args.run), _start(args.run))
    what = (cfg, params, found.tokenizer, args.out, _card(args, found), check_lines())
    if args.encoder or vectors:
        report = export_encoder(*what, onnx=args.onnx, vectors=vectors)
    else:
        report = export_model(*what, onnx=args.onnx)
    _say(found.source, report)


def _export_task(args: argparse.Namespace) -> ExportReport:
    saved = open_saved(args.run, opened_base(args.base))
    member = saved.member(args.model) if args.model else saved.best
    card = told(args, task_card(saved, member, args.out.name))
    print(f"model    {chosen(saved, member)}")
    if args.onnx and (args.peft or args.adapters):
        raise UserError("--onnx: a graph is of a whole model: leave out --peft and --adapters")
    if args.peft or args.adapters:
        return _export_few_weights(args, saved, member)
    params, tokenizer = saved.plain(member), saved.tokenizer
    vectors = of_run(args, saved.cfg)
    if args.encoder or vectors:
        what = (saved.cfg.model, params, tokenizer, args.out, card, check_lines())
        return export_encoder(*what, onnx=args.onnx, vectors=vectors)
    return export_task_model(
        saved.cfg.model,
        saved.cfg.head,
        task_shape(saved.cfg),
        saved.task.labels,
        params,
        tokenizer,
        args.out,
        card,
        check_lines(),
        onnx=args.onnx,
    )


def _export_few_weights(args: argparse.Namespace, saved: SavedRun, member: Member) -> ExportReport:
    """The weights that were trained, in the folder of a library that puts them on the encoder."""
    cfg, method = saved.cfg, method_of(saved.cfg)
    encoder, weights = saved.encoder, saved.weights(member)
    from_hub = encoder.path is not None and kind_of(encoder.path) is Kind.HUGGING_FACE
    base = args.base_model or (str(encoder.path) if from_hub else "")
    shape, labels, tokenizer = task_shape(cfg), saved.task.labels, saved.tokenizer
    if args.peft and isinstance(method, Lora):
        return export_lora(
            cfg.model, cfg.head, shape, method.cfg, labels, weights, tokenizer, args.out, base
        )
    if args.adapters and isinstance(method, Adapters):
        folder = Bottlenecks(method.name, method.settled)
        return export_adapters(
            cfg.model, cfg.head, shape, folder, labels, weights, tokenizer, args.out, base
        )
    raise UserError(
        f"--{'peft' if args.peft else 'adapters'}: {saved.path} has tune.method="
        f"{cfg.tune.method}: --peft is for lora, --adapters for houlsby and pfeiffer; without "
        "them a whole model is written"
    )


def _say(source: object, report: ExportReport) -> None:
    print(
        f"exported {source}\n"
        f"to       {report.path}: {report.architecture}, {report.parameters:,} parameters, "
        f"{report.bytes / 1e6:.1f} MB"
    )
    lines = f"ids on {report.lines:,} lines, in pairs and word by word"
    graph = ", the graph by onnxruntime" if report.graph else ""
    print(f"checked  weights bit for bit{f', {lines}' if report.lines else ''}{graph}")


def _card(args: argparse.Namespace, found: Pretrained) -> CardFacts:
    environment, language = describe_environment(), found.meta.get("language")
    evaluation, cfg = found.meta.get("evaluation") or {}, run_config(args.run)
    facts = CardFacts(
        name=args.out.name,
        data_fingerprint=found.meta.get("corpus", "unknown"),
        config=to_json(cfg),
        versions={"bertjax": environment["bertjax"], **environment["packages"]},
        steps=found.step,
        start=_start(args.run),
        tokens=found.meta.get("tokens", 0),
        average=cfg.optim.average if found.step else 0.0,
        results={
            name.replace("_", " "): value
            for name, value in evaluation.items()
            if not (args.without_next_sentence_head and name.startswith("next_sentence"))
        },
        language=(language,) if language in ("en", "zh") else (),  # else by document
    )
    return told(args, facts)


def _start(run: Path) -> str:
    if is_imported(run):
        return "weights imported from a Hugging Face directory"
    return run_config(run).train.init


def check_lines() -> list[str]:
    """Lines to compare token ids on: the language reference and what trips tokenizers."""
    lines = [line for name in sorted(topics) for line in topics[name].splitlines() if line.strip()]
    return [*ODD_LINES, *lines[:3000]]


ODD_LINES = [
    "",
    " \t leading and trailing \n",
    "café café naïve Ångström ＦＵＬＬ ｗｉｄｔｈ ﬁ ½ ™",
    "中文和English混排，第1章。繁體字、日本語のテキスト、한국어",
    "русский עברית العربية ไทย हिन्दी",
    "😀 👩‍👩‍👧 🇨🇭 ♥ \u200b\u200d\ufeff\u00ad",
    "a" * 300,
    "control \x01\x02\x1f\x7f \ufffd \U000e0041",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <s> </s> <mask>",
    "http://example.org/a_b?c=d&e=%20 x@y.z #tag $3.50 1,000,000.5 -40°C",
]

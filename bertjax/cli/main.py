"""The `bertjax` command: one verb a file, one line for a user's mistake."""

from __future__ import annotations

import argparse
import importlib
import io
import itertools
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from bertjax.cli.compilation import keep_compiled
from bertjax.cli.memory import keep_freed_memory, take_gpu_memory
from bertjax.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, UserError, nearest
from bertjax.version import __version__

# Verb -> module and what it does. Imported when used: `prepare` needs no JAX, `--help` nothing.
VERBS = {
    "prepare": ("bertjax.cli.prepare", "text -> tokenized corpus"),
    "pretrain": ("bertjax.cli.pretrain", "corpus -> run (the same command again resumes it)"),
    "replay": ("bertjax.cli.replay", "run -> whether its steps, repeated, give the same states"),
    "adapt": ("bertjax.cli.adapt", "model + text of a domain -> run that goes on with it"),
    "finetune": ("bertjax.cli.finetune", "run or Hugging Face directory + labelled files -> model"),
    "evaluate": ("bertjax.cli.evaluate", "fine-tuned runs on a labelled file"),
    "predict": ("bertjax.cli.predict", "fine-tuned runs on unlabelled text"),
    "fuse": ("bertjax.cli.fuse", "fine-tuned runs -> one: averaged, voted, stacked, or a soup"),
    "fill-mask": ("bertjax.cli.fill_mask", "run -> what it thinks stands at [MASK]"),
    "probe": (
        "bertjax.cli.probe",
        "run -> what it knows of sentence pairs, unseen text, words",
    ),
    "ablate": ("bertjax.cli.ablate", "arms that differ in a few fields -> what that is worth"),
    "compare": ("bertjax.cli.compare", "runs beside one another: their configs and their curves"),
    "export": ("bertjax.cli.export", "run -> Hugging Face directory"),
    "bench": ("bertjax.cli.bench", "how fast a config trains here, and where its time goes"),
    "plan": ("bertjax.cli.plan", "will it fit, and how fast could it be, on hardware not here"),
    "import": ("bertjax.cli.import_", "Hugging Face directory -> run, to continue pretraining"),
    "recipes": ("bertjax.cli.recipes", "the recipes that come with bertjax"),
    "options": ("bertjax.cli.options", "every option of a verb, its default and what it means"),
    "info": ("bertjax.cli.info", "what a corpus, a run or a Hugging Face directory holds"),
}

TAKES_FIELDS = ("pretrain", "replay", "adapt", "finetune", "ablate", "bench", "plan")
TRAINS = ("pretrain", "replay", "adapt", "finetune", "ablate", "bench")
COMPUTES = (*TRAINS, "evaluate", "predict", "fuse", "probe")
# bench, which says how long compiling takes, and plan, for chips not here, compile anew.
COMPILES = (*(verb for verb in COMPUTES if verb != "bench"), "fill-mask", "export", "import")


class _Parser(argparse.ArgumentParser):
    """Raises what it would print and exit for."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


class _Help(argparse.HelpFormatter):
    """Says of each option its default too."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return (action.help or "") + default_of(action).replace("%", "%%")


def default_of(action: argparse.Action) -> str:
    """What stands behind the help of an option: its default, where it takes a value and has one."""
    return f" (default {action.default})" if action.nargs != 0 and action.default else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    arguments = list(map(_expand_home, sys.argv[1:] if argv is None else argv))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show × gets a ?
    # The first thing TensorStore's and XLA's C++ would say is noise to a user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    return in_one_line("bertjax", lambda: _dispatch(_readable(arguments)))


def _readable(arguments: list[str]) -> list[str]:
    """The arguments, all of which are Unicode; UserError names the one that is not."""
    for item in arguments:
        if re.search("[\udc80-\udcff]", item):
            raise UserError(
                f"{item!a} is not UTF-8: rename the file, or give a symbolic link to it with "
                "another name"
            )
    return arguments


def in_one_line(name: str, run: Callable[[], int | None]) -> int:
    """Run a program; returns its exit code. What a user can mend becomes one line, not a trace."""
    try:
        return run() or 0
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BAD_INPUT


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print("usage: bertjax VERB ... (bertjax VERB --help says more)\n")
        for verb, (_, summary) in VERBS.items():
            print(f"  {verb:<10} {summary}")
        return 0
    if argv[0] == "--version":
        print(f"bertjax {__version__}")
        return 0
    verb = argv[0]
    if verb not in VERBS:
        raise UserError(f"unknown command {verb!r}: {nearest(verb, VERBS)}")
    if verb in COMPUTES:
        keep_freed_memory()
    if verb in TRAINS:
        take_gpu_memory(alone=verb != "bench")  # which may run PyTorch as well
    if verb in COMPILES:
        keep_compiled()
    module, parser = parser_of(verb)
    options = [option for action in parser._actions for option in action.option_strings]
    arguments = argv[1:]
    if verb in TAKES_FIELDS:
        arguments = _without_dashes(arguments, options)
    _check_options(verb, arguments, options)
    return module.run(parser.parse_intermixed_args(arguments)) or 0


def parser_of(verb: str) -> tuple[Any, argparse.ArgumentParser]:
    """The module of a verb, and the parser with its options."""
    module_name, summary = VERBS[verb]
    module = importlib.import_module(module_name)
    parser = _Parser(
        prog=f"bertjax {verb}", description=summary, allow_abbrev=False, formatter_class=_Help
    )
    module.add_arguments(parser)
    return module, parser


def _expand_home(item: str) -> str:
    """Expand the ~ of `--out=~/x` and `data.corpus=~/x`, which shells leave, and of '~/x'."""
    if item == "~" or item.startswith("~/"):
        return os.path.expanduser(item)
    name, equals, value = item.partition("=")
    if equals and value.startswith("~") and re.fullmatch(r"-{0,2}[A-Za-z][\w.-]*", name):
        return f"{name}={os.path.expanduser(value)}"
    return item


def _without_dashes(argv: list[str], options: list[str]) -> list[str]:
    """Take `--train.steps=3` and `--train.steps 3` for `train.steps=3`."""
    taken, rest = [], iter(argv)
    for item in rest:
        name, equals, value = item.partition("=")
        if item.startswith("--") and "." in name and name not in options:
            item = f"{name[2:]}={value if equals else next(rest, '')}"
        taken.append(item)
    return taken


def _check_options(verb: str, argv: list[str], known: list[str]) -> None:
    """Name the nearest option to an unknown one, before argparse asks for one that is missing."""
    for item in itertools.takewhile(lambda item: item != "--", argv):
        name = item.partition("=")[0]
        if name.startswith("--") and name not in known:
            fields = (
                ""
                if verb not in TAKES_FIELDS
                else "; fields of the config come without dashes, as in optim.learning_rate=1e-4"
            )
            raise UserError(f"unknown option {name!r} for {verb}: {nearest(name, known)}{fields}")


if __name__ == "__main__":
    sys.exit(main())

"""An Apache Beam pipeline for the runner and options a user names."""

from __future__ import annotations

import contextlib
import difflib
import io
import shlex
from typing import TYPE_CHECKING

from bertjax.errors import UserError, nearest

if TYPE_CHECKING:
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions


def open_pipeline(runner: str, options: str = "") -> apache_beam.Pipeline:
    """Return an empty pipeline for `runner`; `options` are Beam's own, as in a shell.

    `runner` is one of Beam's names in any case, with or without `Runner`, or the dotted path of a
    class. Raises `UserError` for a name or an option that Beam refuses, and without Beam.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import StandardOptions
    except ImportError:
        raise UserError(
            f"--beam-runner {runner} needs Apache Beam: pip install 'bertjax[beam]'"
        ) from None
    names = StandardOptions.KNOWN_RUNNER_NAMES
    known = {name.lower() for name in names}
    if "." not in runner and not known & {runner.lower(), runner.lower() + "runner"}:
        raise UserError(
            f"--beam-runner {runner}: Beam has no such runner: {nearest(runner, names)}"
        )
    if runner.lower() in ("direct", "directrunner"):
        runner = "FnApiRunner"  # what it ends in, having tried to download another and run that
    parsed = _parse(options)
    try:
        return beam.Pipeline(runner=runner, options=parsed)
    except Exception as error:  # of a missing extra, a wrong path, an option the runner needs
        reason = " ".join(str(error).split())
        raise UserError(f"--beam-runner {runner}: {reason}") from None


def _parse(options: str) -> PipelineOptions:
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        words = shlex.split(options)
    except ValueError as error:
        raise UserError(f"--beam-options {options!r}: {error}: write them as in a shell") from None
    parsed = PipelineOptions(words)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            names = set(parsed.get_all_options(retain_unknown_options=True))
    except SystemExit:  # argparse leaves after its usage and one line about what is wrong
        reason = said.getvalue().strip().splitlines()[-1].partition("error: ")[2]
        raise UserError(f"--beam-options {options!r}: {reason}") from None
    known = set(PipelineOptions([]).get_all_options())
    for name in sorted(names - known):
        # A runner may know options that Beam does not; what resembles one of Beam's is a mistake.
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        if close:
            raise UserError(f"--beam-options: unknown '--{name}': did you mean '--{close[0]}'?")
    return parsed

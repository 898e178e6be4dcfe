"""Sessions for the command line: every failure becomes one sentence for its user."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Any

import onnxruntime as ort
from rich.console import Console

import onnxruntime_ep_sparsecpu as sparsecpu

_MAX_COLUMNS = 100
CPU_PROVIDER = "CPUExecutionProvider"


class UserError(Exception):
    """A mistake of the user, as a sentence."""


def console() -> Console:
    """Standard output, at most 100 columns wide, and exactly that where it is not a terminal."""
    columns = shutil.get_terminal_size((_MAX_COLUMNS, 25)).columns if sys.stdout.isatty() else _MAX_COLUMNS
    return Console(width=min(columns, _MAX_COLUMNS), highlight=False)


def create(
    model: str | bytes, name: str, provider: str, options: Mapping[str, str] | None = None, threads: int = 0
) -> Any:
    """An InferenceSession on `provider` and, behind it, the CPU provider.

    model: a path or the serialized model. name: what to call it in a message. threads: 0 for all cores.
    Raises UserError when the session cannot be created.
    """
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3  # errors: nodes left to the CPU provider are shown in the output anyway
    settings.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the cores to others
    chosen = [(provider, dict(options or {}))]
    if provider != CPU_PROVIDER:
        _register()
        chosen.append((CPU_PROVIDER, {}))
    try:
        return ort.InferenceSession(model, settings, providers=chosen, enable_fallback=0)
    except Exception as error:
        raise UserError(f"cannot create a session for {name}: {first_line(error)}") from error


def _register() -> None:
    try:
        sparsecpu.register()
    except Exception as error:
        raise UserError(f"{sparsecpu.get_ep_name()} cannot be registered: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """An exception's text as one line, without ONNX Runtime's status prefix."""
    text = " ".join(str(error).split()) or type(error).__name__
    prefix, separator, rest = text.partition(" : ")
    if separator and prefix.startswith("[ONNXRuntimeError]"):
        parts = rest.split(" : ", 2)
        text = parts[-1]
    return text

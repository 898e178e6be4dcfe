"""Sessions on either provider; every failure becomes one sentence for its user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnxruntime as ort

import onnxruntime_ep_sparsecpu as sparsecpu
from onnxruntime_ep_sparsecpu.tools.errors import RunError, UserError, first_line
from onnxruntime_ep_sparsecpu.tools.feeds import check_assumed
from onnxruntime_ep_sparsecpu.tools.source import Source

_ORT_FORMAT = ".ort"  # of files that ONNX Runtime alone reads

CPU_PROVIDER = "CPUExecutionProvider"


def session_options(threads: int = 0) -> Any:
    """SessionOptions as the tools use them. threads: 0 for all cores."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 4  # errors are raised too; nodes left to the CPU provider are shown in the output
    settings.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads leave the cores to others
    return settings


def create(
    source: Source, provider: str, options: Mapping[str, str] | None = None, threads: int = 0, settings: Any = None
) -> Any:
    """An InferenceSession on `provider` and, behind it, the CPU provider.

    options: of the provider. settings: SessionOptions instead of those of session_options(threads).
    Raises UserError when the session cannot be created, and for a size of an axis that the model does not have.
    """
    chosen = [(provider, dict(options or {}))]
    if provider != CPU_PROVIDER:
        _register()
        assumed = (options or {}).get("assume")
        if assumed and (source.path is None or source.path.suffix != _ORT_FORMAT):
            check_assumed(assumed, source.proto)
        chosen.append((CPU_PROVIDER, {}))
    settings = settings or session_options(threads)
    if source.path is None and source.folder:
        settings.add_session_config_entry("session.model_external_initializers_file_folder_path", source.folder)
    try:
        return ort.InferenceSession(source.argument, settings, providers=chosen, enable_fallback=0)
    except Exception as error:
        why = first_line(error).removeprefix(f"Load model from {source.argument!s} failed:")
        raise UserError(f"cannot create a session for {source.name}: {why}") from error


def run(session: Any, feeds: Mapping[str, Any], source: Source) -> list[Any]:
    """All outputs. Raises RunError, naming the model, when a run fails."""
    try:
        return list(session.run(None, dict(feeds)))
    except Exception as error:
        raise RunError(f"cannot run {source.name}: {first_line(error)}") from error


def _register() -> None:
    try:
        sparsecpu.register()
    except Exception as error:
        raise UserError(f"{sparsecpu.get_ep_name()} cannot be registered: {first_line(error)}") from error

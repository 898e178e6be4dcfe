"""SparseCPUProvider: an ONNX Runtime execution provider that runs pruned and quantized models with sparse kernels.

Importing this package registers the provider, so that one argument selects it::

    import onnxruntime as ort
    import onnxruntime_ep_sparsecpu

    session = ort.InferenceSession("model.onnx", providers=["SparseCPUProvider"])

Options go with the name, as strings: ``providers=[("SparseCPUProvider", {"min_sparsity": "0.5"})]``.
:func:`provider_options` lists them. One that is misspelt or out of range makes the creation of the session fail with a
sentence that says so.

Selecting the provider by name needs onnxruntime 1.25 or newer. With 1.23 and 1.24, use :func:`add_to`.

Environment: ``SPARSECPU_NO_REGISTER=1`` (import does not register), ``SPARSECPU_ISA`` (lowers the instruction-set
level), ``SPARSECPU_LOG`` (level of messages, over the option ``log``).
"""

from __future__ import annotations

import importlib
import json
import os
import re
import threading
import uuid
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from onnxruntime_ep_sparsecpu import _native

if TYPE_CHECKING:
    import onnxruntime

__version__: str = _native.__version__
__all__ = [
    "ProviderOption",
    "add_to",
    "available_isas",
    "get_ep_name",
    "get_ep_names",
    "get_library_path",
    "measure",
    "provider_options",
    "register",
    "report",
    "unregister",
]

_EP_NAME = "SparseCPUProvider"
_LIBRARY = "libonnxruntime_ep_sparsecpu.so"
_OLDEST_ORT = (1, 23)

_lock = threading.Lock()
_registered = False


def get_library_path() -> str:
    """Absolute path of the plugin library, for ``onnxruntime.register_execution_provider_library``."""
    return str(Path(__file__).absolute().parent / _LIBRARY)


def get_ep_name() -> str:
    """Name of the provider, as written in ``providers=[...]``."""
    return _EP_NAME


def get_ep_names() -> list[str]:
    """Names of all providers in the plugin library: one."""
    return [_EP_NAME]


def available_isas() -> list[str]:
    """Instruction-set levels this process may use, ascending, e.g. ``["scalar", "avx2", "avx512"]``.

    Raises RuntimeError if ``SPARSECPU_ISA`` names no level.
    """
    return _native.available_isas()


class ProviderOption(NamedTuple):
    """An option of the provider: its name, the values it takes and what they mean, in Markdown."""

    name: str
    values: str
    meaning: str


def provider_options() -> list[ProviderOption]:
    """The options that go with the provider's name, as the table in README.md has them.

    The values of ``isa`` are all levels that there are; :func:`available_isas` has those of this machine.
    """
    return [ProviderOption(*row) for row in _native.provider_options()]


def _onnxruntime() -> ModuleType:
    """The onnxruntime module; ImportError with advice if it is missing or too old."""
    try:
        module = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(
            f"{_EP_NAME} needs onnxruntime 1.25 or newer, which is not installed: pip install onnxruntime"
        ) from error
    numbers = re.match(r"(\d+)\.(\d+)", str(module.__version__))
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST_ORT:
        raise ImportError(
            f"{_EP_NAME} needs onnxruntime 1.25 or newer (1.23 and 1.24 with add_to()), found "
            f"{module.__version__}: pip install --upgrade onnxruntime"
        )
    return module


def register() -> None:
    """Make the provider known to onnxruntime. Does nothing if it is already known.

    Raises ImportError if onnxruntime is missing or too old.
    """
    global _registered
    with _lock:
        if _registered:
            return
        ort = _onnxruntime()
        # Somebody may have registered the library by hand: a second registration would list the device twice.
        if not any(device.ep_name == _EP_NAME for device in ort.get_ep_devices()):
            ort.register_execution_provider_library(_EP_NAME, get_library_path())
        _registered = True


def unregister() -> None:
    """Withdraw the provider from onnxruntime. Sessions that use it go on working.

    Does nothing if :func:`register` did not register it.
    """
    global _registered
    with _lock:
        if not _registered:
            return
        _onnxruntime().unregister_execution_provider_library(_EP_NAME)
        _registered = False


def add_to(session_options: onnxruntime.SessionOptions, options: dict[str, str] | None = None) -> None:
    """Select the provider in ``session_options``: the way that works from onnxruntime 1.23 on.

    Pass the session options to ``InferenceSession`` without ``providers``. ``options`` are those of
    :func:`provider_options`. Raises RuntimeError if the provider is not registered.
    """
    devices = [device for device in _onnxruntime().get_ep_devices() if device.ep_name == _EP_NAME]
    if not devices:
        raise RuntimeError(f"{_EP_NAME} is not registered: call onnxruntime_ep_sparsecpu.register() first")
    session_options.add_provider_for_devices(devices[:1], options or {})


def report(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """What became of every node of the session's model, subgraphs included.

    Returns a dict with

    - ``provider``, ``version``, ``onnxruntime``, ``isa``, ``threads`` (of the session, for which its work is cut: as
      many as have been seen to take part, at most one for each CPU; 0 before the first run), ``layers_packed`` (whose
      weights were packed for this session: equal ones once, and none that another session has packed), ``options`` (as
      given), ``assumed`` (symbolic axis -> size that the prediction used);
    - ``graphs``: for the main graph and each subgraph a ``name``, the ``parent_node`` that holds it, an ``error`` if
      it could not be analysed, and its ``nodes`` as ONNX Runtime showed them after its basic optimizations. Each node
      has

      - ``name``, ``op_type``, ``domain``, ``inputs`` and ``outputs`` (names of values), ``provider``
        ("SparseCPUProvider" or "": left to others), ``region`` (index into ``regions`` or -1), ``unit`` (index of the
        node that has the figures: those of a unit, as in QDQ form, are computed as one; else its own), ``reason``,
        ``pattern``;
      - of a matrix operator: ``layer`` ("a 3x3 convolution at 56x56"), ``multiply_adds`` (at the assumed shape, zero
        weights included; 0 where unknown), ``sparsity`` of its constant weights (0..1 or None), ``group_sparsity``
        (INT8: share of the groups of 4 input channels without a nonzero weight), ``needed_sparsity`` (from which share
        of zeros, INT8: of such groups, it is faster here by itself; None where zeros do not help);
      - ``kernel``, ``computed_in`` (index of the node of this graph whose kernel does its work, None: its own),
        ``dense_bytes``, ``packed_bytes`` (0 where a node before it has the same), ``cpu_us`` and ``here_us`` (predicted
        microseconds of one thread);
      - after :func:`measure`: ``measured_us`` (its kernel in an average run, else None), ``measured_multiply_adds``
        (at the shapes that ran, zero weights included, else None), ``layout_us`` (kind -> microseconds spent on bringing
        its inputs and output into form: import, export, relayout, halo, copy);
    - ``regions``: ``fused_node`` (its name in ONNX Runtime's profile), ``graph``, ``nodes`` (indices),
      ``measured_runs``, ``measured_us`` (the whole call in an average run, or None).

    Raises ValueError if the session does not use the provider, and RuntimeError if onnxruntime is older than the
    way that a report is found (1.23).
    """
    text = _native.take_report(_file_report(session))
    if not text:
        raise ValueError(f"the session does not use {_EP_NAME}: its providers are {session.get_providers()}")
    content: dict[str, Any] = json.loads(text.decode("utf-8", errors="replace"))
    return content


def measure(session: onnxruntime.InferenceSession, on: bool = True) -> None:
    """Time every kernel of the session's runs from now on, or stop; :func:`report` has the averages.

    Turning it on begins afresh, turning it off keeps what was measured. Runs at once add up. A step is timed from the
    end of the one before, which costs a few clock readings a node; a session that is not measured pays nothing.

    Raises RuntimeError if onnxruntime is older than 1.23. Does nothing for a session without the provider.
    """
    _set_dynamic_option(session, _native.MEASURE_OPTION, "on" if on else "off")


def _keep_values(session: onnxruntime.InferenceSession, on: bool) -> None:
    """Keeps what every kernel makes in the runs that follow, until turned off: for `sparsecpu compare --per-op`."""
    _set_dynamic_option(session, _native.KEEP_VALUES_OPTION, "on" if on else "off")


def _kept_values(session: onnxruntime.InferenceSession) -> list[tuple[bytes, int, list[int], bytes]]:
    """Name, ONNX element type, shape and row-major bytes of each value of the main graph that a kernel made last."""
    return _native.take_values(_file_report(session))


def _file_report(session: onnxruntime.InferenceSession) -> str:
    """The nonce under which the library now finds the session's report."""
    nonce = uuid.uuid4().hex
    _set_dynamic_option(session, _native.IDENTIFY_OPTION, nonce)
    return nonce


def _set_dynamic_option(session: onnxruntime.InferenceSession, key: str, value: str) -> None:
    if not hasattr(session, "get_providers"):
        raise TypeError(f"expected an onnxruntime.InferenceSession, not {session!r}")
    if not hasattr(session, "set_ep_dynamic_options"):
        raise RuntimeError("this needs a newer onnxruntime: pip install --upgrade onnxruntime")
    session.set_ep_dynamic_options({key: value})


def _register_on_import() -> None:
    if os.environ.get("SPARSECPU_NO_REGISTER") == "1":
        return
    try:
        register()
    except Exception as error:  # noqa: BLE001  (an import must not fail, whatever onnxruntime raises)
        warnings.warn(f"{_EP_NAME} is not registered: {error}", RuntimeWarning, stacklevel=3)


_register_on_import()

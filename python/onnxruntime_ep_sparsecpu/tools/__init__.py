"""What the commands of `sparsecpu` compute, as functions that return plain data. They take a model as the path of
its file, the name of a built-in network, an onnx.ModelProto or what open_source returns. A mistake of the caller raises
UserError, whose text is one sentence."""

from onnxruntime_ep_sparsecpu.tools.annotation import annotate
from onnxruntime_ep_sparsecpu.tools.assignment import explain
from onnxruntime_ep_sparsecpu.tools.comparison import compare
from onnxruntime_ep_sparsecpu.tools.errors import UserError
from onnxruntime_ep_sparsecpu.tools.evaluation import evaluate
from onnxruntime_ep_sparsecpu.tools.feeds import make_feeds
from onnxruntime_ep_sparsecpu.tools.hardware import check_hardware
from onnxruntime_ep_sparsecpu.tools.page import html_page
from onnxruntime_ep_sparsecpu.tools.profiling import profile
from onnxruntime_ep_sparsecpu.tools.pruning import prune
from onnxruntime_ep_sparsecpu.tools.source import Source, open_source
from onnxruntime_ep_sparsecpu.tools.timing import benchmark

__all__ = [
    "Source",
    "UserError",
    "annotate",
    "benchmark",
    "check_hardware",
    "compare",
    "evaluate",
    "explain",
    "html_page",
    "make_feeds",
    "open_source",
    "profile",
    "prune",
]

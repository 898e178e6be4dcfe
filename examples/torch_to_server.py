"""From a torch module to an HTTP server: export, prune, quantize, serve on SparseCPUProvider.

    python examples/torch_to_server.py [--port 8000]              # serve until Ctrl-C
    python examples/torch_to_server.py --requests 64              # serve, ask 64 times, stop

    curl --data-binary @image.npy http://127.0.0.1:8000/

The module here has random weights. With your own, prune while you train (torch.nn.utils.prune, or a recipe of your
training library) instead of the second step, and calibrate the third with your own images.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu  # registers the provider
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime_ep_sparsecpu import tools

INPUT, OUTPUT = "image", "scores"


class Block(torch.nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = []
        for _ in range(2):
            layers += [torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False), torch.nn.BatchNorm2d(channels)]
            layers += [torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.layers(x))


def network(channels: int, blocks: int = 4, classes: int = 10) -> torch.nn.Module:
    stem = [torch.nn.Conv2d(3, channels, 7, stride=2, padding=3), torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, classes)]
    return torch.nn.Sequential(*stem, *(Block(channels) for _ in range(blocks)), *head).eval()


def export(module: torch.nn.Module, size: int, path: Path) -> None:
    """Step 1. A symbolic batch axis lets one file serve any batch."""
    axes = {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
    image = torch.zeros(1, 3, size, size)
    torch.onnx.export(
        module, (image,), str(path), input_names=[INPUT], output_names=[OUTPUT], dynamic_axes=axes, dynamo=False
    )


def prune(source: Path, target: Path, sparsity: float) -> None:
    """Step 2. Groups of four input channels, as INT8 layers skip them; the first layer stays dense, as is usual."""
    first = "^/0/Conv"
    result = tools.prune(tools.open_source(str(source)), str(target), sparsity, pattern="1x4", exclude=[first])
    print(f"pruned {len(result['layers'])} weights to {sparsity:.0%} zeros")


class Images(CalibrationDataReader):
    """Calibration data. Random here; take images of your application, or the scales fit nothing."""

    def __init__(self, size: int, count: int = 8) -> None:
        rng = np.random.default_rng(0)
        self.batches = iter([{INPUT: rng.standard_normal((1, 3, size, size), np.float32)} for _ in range(count)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def quantize(source: Path, target: Path, size: int) -> None:
    """Step 3. QDQ form with s8 weights; zeros stay zeros, since their zero point is 0."""
    prepared = source.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(target), Images(size), weight_type=QuantType.QInt8, per_channel=True)


def handler(session: ort.InferenceSession) -> type[BaseHTTPRequestHandler]:
    """Step 4. One session for all threads: Run is re-entrant."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                images = np.load(io.BytesIO(body), allow_pickle=False).astype(np.float32)
                (scores,) = session.run([OUTPUT], {INPUT: images})
                status, answer = 200, {"classes": scores.argmax(axis=1).tolist(), "scores": scores.tolist()}
            except Exception as error:  # noqa: BLE001  (a bad request must not end the server)
                status, answer = 400, {"error": str(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def ask(url: str, images: np.ndarray) -> dict:
    body = io.BytesIO()
    np.save(body, images)
    with urllib.request.urlopen(urllib.request.Request(url, body.getvalue()), timeout=60) as response:
        return json.load(response)


def check(url: str, requests: int, size: int, expected: ort.InferenceSession) -> None:
    """Asks from four threads, and counts how often the INT8 model chooses the class of the float one."""
    rng = np.random.default_rng(1)
    images = rng.standard_normal((requests, 1, 3, size, size), np.float32)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda image: ask(url, image), images))
    classes = [int(expected.run([OUTPUT], {INPUT: image})[0].argmax()) for image in images]
    same = sum(answer["classes"] == [label] for answer, label in zip(answers, classes, strict=True))
    print(f"{requests} requests answered; the float model chooses the same class for {same} of them")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--size", type=int, default=224, help="of the images, in pixels")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--port", type=int, default=8000, help="0: a free one")
    parser.add_argument("--requests", type=int, help="ask that often, then stop")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        dense, pruned, int8 = (Path(folder) / name for name in ("dense.onnx", "pruned.onnx", "int8.onnx"))
        export(network(arguments.channels), arguments.size, dense)
        prune(dense, pruned, arguments.sparsity)
        quantize(pruned, int8, arguments.size)
        providers = ["SparseCPUProvider", "CPUExecutionProvider"]
        session = ort.InferenceSession(str(int8), providers=providers)
        floats = ort.InferenceSession(str(pruned), providers=providers)

    nodes = onnxruntime_ep_sparsecpu.report(session)["graphs"][0]["nodes"]
    convolutions = [bool(node["provider"]) for node in nodes if node["op_type"] == "Conv"]
    print(f"{sum(convolutions)} of {len(convolutions)} convolutions run on SparseCPUProvider")

    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), handler(session))
    url = f"http://127.0.0.1:{server.server_port}/"
    print(f"serving on {url}")
    if arguments.requests is None:
        server.serve_forever()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    check(url, arguments.requests, arguments.size, floats)
    server.shutdown()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print()

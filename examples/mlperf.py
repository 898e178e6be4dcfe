"""MLPerf LoadGen, scenarios SingleStream and Offline, on SparseCPUProvider.  pip install mlcommons-loadgen

    python examples/mlperf.py --model resnet50 --sparsity 0.9 --scenario Offline
    python examples/mlperf.py --model model.onnx --provider CPUExecutionProvider

The samples are random: this measures speed as MLPerf does, and is no submission. LoadGen writes its logs to --out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlperf_loadgen as lg
import numpy as np
import onnxruntime as ort
import onnxruntime_ep_sparsecpu  # noqa: F401  registers the provider
from onnxruntime_ep_sparsecpu import tools

SAMPLES = 64
SCENARIOS = {"SingleStream": lg.TestScenario.SingleStream, "Offline": lg.TestScenario.Offline}


class SystemUnderTest:
    """Answers queries with runs of one session, `streams` of them at once."""

    def __init__(self, session: ort.InferenceSession, samples: Sequence[dict[str, np.ndarray]], streams: int) -> None:
        self.session = session
        self.samples = samples
        self.pool = ThreadPoolExecutor(streams)

    def issue(self, queries: list[lg.QuerySample]) -> None:
        for query in queries:
            self.pool.submit(self._answer, query)

    def _answer(self, query: lg.QuerySample) -> None:
        result = self.session.run(None, self.samples[query.index % len(self.samples)])[0]
        result = np.ascontiguousarray(result)  # LoadGen reads its memory before the call below returns
        lg.QuerySamplesComplete([lg.QuerySampleResponse(query.id, result.ctypes.data, result.nbytes)])

    def flush(self) -> None:
        pass


def settings(scenario: str, seconds: float, queries: int) -> lg.TestSettings:
    result = lg.TestSettings()
    result.scenario = SCENARIOS[scenario]
    result.mode = lg.TestMode.PerformanceOnly
    result.min_duration_ms = int(seconds * 1000)
    result.min_query_count = queries if scenario == "SingleStream" else 1
    result.offline_expected_qps = max(queries / max(seconds, 1e-3), 1.0)
    return result


def log_settings(folder: Path) -> lg.LogSettings:
    result = lg.LogSettings()
    result.log_output.outdir = str(folder)
    result.log_output.copy_summary_to_stdout = False
    result.enable_trace = False
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50", help="path, or resnet50, mobilenet, bert")
    parser.add_argument("--sparsity", type=float, help="of a built-in network")
    parser.add_argument("--int8", action="store_true", help="a built-in network, quantized")
    parser.add_argument("--provider", default="SparseCPUProvider")
    parser.add_argument("--scenario", choices=SCENARIOS, default="SingleStream")
    parser.add_argument("--seconds", type=float, default=10.0, help="at least (MLPerf asks for 600)")
    parser.add_argument("--queries", type=int, default=100, help="at least; Offline: expected in that time")
    parser.add_argument("--out", type=Path, default=Path("mlperf_logs"), help="folder of LoadGen's logs")
    arguments = parser.parse_args()

    source = tools.open_source(arguments.model, arguments.sparsity, arguments.int8)
    samples = [tools.make_feeds(source.proto, seed=seed) for seed in range(SAMPLES)]
    offline = arguments.scenario == "Offline"
    streams = len(os.sched_getaffinity(0)) if offline else 1
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1 if offline else 0  # Offline: one core for each query, as many queries as cores
    providers = list(dict.fromkeys([arguments.provider, "CPUExecutionProvider"]))
    session = ort.InferenceSession(source.argument, options, providers=providers)
    session.run(None, samples[0])

    arguments.out.mkdir(parents=True, exist_ok=True)
    system = SystemUnderTest(session, samples, streams)
    sut = lg.ConstructSUT(system.issue, system.flush)
    library = lg.ConstructQSL(SAMPLES, SAMPLES, lambda indices: None, lambda indices: None)
    test = settings(arguments.scenario, arguments.seconds, arguments.queries)
    lg.StartTestWithLogSettings(sut, library, test, log_settings(arguments.out))
    system.pool.shutdown()
    lg.DestroyQSL(library)
    lg.DestroySUT(sut)

    for line in (arguments.out / "mlperf_log_summary.txt").read_text().splitlines():
        if any(part in line for part in ("Scenario", "Result is", "per second", "percentile latency")):
            print(line)


if __name__ == "__main__":
    main()

"""`sparsecpu explain`: the sums, what would have to be pruned, the page and the annotated copy."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from harness import PROVIDER, assert_close, child, cpu_session
from onnxruntime_ep_sparsecpu import cli, models, tools
from onnxruntime_ep_sparsecpu.tools.source import Source, quantize

Report = dict[str, Any]


def explained(model: onnx.ModelProto, **options: str) -> Report:
    return tools.explain(Source("model", model), options)


def test_totals_of_a_network() -> None:
    totals = explained(models.resnet50(0.9), min_sparsity="0")["totals"]
    assert totals["convolutions"] == totals["claimed_convolutions"] == 53
    assert totals["products"] == totals["claimed_products"] == 1
    assert totals["multiply_adds"] == totals["claimed_multiply_adds"] > 4e9
    assert 0 < totals["packed_bytes"] < totals["dense_bytes"]
    left = explained(models.resnet50(0.0))["totals"]
    assert left["claimed_convolutions"] == left["claimed_multiply_adds"] == 0
    assert left["multiply_adds"] == totals["multiply_adds"]


def test_the_arithmetic_is_never_rounded_to_all_of_it() -> None:
    from onnxruntime_ep_sparsecpu.tools.assignment import arithmetic_here

    shares = {999: "99.9%", 9999: "99.9%", 10000: "100%", 9700: "97%", 0: "0%"}
    for claimed, text in shares.items():
        whole = 1000 if claimed == 999 else 10000
        assert arithmetic_here({"claimed_multiply_adds": claimed, "multiply_adds": whole}) == text


@pytest.mark.parametrize("int8", [False, True])
def test_pruning_as_far_as_it_says_makes_a_layer_gain(int8: bool) -> None:
    """A layer with fewer zeros than needed is left and listed; with a little more it is claimed."""

    def layer(sparsity: float) -> onnx.ModelProto:
        g = models.GraphBuilder(seed=3, sparsity=sparsity)
        x = "input"
        for _ in range(4):  # several, so that the conversions at the edges are paid for
            x = g.conv(x, 128, 128, 3)
        model = g.model({"input": [1, 128, 28, 28]}, {x: [1, 128, 28, 28]})
        return quantize(model) if int8 else model

    dense = explained(layer(0.05))
    assert dense["totals"]["claimed_convolutions"] == 0
    assert len(dense["to_prune"]) == 4
    needed = max(entry["needed"] for entry in dense["to_prune"])
    for entry in dense["to_prune"]:
        assert entry["of_groups"] == int8
        assert entry["zeros"] < entry["needed"] < 1
        assert dense["graphs"][0]["nodes"][entry["node"]]["op_type"] == "Conv"
    # A group of four random weights is zero if all are.
    enough = (needed ** (0.25 if int8 else 1.0)) + 0.1
    pruned = explained(layer(min(enough, 0.98)))
    assert pruned["totals"]["claimed_convolutions"] == 4 and not pruned["to_prune"]


def test_table_says_what_to_prune(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(models.resnet50(0.0, height=64, width=64), tmp_path / "dense.onnx")
    assert cli.main(["explain", str(tmp_path / "dense.onnx")]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "To gain, these layers need more zeros" in text
    more = re.search(r"and (\d+) more", text)
    assert more and int(more[1]) == len(explained(onnx.load(tmp_path / "dense.onnx"))["to_prune"]) - 10
    assert "claims 0 of 53 convolutions, 0 of 1 matrix product, 0% of the arithmetic" in text


def test_quantized_units_are_one_row(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    onnx.save(quantize(models.mobilenet_v1(0.9, height=64, width=64)), tmp_path / "int8.onnx")
    arguments = ["explain", str(tmp_path / "int8.onnx"), "--option", "min_sparsity=0"]
    assert cli.main(arguments) == 0
    rows = capsys.readouterr().out
    assert cli.main([*arguments, "--all"]) == 0
    every = capsys.readouterr().out
    assert every.count(" DequantizeL") > 80 and rows.count(" DequantizeL") <= 2
    assert rows.count(" Conv ") == every.count(" Conv ") == 27


class _Page(html.parser.HTMLParser):
    """What a page refers to, its ids, and whether its elements nest."""

    VOID = frozenset(["meta", "input", "br", "line", "rect"])

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            assert name not in ("src", "xlink:href", "srcset"), f"the page loads {value}"
            if name == "id":
                self.ids.add(str(value))
            if name == "href":
                self.links.add(str(value))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    model = tmp_path / "<b>&.onnx"
    network = models.resnet50(0.9, height=64, width=64)
    network.graph.node[0].name = "<script>alert(1)</script>"
    onnx.save(network, model)
    assert cli.main(["explain", str(model), "--html", str(page)]) == 0
    assert "claims" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    parsed = _Page(text)
    assert parsed.tags["script"] == 1, "a name became markup"
    assert not re.search(r"https?://|@import|url\(", text), "the page needs something from elsewhere"
    nodes = tools.explain(tools.open_source(str(model)))["graphs"][0]["nodes"]
    assert {f"n0-{i}" for i in range(len(nodes))} <= parsed.ids
    assert {link.removeprefix("#") for link in parsed.links} <= parsed.ids
    assert len(parsed.links) == sum(node["multiply_adds"] > 0 for node in nodes) == 54


def metadata(node: onnx.NodeProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in node.metadata_props}


def test_annotated_copy(tmp_path: Path) -> None:
    """A torch export: nodes that stay, that are merged into others, that are folded; the copy computes the same."""
    exports = pytest.importorskip("exports")
    path = exports.random_bert(tmp_path / "bert.onnx")
    out = str(tmp_path / "annotated.onnx")
    source = tools.open_source(str(path))
    report = tools.explain(source, {"min_sparsity": "0"})
    counts = tools.annotate(source, report, out)
    nodes = onnx.load(out).graph.node
    assert sum(counts.values()) == len(nodes) and counts["same"] > 0 and counts["gone"] > 0
    assert all(metadata(node).get("sparsecpu.reason") for node in nodes)
    here = [node for node in nodes if metadata(node).get("sparsecpu.provider") == PROVIDER]
    assert len([node for node in here if node.op_type == "MatMul" and "sparsecpu.zeros" in metadata(node)]) == 2 * 6
    for node in here:
        region = int(metadata(node)["sparsecpu.region"])
        assert 0 <= region < len(report["regions"])
    ids = np.arange(14).reshape(2, 7)
    feed = dict(zip(exports.INPUTS, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))
    assert_close(cpu_session(out).run(None, feed), cpu_session(path).run(None, feed), 0)


def test_annotated_nodes_that_were_merged(tmp_path: Path) -> None:
    """A MatMul and its Add become Gemm between two Reshapes."""
    source = Source("bert", models.bert(0.9, layers=1, sequence=16))
    counts = tools.annotate(source, tools.explain(source), str(tmp_path / "annotated.onnx"))
    merged = [
        node
        for node in onnx.load(tmp_path / "annotated.onnx").graph.node
        if metadata(node).get("sparsecpu.optimized_to", "").startswith("Gemm")
    ]
    assert counts["merged"] >= len(merged) > 0
    assert {node.op_type for node in merged} == {"MatMul"}
    assert all("matrix product" in metadata(node)["sparsecpu.layer"] for node in merged)


def test_annotated_copy_of_a_model_with_external_data(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "copy").mkdir()
    model = models.mobilenet_v1(0.9, height=32, width=32)
    path, out = tmp_path / "model" / "m.onnx", tmp_path / "copy" / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin")
    source = tools.open_source(str(path))
    tools.annotate(source, tools.explain(source), str(out))
    feed = models.random_inputs(onnx.load(path))
    assert_close(cpu_session(out).run(None, feed), cpu_session(path).run(None, feed), 0)
    size = Path(f"{out}.data").stat().st_size
    tools.annotate(source, tools.explain(source), str(out))
    assert Path(f"{out}.data").stat().st_size == size


def test_the_model_itself_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(
        models.mobilenet_v1(0.9, height=32, width=32), path, save_as_external_data=True, location="copy.onnx.data"
    )
    source = tools.open_source(str(path))
    before = [file.read_bytes() for file in (path, tmp_path / "copy.onnx.data")]
    for out in ("m.onnx", "copy.onnx"):
        with pytest.raises(tools.UserError, match="give the annotated copy another name"):
            tools.annotate(source, tools.explain(source), str(tmp_path / out))
    assert [file.read_bytes() for file in (path, tmp_path / "copy.onnx.data")] == before


def test_written_files_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(models.mobilenet_v1(0.9, height=32, width=32), tmp_path / "m.onnx")
    model, page, copy = str(tmp_path / "m.onnx"), str(tmp_path / "m.html"), str(tmp_path / "copy.onnx")
    assert cli.main(["explain", model, "--json", "--html", page, "--annotate", copy]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["totals"]["convolutions"] == 27
    assert "Wrote" in captured.err and Path(page).stat().st_size > 0
    onnx.checker.check_model(copy)
    for option in ("--html", "--annotate"):
        assert cli.main(["explain", model, option, str(tmp_path / "missing" / "file")]) == 2
        assert "cannot write" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """As `sparsecpu explain ... | head -1`."""
    onnx.save(models.resnet50(0.9, height=64, width=64), tmp_path / "m.onnx")
    command = [sys.executable, "-m", "onnxruntime_ep_sparsecpu.cli", "explain", str(tmp_path / "m.onnx"), "--json"]
    with child(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0

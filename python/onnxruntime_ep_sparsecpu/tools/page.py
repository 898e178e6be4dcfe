"""The report of a session as one HTML page: no other file, nothing from a network, charts as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from onnxruntime_ep_sparsecpu.tools.assignment import Node, arithmetic_here, is_here

Report = Mapping[str, Any]

_STYLE = """
:root { --ink: #1c2733; --soft: #64748b; --line: #e2e8f0; --cpu: #b6c2d1; --here: #16a37b; --left: #e9a23b; --zero: 37, 99, 235 }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; color: var(--ink); margin: 0; background: #f8fafc }
main { max-width: 1320px; margin: 0 auto; padding: 28px 24px 60px }
h1 { font-size: 24px; margin: 0 } h2 { font-size: 17px; margin: 0 0 10px }
.sub { color: var(--soft); margin: 2px 0 20px } .sub b { color: var(--ink); font-weight: 600 }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 14px; margin-bottom: 18px }
.card, section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 14px 18px }
.card b { display: block; white-space: nowrap; font-size: 25px; line-height: 1.25 } .card span { color: var(--soft); font-size: 13px }
section { margin-bottom: 18px; padding: 18px 20px }
.note { color: var(--soft); font-size: 13px; margin: 8px 0 0 }
.key { float: right; font-size: 13px; color: var(--soft) }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px }
.key span { white-space: nowrap; margin-left: 14px }
.wide { overflow-x: auto }
svg { display: block; width: 100%; min-width: 640px; height: auto } svg text { font-size: 11px; fill: var(--soft) }
svg a:hover rect.hit { fill: rgba(28, 39, 51, .07) }
table { border-collapse: collapse; width: 100%; font-size: 13px }
th { text-align: left; color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line); padding: 5px 7px }
td { border-bottom: 1px solid var(--line); padding: 4px 7px; vertical-align: top }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
td:first-child { overflow-wrap: anywhere; min-width: 150px } td span { white-space: nowrap }
tr.in td { color: var(--soft) } tr:target td { background: #fff7e0 }
.pill { display: inline-block; border-radius: 9px; padding: 0 8px; font-size: 12px; white-space: nowrap; background: #eef2f6 }
.pill.here { background: #d9f3ea; color: #0b6b50 }
.time { white-space: nowrap } .time div { height: 5px; border-radius: 2px; margin-top: 3px }
.why { color: var(--soft); font-size: 12px; min-width: 170px; max-width: 330px }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 18px; margin-bottom: 8px }
.tools { color: var(--soft); font-size: 13px }
input[type=search] { font: inherit; padding: 4px 9px; border: 1px solid var(--line); border-radius: 6px; width: 260px }
@media (max-width: 700px) {
  main { padding: 18px 10px 40px } section { padding: 14px 12px } .card b { font-size: 20px }
  h1, .sub { overflow-wrap: anywhere } .key { float: none; margin-bottom: 6px } .key span { margin: 0 14px 0 0 }
}
"""

_SCRIPT = """
const rows = [...document.querySelectorAll('tr[data-layer]')], search = document.querySelector('#search'),
      layers = document.querySelector('#layers');
const show = () => rows.forEach(row => row.hidden = layers.checked && row.dataset.layer === '0' ||
  !row.textContent.toLowerCase().includes(search.value.toLowerCase()));
search.oninput = layers.onchange = show;
show();
"""


def html_page(name: str, report: Report) -> str:
    """The page for a report of explain(). name: of the model."""
    options = ", ".join(f"{key}={value}" for key, value in report["options"].items()) or "defaults"
    sizes = ", ".join(f"{axis} = {size}" for axis, size in report["assumed"].items())
    facts = [
        *([escape(name)] if Path(name).name != name else []),
        f"SparseCPUProvider {report['version']}, onnxruntime {report['onnxruntime']}",
        f"instruction set <b>{escape(report['isa'])}</b>",
        f"options: <b>{escape(options)}</b>",
        *([f"predicted for <b>{escape(sizes)}</b>"] if sizes else []),
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: where it runs</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body><main>\n'
        f'<h1>{escape(Path(name).name)}</h1><p class="sub">{" · ".join(facts)}</p>\n'
        f"{_cards(report['totals'])}\n{_chart(report)}\n{_to_prune(report)}\n"
        f"{''.join(_node_section(report, index) for index in range(len(report['graphs'])))}"
        f"</main><script>{_SCRIPT}</script></body></html>\n"
    )


def _milliseconds(us: float) -> str:
    return f"{us / 1e3:.2f} ms" if us < 1e5 else f"{us / 1e3:.0f} ms"


def _bytes(count: float) -> str:
    return f"{count / (1 << 20):.1f} MB" if count >= 1 << 20 else f"{count / 1024:.1f} KB"


def _cards(totals: Report) -> str:
    before = totals["claimed_cpu_us"] + totals["left_cpu_us"]
    after = totals["claimed_here_us"] + totals["left_cpu_us"]
    cards = [(f"{totals['claimed_nodes']} of {totals['nodes']}", "nodes run on SparseCPUProvider")]
    if totals["multiply_adds"]:
        cards.insert(0, (arithmetic_here(totals), f"of {totals['multiply_adds'] / 1e9:.2f} G multiply-adds run here"))
    for plural, title in (("convolutions", "convolutions"), ("products", "matrix products with constant weights")):
        if totals[plural]:
            cards.append((f"{totals[f'claimed_{plural}']} of {totals[plural]}", f"{title} are claimed"))
    if totals["claimed_nodes"]:
        cards.append(
            (f"{_milliseconds(after)}", f"predicted on one thread; {_milliseconds(before)} all on the CPU provider")
        )
        cards.append((_bytes(totals["packed_bytes"]), f"of packed weights; {_bytes(totals['dense_bytes'])} as stored"))
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{b}</b><span>{s}</span></div>' for b, s in cards)
        + "</div>"
    )


# The chart: columns of a layer's two predicted times, and below them a strip of its zeros.
_WIDTH, _HEIGHT, _LEFT, _TOP, _STRIP = 1180, 230, 58, 8, 16


def _chart(report: Report) -> str:
    layers = [
        (g, n, node)
        for g, graph in enumerate(report["graphs"])
        for n, node in enumerate(graph["nodes"])
        if node["multiply_adds"] and node["cpu_us"]
    ]
    if not layers:
        return ""
    top = _round_up(max(max(node["cpu_us"], node["here_us"]) for *_, node in layers))
    parts = []
    for tick in range(5):
        us = top * tick / 4
        y = _TOP + _HEIGHT * (1 - tick / 4)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{us:.4g} µs</text>'
        )
    step = (_WIDTH - _LEFT) / len(layers)
    parts += [_column(layer, _LEFT + step * i, step, top) for i, layer in enumerate(layers)]
    strip = _TOP + _HEIGHT + 6
    parts.append(f'<text x="{_LEFT - 8}" y="{strip + 12}" text-anchor="end">zeros</text>')
    key = "".join(
        f'<span><i style="background: {colour}"></i>{text}</span> '
        for colour, text in (
            ("var(--cpu)", "CPU provider"),
            ("var(--here)", "here, claimed"),
            ("var(--left)", "here, not claimed"),
            ("rgb(var(--zero))", "zero weights (white: none)"),
        )
    )
    return (
        f'<section><div class="key">{key}</div><h2>Layers in their order: predicted time on one thread</h2>\n'
        f'<div class="wide"><svg viewBox="0 0 {_WIDTH} {strip + _STRIP + 2}" role="img">{"".join(parts)}</svg></div>'
        f'<p class="note">Hover for a layer\'s figures; click to find it in the table.</p></section>'
    )


def _round_up(value: float) -> float:
    """The next simple multiple of a power of ten."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next(power * digit for digit in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if power * digit >= value)


def _column(layer: tuple[int, int, Node], x: float, step: float, top: float) -> str:
    g, n, node = layer
    width = max(step * 0.38, 0.5)
    bars = []
    here = "var(--here)" if is_here(node) else "var(--left)"
    for place, us, colour in ((0.1, node["cpu_us"], "var(--cpu)"), (0.5, node["here_us"], here)):
        height = max(_HEIGHT * us / top, 0.5) if us else 0
        y = _TOP + _HEIGHT - height
        bars.append(
            f'<rect x="{x + step * place:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
        )
    strip = _TOP + _HEIGHT + 6
    if node["sparsity"] is not None:
        bars.append(
            f'<rect x="{x:.1f}" y="{strip}" width="{max(step - 1, 0.5):.1f}" height="{_STRIP}" rx="2" '
            f'fill="rgba(var(--zero), {node["sparsity"] ** 2:.2f})" stroke="var(--line)"/>'
        )
    zeros = "" if node["sparsity"] is None else f", {node['sparsity']:.1%} zeros"
    title = (
        f"{node['name']}: {node['layer'] or node['op_type']}{zeros}\nCPU {node['cpu_us']:.0f} µs, here "
        f"{node['here_us']:.0f} µs{'' if is_here(node) else ' (not claimed)'}"
    )
    hit = f'<rect class="hit" x="{x:.1f}" y="{_TOP}" width="{step:.1f}" height="{_HEIGHT + _STRIP + 6}" fill="transparent"/>'
    return f'<a href="#n{g}-{n}"><title>{escape(title)}</title>{"".join(bars)}{hit}</a>'


def _table(rows: Sequence[str]) -> str:
    """A table that scrolls by itself where the window is narrower."""
    return '<div class="wide"><table>' + "\n".join(rows) + "</table></div>"


def _to_prune(report: Report) -> str:
    if not report["to_prune"]:
        return ""
    rows = []
    for layer in report["to_prune"]:
        node = report["graphs"][layer["graph"]]["nodes"][layer["node"]]
        unit = " of groups" if layer["of_groups"] else ""
        rows.append(
            f'<tr><td><a href="#n{layer["graph"]}-{layer["node"]}">{escape(node["name"] or "(unnamed)")}</a></td>'
            f'<td>{escape(node["layer"])}</td><td class="n">{layer["cpu_us"]:.0f} µs</td>'
            f'<td class="n">{layer["zeros"]:.1%}{unit}</td><td class="n">{layer["needed"]:.1%}{unit}</td></tr>'
        )
    head = (
        '<tr><th>layer</th><th>what it is</th><th class="n">CPU provider</th><th class="n">zeros now</th>'
        '<th class="n">needed</th></tr>'
    )
    return (
        f"<section><h2>What to prune, and how far, to gain</h2>{_table([head, *rows])}"
        '<p class="note">By itself; a layer needs a little less next to others that run here. '
        "Groups are 4 input channels of an INT8 layer: they are skipped when all four weights are zero.</p></section>"
    )


_HEADINGS = ("node", "op", "runs on", "pattern", "zeros", "kernel", "weights", "predicted µs", "why")
_NUMERIC = ("zeros", "weights")


def _node_section(report: Report, index: int) -> str:
    graph = report["graphs"][index]
    nodes: Sequence[Node] = graph["nodes"]
    top = max((max(node["cpu_us"], node["here_us"]) for node in nodes), default=1.0) or 1.0
    title = f"The body of {escape(graph['parent_node'])}" if graph["parent_node"] else "Every node"
    error = f"<p>Nothing was claimed here: {escape(graph['error'])}</p>" if graph["error"] else ""
    tools = (
        '<div class="tools"><input type="search" id="search" placeholder="Filter by any text">'
        '<label><input type="checkbox" id="layers"> only convolutions and matrix products</label></div>'
        if index == 0
        else ""
    )
    head = "".join(f'<th class="{"n" if heading in _NUMERIC else ""}">{heading}</th>' for heading in _HEADINGS)
    rows = [f"<tr>{head}</tr>", *(_node_row(index, n, nodes, top) for n in range(len(nodes)))]
    return f"<section><h2>{title}</h2>{error}{tools}{_table(rows)}</section>\n"


def _node_row(graph: int, index: int, nodes: Sequence[Node], top: float) -> str:
    node = nodes[index]
    here, host = is_here(node), node["computed_in"]
    place = f"sparse, region {node['region']}" if here else node["provider"] or "CPU provider"
    kernel = escape(node["kernel"]) if host is None else f"in&nbsp;{_ending(nodes[host]['name'])}"
    zeros = "" if node["sparsity"] is None else f"{node['sparsity']:.1%}"
    if node["group_sparsity"] is not None:
        zeros += f"<br>{node['group_sparsity']:.1%} of groups"
    weights = "" if not node["dense_bytes"] else _bytes(node["dense_bytes"])
    if node["packed_bytes"]:
        weights = f"{_bytes(node['packed_bytes'])}<br>of {weights}" if weights else _bytes(node["packed_bytes"])
    layer = f"<br><small>{escape(node['layer'].removeprefix('a '))}</small>" if node["layer"] else ""
    why = "" if node["unit"] != index else escape(node["reason"])
    return (
        f'<tr id="n{graph}-{index}" data-layer="{int(bool(node["multiply_adds"]))}" class="{"in" if host is not None else ""}">'
        f"<td>{escape(node['name'] or '(unnamed)')}</td><td>{escape(node['op_type'])}{layer}</td>"
        f'<td><span class="pill {"here" if here else ""}">{escape(place)}</span></td><td>{escape(node["pattern"])}</td>'
        f'<td class="n">{zeros}</td><td>{kernel}</td><td class="n">{weights}</td>'
        f'<td class="time">{_times(node, here, top)}</td><td class="why">{why}</td></tr>'
    )


def _ending(name: str) -> str:
    """The end of a long name, by which nodes differ; the whole name shows when the pointer is on it."""
    short = name if len(name) <= 18 else "…" + name[-17:]
    return f'<span title="{escape(name)}">{escape(short)}</span>'


def _times(node: Node, here: bool, top: float) -> str:
    if node["computed_in"] is not None or not node["cpu_us"]:
        return ""
    bars = (("CPU", node["cpu_us"], "var(--cpu)"), ("here", node["here_us"], "var(--here)" if here else "var(--left)"))
    text = ", ".join(f"{name} {us:.0f}" if us >= 10 else f"{name} {us:.1f}" for name, us, _ in bars)
    lines = "".join(f'<div style="width: {100 * us / top:.1f}%; background: {colour}"></div>' for _, us, colour in bars)
    return text + lines

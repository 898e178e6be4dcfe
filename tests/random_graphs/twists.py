"""What files do that no exporter was asked for: each twist changes a model, and the CPU provider runs it still.

Dead nodes, values with several readers, operands that are broadcast, declared shapes that are not true, one symbol for
sizes that differ, axes of no size, bodies of If and Loop, functions, operators of other domains, outputs cut off, what
onnxruntime saves."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from saving import SAVER
from subject import Subject, Values

Draw = st.DrawFn
Twist = Callable[[Draw, Subject, Values], None]


def is_float(array: np.ndarray) -> bool:
    return array.dtype == np.float32


def is_bytes(array: np.ndarray) -> bool:
    return array.dtype in (np.uint8, np.int8)


def pick(draw: Draw, values: Values, fits: Callable[[np.ndarray], bool]) -> str | None:
    """A value for which `fits` holds in every run."""
    names = [name for name in values[0] if all(fits(run[name]) for run in values)]
    return draw(st.sampled_from(names)) if names else None


def weight(s: Subject, *shape: int) -> str:
    rng = np.random.default_rng(sum(shape))
    array = (rng.standard_normal(shape) / np.sqrt(max(1, np.prod(shape[1:])))).astype(np.float32)
    array[rng.random(shape) < 0.8] = 0
    return s.constant(array, "weight")


def read_floats(draw: Draw, s: Subject, v: str, array: np.ndarray) -> str:
    kinds = ["Relu", "Sigmoid", "Add"] + (["Quantize"] if is_float(array) else [])
    kinds += ["Concat", "Flatten"] if array.ndim else []
    kinds += ["MatMul", "Softmax", "LayerNormalization", "Transpose", "ReduceMean"] if array.ndim > 1 else []
    kinds += ["Conv", "MaxPool", "GlobalAveragePool", "Resize", "Pad"] * 2 if array.ndim == 4 else []
    kind = draw(st.sampled_from(kinds))
    if kind in ("Add", "Concat"):
        return s.add(kind, [v, v], **({"axis": array.ndim - 1} if kind == "Concat" else {}))
    if kind == "Quantize":
        s.steps = max(s.steps, 1)
        return s.add("QuantizeLinear", [v, s.constant(np.float32(0.05)), s.constant(np.uint8(100), "zero")])
    if kind == "MatMul":
        return s.add(kind, [v, weight(s, array.shape[-1], 9)])
    if kind == "LayerNormalization":
        return s.add(kind, [v, s.constant(np.ones(array.shape[-1], np.float32))])
    if kind == "Conv":
        kernel = draw(st.sampled_from([1, 3]))
        pads = [draw(st.sampled_from([0, kernel // 2]))] * 4
        return s.add(kind, [v, weight(s, 10, array.shape[1], kernel, kernel)], pads=pads)
    if kind == "MaxPool":
        return s.add(
            kind, [v], kernel_shape=[draw(st.sampled_from([1, 2, 3]))] * 2, strides=[draw(st.integers(1, 2))] * 2
        )
    if kind == "Resize":
        scale = draw(st.sampled_from([1.0, 1.3, 2.0]))
        scales = s.constant(np.array([1, 1, scale, scale], np.float32))
        mode = draw(st.sampled_from(["nearest", "linear"]))
        return s.add(
            kind, [v, "", scales], mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        )
    if kind == "Pad":
        return s.add(kind, [v, s.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2], np.int64))])
    return s.add(kind, [v])


def read_bytes(draw: Draw, s: Subject, v: str, array: np.ndarray) -> str:
    numbers = [s.constant(np.float32(0.05)), s.constant(array.dtype.type(3), "zero")]
    kinds = ["DequantizeLinear", "unit", "QLinearLeakyRelu", "QLinearSigmoid"] + (
        ["MaxPool"] if array.ndim == 4 else []
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "unit":
        s.steps = max(s.steps, 1)
        result = read_floats(draw, s, s.add("DequantizeLinear", [v, *numbers]), array)
        return s.add("QuantizeLinear", [result, s.constant(np.float32(0.1)), numbers[1]])
    if kind == "MaxPool":
        return s.add(kind, [v], kernel_shape=[2, 2], pads=[1, 1, 0, 0])
    if kind == "DequantizeLinear":
        return s.add(kind, [v, *numbers])
    return s.add(kind, [v, *numbers, *numbers], domain="com.microsoft")


def read(draw: Draw, s: Subject, values: Values) -> str | None:
    v = pick(draw, values, lambda a: is_float(a) or is_bytes(a))
    if v is None:
        return None
    array = values[0][v]
    return (read_floats if is_float(array) else read_bytes)(draw, s, v, array)


def dead_node(draw: Draw, s: Subject, values: Values) -> None:
    """A result that nobody reads, behind one or two nodes."""
    result = read(draw, s, values)
    if result is not None and draw(st.booleans()):
        s.add("Identity", [result])


def another_reader(draw: Draw, s: Subject, values: Values) -> None:
    """Of any value, the inputs included; its result is an output."""
    result = read(draw, s, values)
    if result is not None:
        s.output(result)


def inner_output(draw: Draw, s: Subject, values: Values) -> None:
    inner = [name for node in s.model.graph.node for name in node.output if name]
    outputs = {value.name for value in s.model.graph.output}
    free = [name for name in inner if name not in outputs]
    if free:
        s.output(draw(st.sampled_from(free)))


def cut_outputs(draw: Draw, s: Subject, values: Values) -> None:
    """One inner value is the only output; what is behind it stays, unread."""
    inner = [name for node in s.model.graph.node for name in node.output if name]
    del s.model.graph.output[:]
    s.output(draw(st.sampled_from(inner)))


def broadcast(draw: Draw, s: Subject, values: Values) -> None:
    """A sum or product with another input or a constant, smaller along any axes, in the way of a value."""
    v = pick(draw, values, lambda a: is_float(a) and a.ndim > 0)
    if v is None:
        return
    full = [draw(st.booleans()) for _ in values[0][v].shape]
    dropped = draw(st.integers(0, len(full)))
    shapes = [tuple(n if keep else 1 for n, keep in zip(run[v].shape, full, strict=True))[dropped:] for run in values]
    rng = np.random.default_rng(len(shapes[0]))
    arrays = [(rng.standard_normal(shape) * 0.5 + 1).astype(np.float32) for shape in shapes]
    if len(set(shapes)) == 1 and draw(st.booleans()):
        other = s.constant(arrays[0])
    else:
        dims = [draw(st.sampled_from(["n", "m", "k"])) for _ in shapes[0]]
        other = s.input("operand", arrays, dims)
    at = s.place_behind(v)
    sides = draw(st.permutations([v, other]))
    result = s.add(draw(st.sampled_from(["Add", "Mul", "Sub"])), sides, at=at)
    if not s.reroute(v, result, at + 1):
        s.output(result)


def lie(draw: Draw, s: Subject, values: Values) -> None:
    """A Reshape to the sizes that it has, given at run time, with other sizes declared."""
    v = pick(draw, values, lambda a: (is_float(a) or is_bytes(a)) and a.ndim > 0)
    if v is None:
        return
    sizes = [np.array(run[v].shape, np.int64) for run in values]
    target = s.input("sizes", sizes, [len(sizes[0])])
    at = s.place_behind(v)
    result = s.add("Reshape", [v, target], at=at)
    s.reroute(v, result, at + 1)
    real = values[0][v].shape
    dims = [draw(st.sampled_from([size, size, 1, size + 1, "n"])) for size in real]
    element = helper.np_dtype_to_tensor_dtype(values[0][v].dtype)
    s.model.graph.value_info.append(helper.make_tensor_value_info(result, element, dims))


def equal_symbols(draw: Draw, s: Subject, values: Values) -> None:
    """Free axes of the inputs, whatever they are fed with, are named alike."""
    for value in s.model.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = draw(st.sampled_from(["n", "m"]))


def no_size(draw: Draw, s: Subject, values: Values) -> None:
    """In the last run, a free axis has no elements, in every input that has an axis of this name."""
    shapes = {v.name: [d.dim_param for d in v.type.tensor_type.shape.dim] for v in s.model.graph.input}
    symbols = sorted({symbol for dims in shapes.values() for symbol in dims if symbol})
    if not symbols:
        return
    symbol = draw(st.sampled_from(symbols))
    feed = dict(s.feeds[-1])
    for name, dims in shapes.items():
        for axis, dim in enumerate(dims):
            if dim == symbol and feed[name].ndim > axis:
                feed[name] = np.take(feed[name], [], axis=axis)
    s.feeds.append(feed)


def in_if(draw: Draw, s: Subject, values: Values) -> None:
    """The whole network twice, as the two branches of an If; the weights stay outside or go along."""
    graph = s.model.graph
    branches = []
    for branch in ("then", "else"):
        inner = onnx.GraphProto(name=branch)
        for node in graph.node:
            renamed = copy.deepcopy(node)
            renamed.name = f"{branch}_{node.name}"
            made = {name for n in graph.node for name in n.output}
            renamed.input[:] = [f"{branch}_{name}" if name in made else name for name in node.input]
            renamed.output[:] = [f"{branch}_{name}" if name else name for name in node.output]
            inner.node.append(renamed)
        inner.output.extend(onnx.ValueInfoProto(name=f"{branch}_{value.name}") for value in graph.output)
        branches.append(inner)
    outputs = [value.name for value in graph.output]
    conditions = [np.array(draw(st.booleans())) for _ in s.feeds]
    condition = s.input("condition", conditions, [])
    del graph.node[:]
    graph.node.append(
        helper.make_node("If", [condition], outputs, name="if", then_branch=branches[0], else_branch=branches[1])
    )


def in_loop(draw: Draw, s: Subject, values: Values) -> None:
    """The whole network as the body of a Loop of two turns; the state, one of the inputs, may grow along an axis."""
    graph = s.model.graph
    growing = draw(st.sampled_from([v.name for v in graph.input]))
    axis = draw(st.integers(-1, values[0][growing].ndim - 1))
    kind = next(v for v in graph.input if v.name == growing).type.tensor_type.elem_type
    body = onnx.GraphProto(name="body")
    body.input.append(helper.make_tensor_value_info("turn", TensorProto.INT64, []))
    body.input.append(helper.make_tensor_value_info("going", TensorProto.BOOL, []))
    state = copy.deepcopy(next(v for v in graph.input if v.name == growing))
    state.name = "state"
    if axis >= 0 and draw(st.booleans()):
        state.type.tensor_type.ClearField("shape")
    body.input.append(state)
    outputs = [value.name for value in graph.output]
    elements = {name: helper.np_dtype_to_tensor_dtype(values[0][name].dtype) for name in outputs}
    for name in outputs:
        unknown = helper.make_tensor_value_info(f"last_{name}", elements[name], None)
        body.input.append(unknown)
    for node in graph.node:
        inner = copy.deepcopy(node)
        inner.input[:] = ["state" if name == growing else name for name in node.input]
        body.node.append(inner)
    body.node.append(helper.make_node("Identity", ["going"], ["go_on"], name="go_on"))
    grow = ["Concat", ["state", "state"]] if axis >= 0 else ["Identity", ["state"]]
    body.node.append(helper.make_node(*grow, ["next_state"], name="next", **({"axis": axis} if axis >= 0 else {})))
    body.output.append(helper.make_tensor_value_info("go_on", TensorProto.BOOL, []))
    body.output.append(helper.make_tensor_value_info("next_state", kind, None))
    body.output.extend(helper.make_tensor_value_info(name, elements[name], None) for name in outputs)
    starts = [s.constant(np.zeros(1, values[0][name].dtype), "start") for name in outputs]
    turns, true = s.constant(np.array(2, np.int64), "turns"), s.constant(np.array(True), "true")
    results = [f"of_{name}" for name in outputs]
    del graph.node[:]
    graph.node.append(
        helper.make_node("Loop", [turns, true, growing, *starts], ["grown", *results], name="loop", body=body)
    )
    del graph.output[:]
    for name in results:
        s.output(name)


def as_function(draw: Draw, s: Subject, values: Values) -> None:
    """Up to three nodes in a row become a function of the model. foreign: one node becomes a function that is named as
    its operator, in another domain, and negates its result."""
    nodes = list(s.model.graph.node)
    foreign = draw(st.booleans())
    begin = draw(st.integers(0, len(nodes) - 1))
    part = nodes[begin : begin + (1 if foreign else draw(st.integers(1, 3)))]
    made = [name for node in part for name in node.output if name]
    inputs = list(dict.fromkeys(name for node in part for name in node.input if name and name not in made))
    if any(not name for node in part for name in node.output) or any(
        attribute.g.node for attribute in part[0].attribute
    ):
        return
    body, outputs = [copy.deepcopy(node) for node in part], made
    kind = part[0].op_type if foreign else f"part_{begin}"
    if foreign and len(made) == 1 and is_float(values[0][made[0]]):
        body[0].output[0] = "before"
        body.append(helper.make_node("Neg", ["before"], made))
    domain = "my.lib"
    if any(f.name == kind for f in s.model.functions):
        return
    opsets = [helper.make_opsetid(o.domain, o.version) for o in s.model.opset_import if o.domain != domain]
    s.model.functions.append(helper.make_function(domain, kind, inputs, outputs, body, opsets))
    if domain not in {o.domain for o in s.model.opset_import}:
        s.model.opset_import.append(helper.make_opsetid(domain, 1))
    call = helper.make_node(kind, inputs, outputs, name=f"call_{kind}", domain=domain)
    del s.model.graph.node[:]
    s.model.graph.node.extend([*nodes[:begin], call, *nodes[begin + len(part) :]])


def as_saved(draw: Draw, s: Subject, values: Values) -> None:
    """As onnxruntime saves what it has optimized: with its own operators, each for several."""
    level = draw(st.sampled_from(["ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_EXTENDED"]))
    saved = SAVER.save(s.model.SerializeToString(), level)
    if saved is not None:
        s.model = onnx.load_from_string(saved)


def without_names(draw: Draw, s: Subject, values: Values) -> None:
    """Nodes are named alike, or not at all."""
    name = draw(st.sampled_from(["", "node"]))
    for node in s.model.graph.node:
        node.name = name


def given_constant(draw: Draw, s: Subject, values: Values) -> None:
    """A constant is the default of an input, or what a node makes, instead of an initializer."""
    graph = s.model.graph
    index = draw(st.integers(0, len(graph.initializer) - 1)) if graph.initializer else -1
    if index < 0:
        return
    tensor = graph.initializer[index]
    if draw(st.booleans()):
        graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], name=s.unique("constant"), value=tensor))
        del graph.initializer[index]
        return
    graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    array = numpy_helper.to_array(tensor)
    factor = draw(st.sampled_from([1, 0.5])) if is_float(array) else 1
    for feed in s.feeds:
        feed[tensor.name] = (array * factor).astype(array.dtype)


INNER: list[Twist] = [
    dead_node, dead_node, another_reader, another_reader, inner_output, broadcast, broadcast, lie, lie, equal_symbols,
    cut_outputs, as_function, as_saved, as_saved, as_saved, without_names,
    given_constant, given_constant,
]  # fmt: skip
OUTER: list[Twist] = [in_if, in_loop, no_size]


def twist(draw: Draw, subject: Subject) -> Subject:
    """Up to three twists of the network, then perhaps one around it. One that the CPU provider refuses is undone."""
    chosen = draw(st.lists(st.sampled_from(INNER), min_size=1, max_size=4))
    chosen += draw(st.lists(st.sampled_from(OUTER), min_size=0, max_size=1))
    values = subject.values() if chosen else None
    if chosen and draw(st.booleans()):
        subject.forget_shapes()
    for change in chosen:
        if values is None:
            break
        twisted = copy.deepcopy(subject)
        change(draw, twisted, values)
        after = twisted.values()
        if after is not None:
            subject, values = twisted, after
    return subject

"""A Classifier's network as an ONNX graph, written by hand: standardisation, three blocks, the head.

Features [windows, frames, coefficients] → logits [windows, outputs].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from jaxresp.models import storage

_OPSET = 17
_BATCH_NORM_EPSILON = 1e-5  # Flax's


def write_onnx(classifier: Path, to: Path) -> None:
    """Read a Classifier's directory and write its network as an ONNX file."""
    arrays = storage.unpack((classifier / "weights.npz").read_bytes())
    is_1d = arrays["params/block1/conv/kernel"].ndim == 3
    size = arrays["standardisation/mean"].shape[-1]
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: np.ndarray, dtype: type = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    x = node("Sub", ["features", constant("mean", arrays["standardisation/mean"])], "centred")
    x = node("Div", [x, constant("std", arrays["standardisation/std"])], "standardised")
    if is_1d:
        x = node("Transpose", [x], "channels_first", perm=[0, 2, 1])
    else:
        x = node("Unsqueeze", [x, constant("axis", np.array([1]), np.int64)], "channels_first")
    for block in ("block1", "block2", "block3"):
        kernel = arrays[f"params/{block}/conv/kernel"]
        *window, _, _ = kernel.shape
        pads = [(n - 1) // 2 for n in window] + [n - 1 - (n - 1) // 2 for n in window]
        weight = constant(f"{block}.kernel", np.moveaxis(kernel, (-1, -2), (0, 1)))
        x = node("Conv", [x, weight], f"{block}.conv", kernel_shape=window, pads=pads)
        statistics = [f"params/{block}/norm/scale", f"params/{block}/norm/bias"]
        statistics += [f"batch_stats/{block}/norm/mean", f"batch_stats/{block}/norm/var"]
        named = [constant(path.replace("/", "."), arrays[path]) for path in statistics]
        x = node("BatchNormalization", [x, *named], f"{block}.norm", epsilon=_BATCH_NORM_EPSILON)
        x = node("Relu", [x], f"{block}.relu")
        x = node("MaxPool", [x], f"{block}.out", kernel_shape=[2] * len(window), strides=[2] * len(window))
    mean = node("Flatten", [node("GlobalAveragePool", [x], "average")], "mean_of_all")
    most = node("Flatten", [node("GlobalMaxPool", [x], "maximum")], "most_of_all")
    x = node("Concat", [mean, most], "pooled", axis=1)
    for layer, output in (("dense", "dense"), ("logits", "logits")):
        kernel = constant(f"{layer}.kernel", arrays[f"params/head/{layer}/kernel"])
        x = node("Gemm", [x, kernel, constant(f"{layer}.bias", arrays[f"params/head/{layer}/bias"])], output)
        x = node("Relu", [x], "dense.relu") if layer == "dense" else x
    n_outputs = arrays["params/head/logits/bias"].shape[0]
    graph = helper.make_graph(
        nodes,
        classifier.name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["windows", "frames", size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["windows", n_outputs])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, to)

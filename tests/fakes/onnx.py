"""The bytes of a tiny ONNX network, written field by field: onnx itself is not in the application's environment."""

from __future__ import annotations

_FLOAT = 1
_INT, _INTS = 2, 7


def mean_difference(side: int) -> bytes:
    """Inputs `reference` and `image` `[1, 3, side, side]`, output the mean of their absolute difference."""
    shape = (1, 3, side, side)
    graph = b"".join(
        (
            _field(1, _node("Sub", ("reference", "image"), "difference")),
            _field(1, _node("Abs", ("difference",), "size")),
            _field(1, _node("ReduceMean", ("size",), "distance", _axes(1, 2, 3) + _keep_dimensions())),
            _field(2, "distance"),
            _field(11, _value("reference", shape)),
            _field(11, _value("image", shape)),
            _field(12, _value("distance", (1, 1, 1, 1))),
        )
    )
    return _field(1, 8) + _field(8, _field(1, "") + _field(2, 13)) + _field(7, graph)


def _node(kind: str, inputs: tuple[str, ...], output: str, attributes: bytes = b"") -> bytes:
    return b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind) + attributes


def _axes(*axes: int) -> bytes:
    return _field(5, _field(1, "axes") + b"".join(_field(8, axis) for axis in axes) + _field(20, _INTS))


def _keep_dimensions() -> bytes:
    return _field(5, _field(1, "keepdims") + _field(3, 1) + _field(20, _INT))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_field(1, _field(1, length)) for length in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, dimensions)))


def _field(number: int, value: int | str | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))

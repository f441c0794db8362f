"""What the clients' scripts share: a case is a function whose result, or failure, becomes one member of the printed JSON."""

import asyncio
import inspect
import json
import traceback

import ml_dtypes
import numpy as np

CASES = {}


def case(function):
    """The case's name is the function's, with spaces."""
    CASES[function.__name__.replace("_", " ")] = function
    return function


def run_cases(*arguments) -> None:
    """Runs every case, sync or async, and prints {name: {"saw": …} or {"raised": traceback}}."""

    async def run() -> dict:
        seen = {}
        for name, function in CASES.items():
            try:
                result = function(*arguments)
                seen[name] = {"saw": await result if inspect.isawaitable(result) else result}
            except Exception:
                seen[name] = {"raised": traceback.format_exc(limit=-6)}
        return seen

    print(json.dumps(asyncio.run(run()), default=str))


def refusal(error) -> dict:
    """An InferenceServerException as data."""
    return {"status": error.status(), "message": error.message()}


def integers(dtype) -> np.ndarray:
    limits = np.iinfo(dtype)
    spread = [limits.min, limits.max, 0, 1, 2, limits.max // 2, limits.min // 2, 100, 7, limits.max - 1, 42, limits.min + 1]
    return np.array(spread, dtype=dtype).reshape(3, 4)


def floats(dtype) -> np.ndarray:
    limits = ml_dtypes.finfo(dtype)
    tiny = limits.smallest_subnormal
    spread = [np.nan, np.inf, -np.inf, -0.0, 0.0, limits.max, limits.min, tiny, -tiny, limits.eps, 1 / 3, -1.5]
    return np.array(spread, dtype=dtype).reshape(3, 4)


TEXTS = ["", "a", "é", "日本語", "\U0001f40b", "\n\t\"\\/", "nan", "1", "x" * 70_000, " ", "\u00a0", "</script>"]

# Rows that are hard for each datatype: limits, signs, and what is no number.
EXTREMES = {
    "BOOL": np.array([True, False] * 6).reshape(3, 4),
    "UINT8": integers(np.uint8),
    "UINT16": integers(np.uint16),
    "UINT32": integers(np.uint32),
    "UINT64": integers(np.uint64),
    "INT8": integers(np.int8),
    "INT16": integers(np.int16),
    "INT32": integers(np.int32),
    "INT64": integers(np.int64),
    "FP16": floats(np.float16),
    "BF16": floats(ml_dtypes.bfloat16),
    "FP32": floats(np.float32),
    "FP64": floats(np.float64),
    "BYTES": np.array([text.encode() for text in TEXTS], dtype=np.object_).reshape(3, 4),
}


def same(got, sent: np.ndarray) -> bool:
    """Equal to the bit; JSON brings BYTES back as text."""
    if got is None or tuple(got.shape) != tuple(sent.shape):
        return False
    if sent.dtype == np.object_:
        return [v if isinstance(v, bytes) else v.encode() for v in got.flatten()] == list(sent.flatten())
    return got.dtype == sent.dtype and got.tobytes() == sent.tobytes()

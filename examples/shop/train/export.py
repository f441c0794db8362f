"""What the training scripts share: reading the shop's data, and writing a model with everything that goes beside it.

A model is written four times over: `model.onnx`, `model.json` (what its inputs and outputs mean), sample rows for the
demo, and a parity file with the library's own predictions, which Headrace must reproduce. Before anything is written,
ONNX Runtime is compared with the library on every held-out row.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline

SHOP = Path(__file__).resolve().parent.parent
PARITY = SHOP.parent.parent / "test" / "fixtures" / "parity"

# Fixed, so that a newer converter writes the same graph.
TARGET_OPSET = {"": 17, "ai.onnx.ml": 3}
TOLERANCE = 1e-5
PARITY_ROWS = 50
SAMPLE_ROWS = 5


@dataclass
class Model:
    """A fitted pipeline, the held-out rows it was measured on, and how callers should understand it.

    `cost` is microseconds of CPU for a row in a full batch of 32, measured in Headrace (2 cores, 2026-11-22).
    """

    name: str
    version: int
    description: str
    script: str
    pipeline: Pipeline
    graph: onnx.ModelProto
    labels: list[str]
    outputs: dict[str, str]
    trained_rows: int
    held_out: pd.DataFrame
    held_out_labels: np.ndarray
    cost: float | None = None
    slow_ms: float | None = None
    feature_service: str | None = None


def read_data(file: str, label: str, held_out_share: float = 0.25) -> tuple[pd.DataFrame, ...]:
    """The rows of a file in the order of time, split into (training, held out); the latest rows are held out."""
    path = SHOP / "data" / file
    if not path.exists():
        sys.exit(f"{path.name} is missing. Write it with: npx tsx examples/shop/world/generate.ts --seed 7")
    rows = pd.read_csv(path)
    features = rows.iloc[:, 3:-1]  # the first three columns are ids and the time
    assert rows.columns[-1] == label, f"the last column of {file} is {rows.columns[-1]}, not {label}"
    cut = int(len(rows) * (1 - held_out_share))
    return features[:cut], features[cut:], rows[label][:cut], rows[label][cut:]


def as_served(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with every number as the float32 that the ONNX graph receives."""
    numbers = rows.select_dtypes("number").columns
    return rows.astype({column: np.float32 for column in numbers})


def write_model(model: Model, more_metrics: dict[str, float] | None = None) -> dict[str, float]:
    """Checks the graph against the library, writes every file of the model, and returns its metrics."""
    metrics = measure(model) | (more_metrics or {})
    check_parity(model)

    folder = SHOP / "models" / model.name / str(model.version)
    folder.mkdir(parents=True, exist_ok=True)
    # skl2onnx lists the opsets in the order of a Python set; sorted, a second run writes the same bytes.
    model.graph.opset_import.sort(key=lambda opset: opset.domain)
    (folder / "model.onnx").write_bytes(model.graph.SerializeToString())
    write_json(folder / "model.json", describe(model, metrics))
    write_json(PARITY / f"{model.name}-{model.version}.json", parity_rows(model))

    size = (folder / "model.onnx").stat().st_size
    print(f"{model.name}/{model.version}  {size / 1024:.1f} KB  {metrics}")
    return metrics


def measure(model: Model) -> dict[str, float]:
    scores = model.pipeline.predict_proba(model.held_out)[:, 1]
    truth = model.held_out_labels
    return {
        "rocAuc": round(float(roc_auc_score(truth, scores)), 4),
        "logLoss": round(float(log_loss(truth, scores)), 5),
        "brier": round(float(brier_score_loss(truth, scores)), 5),
    }


def describe(model: Model, metrics: dict[str, float]) -> dict[str, Any]:
    """The content of model.json. `features` is for graphs with one matrix input; others name their inputs themselves."""
    one_matrix = len(model.graph.graph.input) == 1
    return {
        "description": model.description,
        **({"features": list(model.held_out.columns)} if one_matrix else {}),
        "labels": model.labels,
        "outputs": model.outputs,
        **({} if model.cost is None else {"cost": model.cost}),
        **({} if model.slow_ms is None else {"slowMs": model.slow_ms}),
        **({} if model.feature_service is None else {"featureService": model.feature_service}),
        "warmup": [{"inputs": row} for row in named_rows(model.held_out[:2])],
        "trained": {
            "script": model.script,
            "rows": model.trained_rows,
            "heldOutRows": len(model.held_out),
            "metrics": metrics,
        },
    }


def parity_rows(model: Model) -> dict[str, Any]:
    """Held-out rows, half of each class, with the predictions of the library itself, computed from float32 inputs."""
    half = PARITY_ROWS // 2
    chosen = [np.flatnonzero(model.held_out_labels == label)[:half] for label in (0, 1)]
    rows = model.held_out.iloc[np.sort(np.concatenate(chosen))]
    served = as_served(rows)
    return {
        "model": model.name,
        "version": model.version,
        "madeBy": f"{model.script}: predict and predict_proba of {library_of(model.pipeline)}, on float32 inputs",
        "tolerance": TOLERANCE,
        "rows": named_rows(rows),
        "label": model.pipeline.predict(served).tolist(),
        "probabilities": model.pipeline.predict_proba(served).astype(float).tolist(),
    }


def check_parity(model: Model) -> None:
    """Stops the script when ONNX Runtime and the library differ by more than the tolerance on any held-out row."""
    served = as_served(model.held_out)
    session = onnxruntime.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    label, probabilities = session.run(None, feed(session, served))
    if isinstance(probabilities, list):  # a ZipMap gives one dictionary per row
        probabilities = [list(row.values()) for row in probabilities]
    difference = np.abs(np.array(probabilities) - model.pipeline.predict_proba(served)).max()
    assert difference <= TOLERANCE, f"{model.name}/{model.version}: ONNX Runtime differs by {difference}"
    assert np.array_equal(label, model.pipeline.predict(served)), f"{model.name}/{model.version}: other labels"
    print(f"{model.name}/{model.version}  ONNX Runtime agrees within {difference:.1e} on {len(served)} rows")


def feed(session: onnxruntime.InferenceSession, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The rows as the graph's inputs: one matrix, or one column per input."""
    inputs = session.get_inputs()
    if len(inputs) == 1:
        return {inputs[0].name: rows.to_numpy(np.float32)}
    return {
        i.name: rows[[i.name]].to_numpy(object if i.type == "tensor(string)" else np.float32) for i in inputs
    }


def write_samples(model: Model, positives: int = 2) -> None:
    """A few held-out rows with their true classes, for the demo and the documentation.

    The positive rows are the first ones the model finds likely: a sample shows what a model can do, not how often.
    """
    truth = model.held_out_labels
    likely = model.pipeline.predict(model.held_out) == 1
    found = np.flatnonzero((truth == 1) & likely)[:positives]
    others = np.flatnonzero((truth == 0) & ~likely)[: SAMPLE_ROWS - positives]
    chosen = np.sort(np.concatenate([found, others]))
    write_json(
        SHOP / "samples" / f"{model.name}.json",
        {
            "rows": named_rows(model.held_out.iloc[chosen]),
            "labels": [model.labels[int(truth[i])] for i in chosen],
        },
    )


def named_rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [dict(zip(rows.columns, row)) for row in rows.astype(object).to_numpy().tolist()]


def library_of(pipeline: Pipeline) -> str:
    package = type(pipeline[-1]).__module__.split(".")[0]
    name = {"sklearn": "scikit-learn", "xgboost": "XGBoost"}[package]
    return f"{name} {sys.modules[package].__version__}"


def write_json(path: Path, value: Any) -> None:
    """JSON with one line per row of data, so that a diff shows which rows changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(value) + "\n")


def to_json(value: Any, indent: str = "") -> str:
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= 110 or not isinstance(value, (dict, list)) or len(indent) >= 4:
        return flat
    inner = indent + "  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(key)}: {to_json(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + "\n" + indent + "}"
    return "[\n" + ",\n".join(inner + to_json(item, inner) for item in value) + "\n" + indent + "]"

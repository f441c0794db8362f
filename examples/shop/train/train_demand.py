"""Trains two hundred demand models, one for each kind of product: how many units will be sold next week?

Each is a small neural network; the scaling of inputs and units is part of its graph.

    npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
    python examples/shop/train/train_demand.py
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np
import onnxruntime
import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from export import PARITY, SHOP, TARGET_OPSET, as_served, library_of, named_rows, write_json

SEED = 7
HELD_OUT_WEEKS = 26
PARITY_ROWS = 2
SAMPLE = "books-crime"
SAMPLE_ROWS = 5
# Units, as shares of what was predicted: ONNX Runtime computes in float32 what scikit-learn computes in float64.
TOLERANCE = 1e-4


def main() -> None:
    path = SHOP / "data" / "demand.csv"
    if not path.exists():
        sys.exit("demand.csv is missing. Write it with: npx tsx examples/shop/world/generate.ts --seed 7")
    warnings.simplefilter("ignore", ConvergenceWarning)  # A fixed number of rounds is meant.
    weeks = pd.read_csv(path)
    parity, sizes, errors, naive = [], [], [], []
    for kind, rows in weeks.groupby("kind", sort=True):
        features = rows.drop(columns=["kind", "category", "week", "units"])
        train, held_out = features[:-HELD_OUT_WEEKS], features[-HELD_OUT_WEEKS:]
        units = rows["units"].to_numpy(float)
        pipeline = fit(train, units[:-HELD_OUT_WEEKS])
        truth = units[-HELD_OUT_WEEKS:]
        predicted = pipeline.predict(held_out)
        error = float(np.abs(predicted - truth).sum() / truth.sum())
        errors.append(error)
        naive.append(float(np.abs(held_out["units_last_week"] - truth).sum() / truth.sum()))
        sizes.append(write_model(str(kind), pipeline, train, held_out, error))
        served = as_served(held_out[:PARITY_ROWS])
        parity.append(
            {"model": f"demand-{kind}", "rows": named_rows(held_out[:PARITY_ROWS]), "units": pipeline.predict(served).tolist()}
        )
        if kind == SAMPLE:
            write_samples(str(kind), held_out, truth)
    assert np.mean(errors) < np.mean(naive), "last week's units are a better forecast than the models"
    made_by = f"train/train_demand.py: predict of {library_of(pipeline)}, on float32 inputs"
    write_json(PARITY / "demand.json", {"madeBy": made_by, "tolerance": TOLERANCE, "models": parity})
    print(
        f"{len(sizes)} models, {sum(sizes) / 1024:.0f} KB; error as a share of the units: "
        f"{np.mean(errors):.3f}, of last week's units as the forecast {np.mean(naive):.3f}"
    )


def fit(train: pd.DataFrame, units: np.ndarray) -> Pipeline:
    """A network learns better from units around 0; what it learns is scaled back in its last layer."""
    mean, deviation = units.mean(), units.std()
    network = MLPRegressor(hidden_layer_sizes=(16, 8), alpha=0.3, solver="lbfgs", max_iter=60, random_state=SEED)
    pipeline = Pipeline([("scaler", StandardScaler()), ("network", network)])
    pipeline.fit(train, (units - mean) / deviation)
    network.coefs_[-1] *= deviation
    network.intercepts_[-1] = network.intercepts_[-1] * deviation + mean
    return pipeline


def write_model(kind: str, pipeline: Pipeline, train: pd.DataFrame, held_out: pd.DataFrame, error: float) -> int:
    name = f"demand-{kind}"
    graph = convert_sklearn(
        pipeline,
        name,
        [("features", FloatTensorType([None, train.shape[1]]))],
        final_types=[("units", FloatTensorType([None, 1]))],
        target_opset=TARGET_OPSET,
    )
    graph.opset_import.sort(key=lambda opset: opset.domain)
    content = graph.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (units,) = session.run(None, {"features": held_out.to_numpy(np.float32)})
    expected = pipeline.predict(as_served(held_out))
    assert np.allclose(units[:, 0], expected, rtol=TOLERANCE, atol=1e-2), f"{name}: ONNX Runtime differs"

    folder = SHOP / "models" / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    manifest = {
        "description": f"Units of {kind.split('-', 1)[1]} ({kind.split('-', 1)[0]}) that will be sold next week.",
        "features": list(train.columns),
        "outputs": {"units": "value"},
        "load": "lazy",
        "warmup": [{"inputs": row} for row in named_rows(held_out[:1])],
        "trained": {
            "script": "train/train_demand.py",
            "rows": len(train),
            "heldOutRows": len(held_out),
            "metrics": {"error": round(error, 4)},
        },
    }
    (folder / "model.json").write_text(json.dumps(manifest) + "\n")
    return len(content)


def write_samples(kind: str, held_out: pd.DataFrame, truth: np.ndarray) -> None:
    rows = named_rows(held_out[:SAMPLE_ROWS])
    write_json(
        SHOP / "samples" / f"demand-{kind}.json",
        {"rows": rows, "labels": [f"{int(units)} units" for units in truth[:SAMPLE_ROWS]]},
    )


if __name__ == "__main__":
    main()

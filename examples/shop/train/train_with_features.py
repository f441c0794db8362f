"""Trains fraud/3 and purchase-intent/2 on training sets that Headrace made: the features of the shop as they were known at each label's moment.

The callers of these versions say who it is about; the server looks the rest up. fraud/3 still takes what only the checkout knows.
Both are held against the versions before them, on the same held-out rows.

    npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
    cd examples/shop
    npx headrace features training-set --service fraud --entities data/fraud-labels.csv --out data/fraud-train.parquet --proof 200
    npx headrace features training-set --service purchase_intent --entities data/purchase-labels.csv \
      --out data/purchase-train.parquet --proof 200
    python train/train_with_features.py
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier

from export import SHOP, TARGET_OPSET, Model, write_model
from train_fraud import boosted_trees, to_onnx

SEED = 7
CALLER_KNOWS = ["amount", "items", "is_new_device", "payment_method", "shipping_matches_billing"]
HELD_OUT_SHARE = 0.25


def read_training_set(file: str, label: str, ids: list[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """The rows of a training set in the order of time, split into (training, held out); the latest rows are held out."""
    path = SHOP / "data" / file
    if not path.exists():
        sys.exit(f"{path.name} is missing. The head of this script says how to make it.")
    rows = pd.read_parquet(path).sort_values(["event_timestamp", ids[0]], kind="stable")
    features = rows.drop(columns=[*ids, "event_timestamp", label])
    numbers = features.select_dtypes(["number", "bool"]).columns
    features = features.astype({column: np.float64 for column in numbers})
    cut = int(len(rows) * (1 - HELD_OUT_SHARE))
    labels = rows[label].astype(int)
    return features[:cut], features[cut:], labels[:cut], labels[cut:]


def train_fraud() -> dict[str, float]:
    update_registered_converter(
        XGBClassifier,
        "XGBoostXGBClassifier",
        calculate_linear_classifier_output_shapes,
        convert_xgboost,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    train, held_out, labels, held_out_labels = read_training_set(
        "fraud-train.parquet", "is_fraud", ["payment_id", "user_id", "card_id", "merchant_id"]
    )
    # What the caller knows comes first.
    columns = CALLER_KNOWS + [column for column in train.columns if column not in CALLER_KNOWS]
    train, held_out = train[columns], held_out[columns]
    words = ["country", "payment_method"]
    pipeline = boosted_trees([column for column in columns if column not in words])
    pipeline.fit(train, labels)
    return write_model(
        Model(
            name="fraud",
            version=3,
            description="Probability that a payment is fraud: gradient-boosted trees on features of the user, the card and the merchant.",
            script="train/train_with_features.py",
            pipeline=pipeline,
            graph=to_onnx(pipeline, train),
            labels=["legitimate", "fraud"],
            outputs={"output_label": "label", "output_probability": "probabilities"},
            trained_rows=len(train),
            held_out=held_out,
            held_out_labels=held_out_labels.to_numpy(),
            slow_ms=100,
            feature_service="fraud",
        )
    )


def train_purchase_intent() -> dict[str, float]:
    train, held_out, labels, held_out_labels = read_training_set(
        "purchase-train.parquet", "purchased", ["session_id", "user_id"]
    )
    network = MLPClassifier(hidden_layer_sizes=(32, 16), alpha=0.5, max_iter=100, random_state=SEED)
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", network)])
    pipeline.fit(train, labels)
    graph = convert_sklearn(
        pipeline,
        "purchase-intent",
        [("features", FloatTensorType([None, train.shape[1]]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=TARGET_OPSET,
    )
    return write_model(
        Model(
            name="purchase-intent",
            version=2,
            description="Probability that a session ends in a purchase: a small neural network on features of the user.",
            script="train/train_with_features.py",
            pipeline=pipeline,
            graph=graph,
            labels=["leaves", "purchases"],
            outputs={"label": "label", "probabilities": "probabilities"},
            trained_rows=len(train),
            held_out=held_out,
            held_out_labels=held_out_labels.to_numpy(),
            feature_service="purchase_intent",
        )
    )


def before(model: str, version: int) -> dict[str, float]:
    manifest = json.loads((SHOP / "models" / model / str(version) / "model.json").read_text())
    return manifest["trained"]["metrics"]


def main() -> None:
    for model, version, after in (("fraud", 2, train_fraud()), ("purchase-intent", 1, train_purchase_intent())):
        was = before(model, version)
        print(f"{model}: AUC {was['rocAuc']} given everything by the caller, {after['rocAuc']} with features")


if __name__ == "__main__":
    main()

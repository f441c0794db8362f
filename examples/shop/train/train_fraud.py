"""Trains both versions of the fraud model on the shop's payments.

Version 1 is a logistic regression, version 2 gradient-boosted trees. Both have the same inputs, one per column, and
are exported with the converters' default options, so both end in a ZipMap.

    npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
    python examples/shop/train/train_fraud.py
"""

from __future__ import annotations

import onnx
import pandas as pd
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from export import TARGET_OPSET, Model, read_data, write_model, write_samples

SEED = 7
WORDS = ["country", "payment_method"]
LABELS = ["legitimate", "fraud"]


def logistic_regression(numbers: list[str]) -> Pipeline:
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), numbers), ("words", OneHotEncoder(handle_unknown="ignore"), WORDS)]
    )
    return Pipeline([("columns", columns), ("classifier", LogisticRegression(max_iter=1000))])


def boosted_trees(numbers: list[str]) -> Pipeline:
    # Trees need no scaling, and unscaled float32 numbers meet the very thresholds the trees were grown with. The
    # matrix must be dense: XGBoost reads the zeros that a sparse matrix leaves out as missing values.
    columns = ColumnTransformer(
        [
            ("numbers", "passthrough", numbers),
            ("words", OneHotEncoder(handle_unknown="ignore", sparse_output=False), WORDS),
        ],
        sparse_threshold=0,
    )
    trees = XGBClassifier(
        n_estimators=160,
        max_depth=4,
        learning_rate=0.08,
        min_child_weight=4,
        reg_lambda=2.0,
        subsample=0.9,
        colsample_bytree=0.9,
        tree_method="hist",
        n_jobs=1,
        random_state=SEED,
    )
    return Pipeline([("columns", columns), ("classifier", trees)])


def to_onnx(pipeline: Pipeline, features: pd.DataFrame) -> onnx.ModelProto:
    inputs = [
        (column, StringTensorType([None, 1]) if column in WORDS else FloatTensorType([None, 1]))
        for column in features.columns
    ]
    return convert_sklearn(pipeline, "fraud", inputs, target_opset=TARGET_OPSET)


def main() -> None:
    # As the documentation of onnxmltools says: skl2onnx does not know XGBoost by itself.
    update_registered_converter(
        XGBClassifier,
        "XGBoostXGBClassifier",
        calculate_linear_classifier_output_shapes,
        convert_xgboost,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    train, held_out, train_labels, held_out_labels = read_data("payments.csv", "is_fraud")
    numbers = [column for column in train.columns if column not in WORDS]

    def build(version: int, description: str, pipeline: Pipeline, cost: float) -> Model:
        pipeline.fit(train, train_labels)
        return Model(
            name="fraud",
            version=version,
            description=description,
            script="train/train_fraud.py",
            pipeline=pipeline,
            graph=to_onnx(pipeline, train),
            labels=LABELS,
            outputs={"output_label": "label", "output_probability": "probabilities"},
            trained_rows=len(train),
            held_out=held_out,
            held_out_labels=held_out_labels.to_numpy(),
            cost=cost,
            # The checkout waits 500 ms at most, so a version that takes a fifth of that is not well.
            slow_ms=100,
        )

    first = build(1, "Probability that a payment is fraud: a logistic regression.", logistic_regression(numbers), 1.8)
    second = build(2, "Probability that a payment is fraud: gradient-boosted trees.", boosted_trees(numbers), 5.4)
    before, after = write_model(first), write_model(second)
    write_samples(second)
    assert after["rocAuc"] > before["rocAuc"] and after["logLoss"] < before["logLoss"], "version 2 must be better"


if __name__ == "__main__":
    main()

"""Trains a fraud model of your own and registers it, with nothing but scikit-learn and MLflow's client.

It knows nothing of Headrace: the client is told where to go by MLFLOW_TRACKING_URI. docs/bring-your-own-model.md goes through it.

    pip install "mlflow-skinny>=3" scikit-learn skl2onnx onnx pandas
    MLFLOW_TRACKING_URI=http://127.0.0.1:8080/mlflow python examples/shop/train/bring_your_own.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import mlflow
import pandas as pd
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

DATA = Path(__file__).parent.parent / "data" / "payments.csv"
WORDS = ["country", "payment_method"]
NUMBERS = [
    "amount",
    "card_age_days",
    "account_age_days",
    "items",
    "hour",
    "is_new_device",
    "shipping_matches_billing",
    "payments_last_24h",
]

options = argparse.ArgumentParser()
options.add_argument("--trees", type=int, default=30)
options.add_argument("--depth", type=int, default=10)
options.add_argument("--pickle-only", action="store_true", help="log the pickle, and no ONNX file: it cannot be served")
asked = options.parse_args()

payments = pd.read_csv(DATA)
# The latest quarter is held out, and is what the gate will ask about. Rows are in the order of time.
train, held_out = payments[: len(payments) * 3 // 4], payments[len(payments) * 3 // 4 :]

model = Pipeline(
    [
        (
            "columns",
            ColumnTransformer(
                [
                    ("numbers", "passthrough", NUMBERS),
                    # A word that training has not seen must not fail a payment.
                    ("words", OneHotEncoder(handle_unknown="ignore"), WORDS),
                ],
                sparse_threshold=0,
            ),
        ),
        ("trees", RandomForestClassifier(asked.trees, max_depth=asked.depth, max_features=0.4, random_state=7)),
    ]
).fit(train[NUMBERS + WORDS], train["is_fraud"])
auc = roc_auc_score(held_out["is_fraud"], model.predict_proba(held_out[NUMBERS + WORDS])[:, 1])

client = mlflow.MlflowClient()
mlflow.set_experiment("fraud")
with mlflow.start_run():
    mlflow.log_params({"trees": asked.trees, "depth": asked.depth})
    mlflow.log_metric("auc", auc)
    if asked.pickle_only:
        logged = mlflow.sklearn.log_model(
            model, name="model", registered_model_name="fraud-pickle", serialization_format="pickle", pip_requirements=[]
        )
        version = client.get_model_version("fraud-pickle", logged.registered_model_version)
        print(f"{version.name}/{version.version}: {version.status_message}")
    else:
        # One input for each column, of any number of rows, under the names that callers of the shop use already.
        inputs = [(name, FloatTensorType([None, 1])) for name in NUMBERS]
        inputs += [(name, StringTensorType([None, 1])) for name in WORDS]
        graph = convert_sklearn(model, "fraud", inputs)
        logged = mlflow.onnx.log_model(graph, name="model", pip_requirements=["onnx"])
        # What the classes and outputs are called stands beside the graph, as it does for the version that serves now.
        with tempfile.TemporaryDirectory() as folder:
            beside = Path(folder) / "model.json"
            outputs = {"output_label": "label", "output_probability": "probabilities"}
            beside.write_text(json.dumps({"labels": ["legitimate", "fraud"], "outputs": outputs}))
            client.log_model_artifact(logged.model_id, str(beside))
        version = mlflow.register_model(logged.model_uri, "fraud")
        print(f"{version.name}/{version.version}: auc {auc:.3f} on {len(held_out)} payments it was not trained on")

"""Trains the purchase-intent model, a small neural network, on the shop's sessions.

The graph has one float matrix as its input and plain tensors as its outputs (the ZipMap is switched off).

    npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
    python examples/shop/train/train_purchase_intent.py
"""

from __future__ import annotations

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from export import TARGET_OPSET, Model, read_data, write_model, write_samples

SEED = 7


def main() -> None:
    train, held_out, train_labels, held_out_labels = read_data("sessions.csv", "purchased")
    # No early stopping: scikit-learn would stop by accuracy, which says nothing when six in seven sessions do not buy.
    network = MLPClassifier(hidden_layer_sizes=(32, 16), alpha=0.5, max_iter=100, random_state=SEED)
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", network)])
    pipeline.fit(train, train_labels)
    graph = convert_sklearn(
        pipeline,
        "purchase-intent",
        [("features", FloatTensorType([None, train.shape[1]]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=TARGET_OPSET,
    )
    model = Model(
        name="purchase-intent",
        version=1,
        description="Probability that a session ends in a purchase: a small neural network.",
        script="train/train_purchase_intent.py",
        pipeline=pipeline,
        graph=graph,
        labels=["leaves", "purchases"],
        outputs={"label": "label", "probabilities": "probabilities"},
        trained_rows=len(train),
        held_out=held_out,
        held_out_labels=held_out_labels.to_numpy(),
    )
    write_model(model)
    write_samples(model)


if __name__ == "__main__":
    main()

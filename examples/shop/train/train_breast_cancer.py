"""Trains a small neural network on real data: the Breast Cancer Wisconsin (Diagnostic) set of 569 tumours.

The data comes with scikit-learn, so this script needs no world. Its classes are 0 (malignant) and 1 (benign).

    python examples/shop/train/train_breast_cancer.py
"""

from __future__ import annotations

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from export import TARGET_OPSET, Model, write_model, write_samples

SEED = 7


def main() -> None:
    data = load_breast_cancer(as_frame=True)
    train, held_out, train_labels, held_out_labels = train_test_split(
        data.data, data.target, test_size=0.25, stratify=data.target, random_state=SEED
    )
    # LBFGS: on 426 rows it converges further than a stochastic solver does.
    network = MLPClassifier(hidden_layer_sizes=(16,), solver="lbfgs", alpha=1.0, max_iter=500, random_state=SEED)
    pipeline = Pipeline([("scaler", StandardScaler()), ("classifier", network)])
    pipeline.fit(train, train_labels)
    graph = convert_sklearn(
        pipeline,
        "breast-cancer",
        [("features", FloatTensorType([None, train.shape[1]]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=TARGET_OPSET,
    )
    model = Model(
        name="breast-cancer",
        version=1,
        description="Whether a breast tumour is malignant or benign, from 30 measurements of its cell nuclei.",
        script="train/train_breast_cancer.py",
        pipeline=pipeline,
        graph=graph,
        labels=[str(name) for name in data.target_names],
        outputs={"label": "label", "probabilities": "probabilities"},
        trained_rows=len(train),
        held_out=held_out,
        held_out_labels=held_out_labels.to_numpy(),
    )
    write_model(model)
    write_samples(model)


if __name__ == "__main__":
    main()

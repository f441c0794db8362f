"""Trains the product-ranking model, gradient-boosted trees, on the products of the shop's listing pages.

The graph has one float matrix as its input, a row for each product on a page: a request is one page, and its answer
the order in which to show it. That order is judged by NDCG, next to the order by popularity alone.

    npx tsx examples/shop/world/generate.ts --seed 7 --out examples/shop/data
    python examples/shop/train/train_product_ranking.py
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from sklearn.metrics import ndcg_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from export import SHOP, TARGET_OPSET, Model, named_rows, read_data, write_json, write_model

SEED = 7
PAGE_SIZE = 16
SAMPLE_PAGE = 3


def main() -> None:
    update_registered_converter(
        XGBClassifier,
        "XGBoostXGBClassifier",
        calculate_linear_classifier_output_shapes,
        convert_xgboost,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]},
    )
    train, held_out, train_labels, held_out_labels = read_data("impressions.csv", "clicked")
    trees = XGBClassifier(
        n_estimators=80,
        max_depth=4,
        learning_rate=0.08,
        min_child_weight=8,
        reg_lambda=2.0,
        tree_method="hist",
        n_jobs=1,
        random_state=SEED,
    )
    pipeline = Pipeline([("columns", FunctionTransformer()), ("classifier", trees)])
    pipeline.fit(train.to_numpy(np.float32), train_labels)
    graph = convert_sklearn(
        pipeline,
        "product-ranking",
        [("features", FloatTensorType([None, train.shape[1]]))],
        options={id(pipeline): {"zipmap": False}},
        target_opset=TARGET_OPSET,
    )
    model = Model(
        name="product-ranking",
        version=1,
        description="Probability that a product on a listing page is clicked: one request is one page.",
        script="train/train_product_ranking.py",
        pipeline=pipeline,
        graph=graph,
        labels=["passed", "clicked"],
        outputs={"label": "label", "probabilities": "probabilities"},
        trained_rows=len(train),
        held_out=held_out,
        held_out_labels=held_out_labels.to_numpy(),
        cost=1.3,
    )
    scores = pipeline.predict_proba(held_out.to_numpy(np.float32))[:, 1]
    ndcg = {
        "ndcgAt5": mean_ndcg(held_out_labels, scores),
        "ndcgAt5ByPopularity": mean_ndcg(held_out_labels, held_out["popularity"].to_numpy()),
    }
    print(ndcg)
    write_model(model, ndcg)
    write_json(SHOP / "samples" / "product-ranking.json", page_of(held_out, held_out_labels))


def mean_ndcg(clicked: pd.Series, scores: np.ndarray) -> float:
    """NDCG of the first five places, over the pages on which something was clicked."""
    truth = clicked.to_numpy().reshape(-1, PAGE_SIZE)
    scores = scores.reshape(-1, PAGE_SIZE)
    has_click = truth.sum(axis=1) > 0
    return round(float(ndcg_score(truth[has_click], scores[has_click], k=5)), 4)


def page_of(rows: pd.DataFrame, clicked: pd.Series) -> dict:
    """One page and which of its products were clicked."""
    page = slice(SAMPLE_PAGE * PAGE_SIZE, (SAMPLE_PAGE + 1) * PAGE_SIZE)
    return {
        "rows": named_rows(rows.iloc[page]),
        "labels": ["clicked" if label else "passed" for label in clicked.iloc[page]],
    }


if __name__ == "__main__":
    main()

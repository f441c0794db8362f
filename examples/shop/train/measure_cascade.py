"""What the shop's cascade saves and what it loses: fraud/1 answers the payments it is sure of, fraud/2 the rest.

Reads the committed models and the held-out payments and prints one line for each confidence. `found` is the share of the
frauds among the 2 % of payments that score highest: what a team that looks at so many would catch.

    python examples/shop/train/measure_cascade.py
"""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
from sklearn.metrics import log_loss, roc_auc_score

from export import SHOP, as_served, feed, read_data

LOOKED_AT = 0.02


def main() -> None:
    cost = {version: manifest(version)["cost"] for version in (1, 2)}
    _, rows, _, labels = read_data("payments.csv", "is_fraud")
    served, truth = as_served(rows), labels.to_numpy()
    quick, trees = (scores(version, served) for version in (1, 2))
    line("fraud/1 alone", 1.0, cost[1], cost[2], quick, truth)
    line("fraud/2 alone", 0.0, cost[2], cost[2], trees, truth)
    for confidence in (0.97, 0.98, 0.985, 0.99, 0.995):
        is_sure = np.maximum(quick, 1 - quick) >= confidence
        share = float(is_sure.mean())
        both = cost[1] + (1 - share) * cost[2]
        line(f"confidence {confidence}", share, both, cost[2], np.where(is_sure, quick, trees), truth)


def scores(version: int, rows) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(SHOP / "models" / "fraud" / str(version) / "model.onnx"))
    return np.array([row[1] for row in session.run(None, feed(session, rows))[1]])


def manifest(version: int) -> dict:
    return json.loads((SHOP / "models" / "fraud" / str(version) / "model.json").read_text())


def line(name: str, share: float, cost: float, dearest: float, fraud: np.ndarray, truth: np.ndarray) -> None:
    looked_at = np.argsort(-fraud, kind="stable")[: int(len(fraud) * LOOKED_AT)]
    found = truth[looked_at].sum() / truth.sum()
    print(
        f"{name:17}  by fraud/1 {share:6.1%}  cost {cost:.2f} ({1 - cost / dearest:+.0%} saved)"
        f"  AUC {roc_auc_score(truth, fraud):.4f}  log loss {log_loss(truth, fraud):.5f}  found {found:.1%}"
    )


if __name__ == "__main__":
    main()

# BentoML with NumPy inputs in its own JSON; async, because the run is shorter than the way to a thread and back. A batchable API takes one argument, so the two inputs travel as one [rows, 2, 16].
# Settings by environment: RIVAL_BATCHABLE (0 or 1).
import os

import bentoml
import numpy as np
from simple import open_session

BATCHABLE = os.environ["RIVAL_BATCHABLE"] == "1"


@bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Simple:
    def __init__(self) -> None:
        self.session = open_session()

    @bentoml.api(batchable=BATCHABLE, batch_dim=0, max_batch_size=64, max_latency_ms=1000)
    async def infer(self, inputs: np.ndarray) -> np.ndarray:
        inputs = inputs.astype(np.int32, copy=False)
        outputs = self.session.run(["OUTPUT0", "OUTPUT1"], {"INPUT0": inputs[:, 0], "INPUT1": inputs[:, 1]})
        return np.stack(outputs, axis=1)

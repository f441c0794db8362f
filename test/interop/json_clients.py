"""Calls a live server with other people's clients, unchanged, over JSON; prints what they saw as one JSON object.

Run: python3 test/interop/json_clients.py http://127.0.0.1:8080 examples/shop/samples/breast-cancer.json
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from tritonclient import http as triton

MODEL = "breast-cancer"


def with_triton(url: str, rows: np.ndarray) -> dict:
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    outputs = [triton.InferRequestedOutput(name, binary_data=False) for name in ("probabilities", "label")]

    def infer(values: np.ndarray, model: str = MODEL):
        tensor = triton.InferInput("features", values.shape, "FP32")
        tensor.set_data_from_numpy(values, binary_data=False)
        return client.infer(model, [tensor], outputs=outputs, request_id="request-1")

    answer = infer(rows)
    with_nan = rows.copy()
    with_nan[0, 0] = np.nan
    errors = {}
    for name, call in {
        "unknown model": lambda: infer(rows, "nowhere"),
        "wrong shape": lambda: infer(rows[:, :2]),
    }.items():
        try:
            call()
            errors[name] = None
        except triton.InferenceServerException as error:
            errors[name] = {"status": error.status(), "message": error.message()}
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "modelReady": client.is_model_ready(MODEL),
        "versionReady": client.is_model_ready(MODEL, "1"),
        "server": client.get_server_metadata()["name"],
        "metadata": client.get_model_metadata(MODEL),
        "repository": client.get_model_repository_index(),
        "id": answer.get_response()["id"],
        "outputs": [output["name"] for output in answer.get_response()["outputs"]],
        "label": answer.as_numpy("label").tolist(),
        "probabilities": answer.as_numpy("probabilities").tolist(),
        "nanInNanOut": bool(np.isnan(infer(with_nan).as_numpy("probabilities")[0]).all()),
        "errors": errors,
    }


async def with_kserve(url: str, rows: np.ndarray) -> dict:
    v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
    v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
    tensor = InferInput("features", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=False)
    answer = await v2.infer(url, InferRequest(model_name=MODEL, infer_inputs=[tensor]), model_name=MODEL)
    instances = rows.tolist()
    predictions = await v1.infer(url, {"instances": instances}, model_name=MODEL)
    try:
        await v1.infer(url, {"instances": [[1, 2]]}, model_name=MODEL)
        error = None
    except Exception as caught:  # The client's class for HTTP errors has changed between its versions.
        error = str(caught)
    return {
        "ready": await v2.is_server_ready(url),
        "live": await v2.is_server_live(url),
        "modelReady": await v2.is_model_ready(url, MODEL),
        "modelReadyV1": await v1.is_model_ready(url, MODEL),
        "modelName": answer.model_name,
        "label": {output.name: output.data for output in answer.outputs}["label"],
        "labelV1": [prediction["label"] for prediction in predictions["predictions"]],
        "error": error,
    }


def main(url: str, sample: str) -> None:
    with open(sample, encoding="utf-8") as file:
        rows = np.array([list(row.values()) for row in json.load(file)["rows"]], dtype=np.float32)
    print(json.dumps({"triton": with_triton(url, rows), "kserve": asyncio.run(with_kserve(url, rows))}))


main(*sys.argv[1:])

"""KServe's InferenceRESTClient and InferenceGRPCClient, unchanged, against a live server. Prints one JSON object (cases.py).

Run: python3 test/interop/kserve_clients.py http://127.0.0.1:8080 127.0.0.1:8081
"""

import logging
import sys

import grpc
import numpy as np
from cases import EXTREMES, case, run_cases, same
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from kserve.protocol.infer_type import RequestedOutput

HTTP_URL, GRPC_URL = sys.argv[1:]
logging.disable(logging.CRITICAL)  # The gRPC client logs each failure that the cases ask for.
ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
# KServe's types know no BF16.
DATATYPES = [datatype for datatype in EXTREMES if datatype != "BF16"]


def tensor(values: np.ndarray, datatype: str, binary: bool) -> InferInput:
    given = InferInput("x", list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def request(model: str, values: np.ndarray, datatype: str, binary: bool, **options) -> InferRequest:
    return InferRequest(model_name=model, infer_inputs=[tensor(values, datatype, binary)], **options)


def rest(protocol: str = "v2") -> InferenceRESTClient:
    return InferenceRESTClient(RESTConfig(protocol=protocol))


async def failure(awaitable) -> dict:
    try:
        return {"answered": str(await awaitable)[:200]}
    except grpc.RpcError as error:
        return {"status": str(error.code()), "message": error.details()}
    except Exception as error:
        return {"type": type(error).__name__, "message": str(error)}


@case
async def rest_health():
    async with rest() as v2, rest("v1") as v1:
        return {
            "live": await v2.is_server_live(HTTP_URL),
            "ready": await v2.is_server_ready(HTTP_URL),
            "modelReady": await v2.is_model_ready(HTTP_URL, "simple"),
            "unknownReady": await v2.is_model_ready(HTTP_URL, "nowhere"),
            "v1 live": await v1.is_server_live(HTTP_URL),
            "v1 modelReady": await v1.is_model_ready(HTTP_URL, "versions"),
        }


@case
async def rest_round_trips():
    right = {}
    async with rest() as client:
        for datatype in DATATYPES:
            values = EXTREMES[datatype]
            model = f"identity_{datatype.lower()}"
            for form, binary, parameters in (
                ("binary", True, {"binary_data_output": True}),
                ("json", False, None),
            ):
                if form == "json" and datatype in ("FP16", "FP32", "FP64"):
                    if datatype == "FP16":
                        continue
                    values = np.nan_to_num(values)  # orjson writes NaN as null.
                asked = request(model, values, datatype, binary, parameters=parameters)
                answer = await client.infer(HTTP_URL, asked, model_name=model)
                right[f"{datatype} {form}"] = same(answer.outputs[0].as_numpy(), values)
    return right


@case
async def rest_outputs_ids_and_compression():
    async with rest() as client:
        outputs = [RequestedOutput("y", {"binary_data": False})]
        parameters = {"binary_data_output": True}
        asked = request("classes", ROWS, "FP32", True, request_id="mine", request_outputs=outputs, parameters=parameters)
        headers = {}
        answer = await client.infer(HTTP_URL, asked, model_name="classes", response_headers=headers)
        return {
            "id": answer.id,
            "model": answer.model_name,
            "data": answer.outputs[0].data == ROWS.flatten().tolist(),
            "type": headers["content-type"],
        }


@case
async def rest_v1_rows_and_columns():
    async with rest("v1") as client:
        rows = await client.infer(HTTP_URL, {"instances": ROWS.tolist()}, model_name="versions")
        columns = await client.infer(HTTP_URL, {"inputs": ROWS.tolist()}, model_name="versions")
        return [
            rows,
            columns,
            await failure(client.explain(HTTP_URL, "versions", {"instances": ROWS.tolist()})),
            await failure(client.infer(HTTP_URL, {"instances": [[1, 2]]}, model_name="versions")),
        ]


@case
async def rest_refusals():
    async with rest() as client:
        infer = lambda model, values: client.infer(HTTP_URL, request(model, values, "FP32", True), model_name=model)
        return {
            "unknown model": await failure(infer("nowhere", ROWS)),
            "wrong shape": await failure(infer("versions", ROWS[:, :3])),
        }


@case
async def grpc_health():
    async with InferenceGRPCClient(GRPC_URL) as client:
        return {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "modelReady": await client.is_model_ready("simple"),
        }


@case
async def grpc_round_trips():
    right = {}
    async with InferenceGRPCClient(GRPC_URL) as client:
        for datatype in DATATYPES:
            values = EXTREMES[datatype]
            model = f"identity_{datatype.lower()}"
            for form in ("raw", "typed"):
                if form == "typed" and datatype == "FP16":
                    continue
                answer = await client.infer(request(model, values, datatype, form == "raw"))
                output = answer.outputs[0]
                got = output.as_numpy() if form == "raw" or datatype != "BYTES" else np.array(
                    list(output.data), dtype=np.object_
                ).reshape(output.shape)
                right[f"{datatype} {form}"] = same(got, values)
    return right


@case
async def grpc_ids_versions_and_refusals():
    async with InferenceGRPCClient(GRPC_URL) as client:
        asked = request("versions", ROWS, "FP32", True, request_id="mine", model_version="1")
        answer = await client.infer(asked)
        return {
            "id": answer.id,
            "model": answer.model_name,
            "version": answer.model_version,
            "right": same(answer.outputs[0].as_numpy(), ROWS),
            "unknown model": await failure(client.infer(request("nowhere", ROWS, "FP32", True))),
            "wrong shape": await failure(client.infer(request("versions", ROWS[:, :3], "FP32", True))),
            "late": (await failure(client.infer(request("sleeper", ROWS, "FP32", True), timeout=0.3)))["status"],
        }


@case
async def repository_of_kserve():
    """KServe's messages put the name in field 1, where Triton's have the repository."""
    async with grpc.aio.insecure_channel(GRPC_URL) as channel:
        stub = GRPCInferenceServiceStub(channel)
        unloaded = await stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="control_kserve"))
        ready = (await stub.ModelReady(pb.ModelReadyRequest(name="control_kserve"))).ready
        loaded = await stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="control_kserve"))
        again = (await stub.ModelReady(pb.ModelReadyRequest(name="control_kserve"))).ready
        unknown = await failure(stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="nowhere")))
        return {
            "unloaded": [unloaded.model_name, unloaded.isUnloaded, ready],
            "loaded": [loaded.model_name, loaded.isLoaded, again],
            "unknown": unknown,
        }


run_cases()

"""MLServer's codecs and types over HTTP and its own gRPC stubs, unchanged, against a live server. Prints one JSON object (cases.py).
Its command `mlserver infer` is run by the test itself.

Run: <python with mlserver> test/interop/mlserver_client.py http://127.0.0.1:8080 127.0.0.1:8081
"""

import sys
import urllib.error
import urllib.request

import grpc
import numpy as np
from cases import EXTREMES, case, run_cases, same
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, StringCodec
from mlserver.grpc import converters
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import (
    InferenceErrorResponse,
    InferenceRequest,
    InferenceResponse,
    MetadataModelResponse,
    MetadataServerResponse,
    Parameters,
    RepositoryIndexResponse,
)

HTTP_URL, GRPC_URL = sys.argv[1:]
stub = GRPCInferenceServiceStub(grpc.insecure_channel(GRPC_URL))
ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
# What MLServer's numpy codec knows but half precision; it writes NaN and infinity as null, which no server can read.
NUMBERS = ["BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64"]


def call(path: str, body: str | None = None) -> str:
    asked = urllib.request.Request(HTTP_URL + path, body.encode() if body else None, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked) as answer:
        return answer.read().decode()


def infer(model: str, request: InferenceRequest) -> InferenceResponse:
    body = request.model_dump_json(exclude_none=True, by_alias=True)
    return InferenceResponse.model_validate_json(call(f"/v2/models/{model}/infer", body))


def failed(model: str, request: InferenceRequest):
    try:
        return {"answered": str(infer(model, request))[:200]}
    except urllib.error.HTTPError as error:
        return [error.code, InferenceErrorResponse.model_validate_json(error.read()).error]


@case
def metadata():
    model = MetadataModelResponse.model_validate_json(call("/v2/models/simple"))
    index = RepositoryIndexResponse.model_validate_json(call("/v2/repository/index", "{}"))
    return {
        "server": MetadataServerResponse.model_validate_json(call("/v2")).name,
        "model": [model.name, [each.name for each in model.inputs], [each.name for each in model.outputs]],
        "index": "simple" in [item.name for item in index.root],
    }


@case
def numpy_codec():
    right = {}
    for datatype in NUMBERS:
        values = np.nan_to_num(EXTREMES[datatype])
        given = NumpyCodec.encode_input("x", values)
        answer = infer(f"identity_{datatype.lower()}", InferenceRequest(id="mine", inputs=[given]))
        right[given.datatype] = same(NumpyCodec.decode_output(answer.outputs[0]), values) and answer.id == "mine"
    return right


@case
def request_codec_and_content_types():
    request = NumpyRequestCodec.encode_request(ROWS)
    request.inputs[0].name = "x"
    request.parameters = Parameters(content_type="np", headers={"x": "y"})
    return NumpyRequestCodec.decode_response(infer("classes", request)).tolist()


@case
def string_codec():
    texts = ["a", "é", "日本語", ""]
    answer = infer("identity_bytes", InferenceRequest(inputs=[StringCodec.encode_input("x", texts, use_bytes=False)]))
    return StringCodec.decode_output(answer.outputs[0]) == texts


@case
def refusals():
    request = InferenceRequest(inputs=[NumpyCodec.encode_input("x", ROWS[:, :3])])
    return {"unknown model": failed("nowhere", request), "wrong shape": failed("versions", request)}


@case
def grpc_typed_and_raw():
    right = {}
    for datatype in NUMBERS:
        values = np.nan_to_num(EXTREMES[datatype])
        model = f"identity_{datatype.lower()}"
        for use_raw in (False, True):
            request = InferenceRequest(id="mine", inputs=[NumpyCodec.encode_input("x", values)])
            message = converters.ModelInferRequestConverter.from_types(request, model_name=model, use_raw=use_raw)
            answer = converters.ModelInferResponseConverter.to_types(stub.ModelInfer(message))
            right[f"{datatype} {'raw' if use_raw else 'typed'}"] = same(NumpyCodec.decode_output(answer.outputs[0]), values)
    return right


@case
def grpc_metadata_and_repository():
    model = converters.ModelMetadataResponseConverter.to_types(stub.ModelMetadata(pb.ModelMetadataRequest(name="simple")))
    try:
        stub.ModelInfer(pb.ModelInferRequest(model_name="nowhere"))
        refused = None
    except grpc.RpcError as error:
        refused = [str(error.code()), error.details()]
    return {
        "live": stub.ServerLive(pb.ServerLiveRequest()).live,
        "ready": stub.ModelReady(pb.ModelReadyRequest(name="simple")).ready,
        "inputs": [[each.name, each.datatype, each.shape] for each in model.inputs],
        "refused": refused,
    }


run_cases()

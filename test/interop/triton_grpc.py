"""tritonclient.grpc and tritonclient.grpc.aio, and bare stubs, unchanged, against a live server. Prints one JSON object (cases.py).

Run: python3 test/interop/triton_grpc.py 127.0.0.1:8081 models/control_grpc/1/model.onnx
"""

import asyncio
import json
import queue
import sys
import time

import grpc
import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as aio
from cases import EXTREMES, case, refusal, run_cases, same
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

URL, MODEL_FILE = sys.argv[1:]
client = triton.InferenceServerClient(URL)
channel = grpc.insecure_channel(URL)
stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
FIRST = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), dtype=np.int32)


def tensor(name: str, values: np.ndarray, datatype: str):
    return triton.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values)


def echo(datatype: str, values: np.ndarray, **options) -> np.ndarray:
    return client.infer(f"identity_{datatype.lower()}", [tensor("x", values, datatype)], **options).as_numpy("y")


def simple_inputs(shape=(1, 16)):
    return [tensor("INPUT0", FIRST.reshape(shape), "INT32"), tensor("INPUT1", ONES.reshape(shape), "INT32")]


def rows() -> list:
    return [tensor("x", ROWS, "FP32")]


def refused(call) -> dict:
    try:
        return {"answered": str(call())[:200]}
    except InferenceServerException as error:
        return refusal(error)


def rejected(call) -> dict:
    """The same for a bare stub."""
    try:
        return {"answered": str(call())[:200]}
    except grpc.RpcError as error:
        return {"status": str(error.code()), "message": error.details()}


@case
def health_and_metadata():
    return {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "modelReady": client.is_model_ready("simple"),
        "versionReady": client.is_model_ready("simple", "1"),
        "unknownReady": client.is_model_ready("nowhere"),
        "server": client.get_server_metadata(as_json=True),
        "model": client.get_model_metadata("simple", as_json=True),
        "unknown": refused(lambda: client.get_model_metadata("wrong_model_name")),
    }


@case
def grpc_health():
    health = health_pb2_grpc.HealthStub(channel)
    check = lambda service: health.Check(health_pb2.HealthCheckRequest(service=service)).status
    watching = health.Watch(health_pb2.HealthCheckRequest(service=""))
    first = next(watching).status
    watching.cancel()
    return {
        "server": check(""),
        "service": check("inference.GRPCInferenceService"),
        "watch": first,
        "unknown": rejected(lambda: check("nowhere"))["status"],
    }


@case
def raw_round_trips():
    return {datatype: same(echo(datatype, values), values) for datatype, values in EXTREMES.items()}


CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def typed_request(datatype: str, values: np.ndarray, field=None, model=None):
    request = service_pb2.ModelInferRequest(model_name=model or f"identity_{datatype.lower()}")
    given = request.inputs.add(name="x", datatype=datatype, shape=values.shape)
    getattr(given.contents, field or CONTENTS[datatype]).extend(values.flatten().tolist())
    return request


@case
def typed_round_trips():
    """As Triton's grpc_explicit_…_content examples ask; the answer comes in the form of the request."""
    right = {}
    for datatype, field in CONTENTS.items():
        values = EXTREMES[datatype]
        answer = stub.ModelInfer(typed_request(datatype, values))
        got = list(getattr(answer.outputs[0].contents, field))
        dtype = np.object_ if datatype == "BYTES" else values.dtype
        right[datatype] = same(np.array(got, dtype=dtype).reshape(answer.outputs[0].shape), values)
    return right


@case
def broken_contents():
    fp32 = EXTREMES["FP32"]
    int8 = np.zeros((1, 1), dtype=np.int32)
    int8[0, 0] = 300
    mixed = typed_request("FP32", fp32)
    mixed.raw_input_contents.append(fp32.tobytes())
    raw = service_pb2.ModelInferRequest(model_name="identity_fp32")
    raw.inputs.add(name="x", datatype="FP32", shape=[2, 4])

    def with_raw(*contents, shape=None):
        request = service_pb2.ModelInferRequest()
        request.CopyFrom(raw)
        if shape is not None:
            del request.inputs[0].shape[:]
            request.inputs[0].shape.extend(shape)
        request.raw_input_contents.extend(contents)
        return request

    requests = {
        "mixed": mixed,
        "too few elements": typed_request("FP32", fp32[:1].reshape(1, 4), model="identity_fp32"),
        "wrong field": typed_request("FP32", fp32, "fp64_contents"),
        "half precision": typed_request("FP16", EXTREMES["FP32"], "fp32_contents"),
        "INT8 out of range": typed_request("INT8", int8, "int_contents"),
        "no contents": raw,
        "short": with_raw(ROWS.tobytes()[:-1]),
        "long": with_raw(ROWS.tobytes() + b"x"),
        "too many": with_raw(ROWS.tobytes(), b""),
        "negative dimension": with_raw(ROWS.tobytes(), shape=[-2, -4]),
        "overflow": with_raw(ROWS.tobytes(), shape=[2**62, 2**62]),
        "unknown datatype": typed_request("FP32", fp32),
    }
    del requests["too few elements"].inputs[0].shape[:]
    requests["too few elements"].inputs[0].shape.extend([3, 4])
    requests["unknown datatype"].inputs[0].datatype = "FP128"
    return {name: rejected(lambda: stub.ModelInfer(request)).get("status") for name, request in requests.items()}


@case
def without_rows_and_without_width():
    nothing = np.zeros((2, 0), dtype=np.float32)
    texts = np.zeros((2, 0), dtype=np.object_)
    return {
        "width 0": same(echo("FP32", nothing), nothing),
        "width 0 of text": same(echo("BYTES", texts), texts),
        "no rows": refused(lambda: echo("FP32", np.zeros((0, 4), dtype=np.float32))),
    }


@case
def ten_megabytes():
    values = np.random.default_rng(1).random((640, 4096), dtype=np.float32)
    return same(echo("FP32", values), values)


@case
def bytes_that_are_not_text():
    return refused(lambda: echo("BYTES", np.array([[b"\xff\xfe"]], dtype=np.object_)))


@case
def unbatched():
    answer = client.infer("simple_unbatched", simple_inputs(shape=(16,)))
    return [answer.as_numpy("OUTPUT0").tolist() == (FIRST[0] + 1).tolist(), list(answer.as_numpy("OUTPUT1").shape)]


@case
def outputs_in_the_order_asked_for():
    names = {}
    for asked in (["OUTPUT1", "OUTPUT0"], ["OUTPUT1"], []):
        outputs = [triton.InferRequestedOutput(name) for name in asked]
        answer = client.infer("simple", simple_inputs(), outputs=outputs or None)
        names["+".join(asked)] = [output.name for output in answer.get_response().outputs]
    return names


@case
def request_ids():
    with_id = client.infer("simple", simple_inputs(), request_id="my id/1").get_response()
    without = client.infer("simple", simple_inputs()).get_response()
    return {"id": with_id.id, "model": with_id.model_name, "version": with_id.model_version, "none": without.id}


@case
def classification():
    values = np.array([[0.1, 0.5, 0.25, 0.15], [4, 3, 2, 1]], dtype=np.float32)
    answer = client.infer(
        "classes", [tensor("x", values, "FP32")], outputs=[triton.InferRequestedOutput("y", class_count=2)]
    )
    got = answer.as_numpy("y")
    return {
        "datatype": answer.get_output("y").datatype,
        "shape": list(got.shape),
        "first": [value.decode() for value in got[0]],
    }


@case
def compression():
    values = np.tile(EXTREMES["FP32"], (200, 1))
    return [same(echo("FP32", values, compression_algorithm=each), values) for each in (None, "gzip", "deflate")]


@case
def versions():
    infer = lambda version: client.infer("versions", rows(), model_version=version)
    return {
        **{version or "none": infer(version).as_numpy("y")[0].tolist() for version in ("", "1", "2")},
        "says": infer("1").get_response().model_version,
        "unknown": refused(lambda: infer("9")),
        "no number": refused(lambda: infer("one")),
    }


@case
def priority_timeout_and_own_parameters():
    given = [
        {"priority": 1, "timeout": 5_000_000},
        {"parameters": {"a": "b", "n": 1, "f": 1.5, "t": True}},
        {"headers": {"my-header": "x"}},
    ]
    return [same(client.infer("simple", simple_inputs(), **each).as_numpy("OUTPUT0"), FIRST + 1) for each in given]


@case
def sequences():
    return [
        refused(lambda: client.infer("simple", simple_inputs(), sequence_id=each, sequence_start=True))["status"]
        for each in (42, "a-sequence")
    ]


@case
def timeouts():
    return {
        "of the client": refused(lambda: client.infer("sleeper", rows(), client_timeout=0.3)),
        "of the request": refused(lambda: client.infer("sleeper", rows(), timeout=100_000)),
    }


@case
def callbacks():
    done = queue.Queue()
    for index in range(16):
        client.async_infer(
            "simple",
            simple_inputs(),
            callback=lambda result, error: done.put((result, error)),
            request_id=str(index),
        )
    answers = [done.get(timeout=20) for _ in range(16)]
    client.async_infer("nowhere", rows(), callback=lambda result, error: done.put((result, error)))
    _, error = done.get(timeout=20)
    return {
        "ids": sorted(int(result.get_response().id) for result, _ in answers) == list(range(16)),
        "right": all(same(result.as_numpy("OUTPUT0"), FIRST + 1) for result, _ in answers),
        "error": refusal(error),
    }


@case
def cancellation():
    done = queue.Queue()
    call = client.async_infer("sleeper", rows(), callback=lambda result, error: done.put((result, error)))
    time.sleep(0.3)
    started = time.monotonic()
    call.cancel()
    result, error = done.get(timeout=20)
    return {
        "result": result is None,
        "error": refusal(error),
        "at once": time.monotonic() - started < 1,
        "afterwards": same(echo("FP32", ROWS), ROWS),
    }


@case
def streams():
    done = queue.Queue()
    client.start_stream(lambda result, error: done.put((result, error)))
    try:
        for index in range(8):
            client.async_stream_infer("simple", simple_inputs(), request_id=str(index))
        client.async_stream_infer("nowhere", rows(), request_id="bad")
        client.async_stream_infer("simple", simple_inputs(), request_id="after")
        answers = [done.get(timeout=20) for _ in range(10)]
    finally:
        client.stop_stream()
    ids = [result.get_response().id for result, _ in answers if result is not None]
    return {
        "ids": ids,
        "right": all(same(result.as_numpy("OUTPUT0"), FIRST + 1) for result, _ in answers if result is not None),
        "errors": [error.message() for _, error in answers if error is not None],
    }


@case
def streams_that_end_early():
    done = queue.Queue()
    client.start_stream(lambda result, error: done.put((result, error)), stream_timeout=0.5)
    client.async_stream_infer("sleeper", rows())
    _, late = done.get(timeout=20)
    client.stop_stream()
    client.start_stream(lambda result, error: done.put((result, error)))
    client.async_stream_infer("sleeper", rows())
    time.sleep(0.3)
    client.stop_stream(cancel_requests=True)
    _, cancelled = done.get(timeout=20)
    return {"late": late.status(), "cancelled": cancelled.status(), "afterwards": same(echo("FP32", ROWS), ROWS)}


@case
def refusals():
    region = triton.InferInput("x", [2, 4], "FP32").set_shared_memory("region", 32)
    return {
        "unknown model": refused(lambda: client.infer("nowhere", rows())),
        "wrong shape": refused(lambda: client.infer("versions", [tensor("x", ROWS[:, :3], "FP32")])),
        "wrong datatype": refused(lambda: client.infer("versions", [tensor("x", EXTREMES["INT32"], "INT32")])),
        "wrong input": refused(lambda: client.infer("versions", [tensor("z", ROWS, "FP32")])),
        "missing input": refused(lambda: client.infer("simple", simple_inputs()[:1])),
        "unknown output": refused(
            lambda: client.infer("versions", rows(), outputs=[triton.InferRequestedOutput("z")])
        ),
        "shared memory": refused(lambda: client.infer("versions", [region])),
    }


@case
def statistics_and_configuration():
    for _ in range(3):
        client.infer("counted_grpc", rows())
    (stats,) = client.get_inference_statistics("counted_grpc", as_json=True)["model_stats"]
    everything = client.get_inference_statistics().model_stats
    config = client.get_model_config("simple").config
    return {
        "name": [stats["name"], stats["version"]],
        "inferences": int(stats["inference_count"]),
        "executions": int(stats["execution_count"]),
        "success": int(stats["inference_stats"]["success"]["count"]),
        "took": int(stats["inference_stats"]["compute_infer"]["ns"]) > 0,
        "batches": [int(batch["batch_size"]) for batch in stats["batch_stats"]],
        "all": {"simple", "classes"} <= {each.name for each in everything},
        "config": [config.name, config.max_batch_size],
        "inputs": [[each.name, each.data_type, list(each.dims)] for each in config.input],
        "unknown": refused(lambda: client.get_inference_statistics("nowhere")),
        "unknownConfig": refused(lambda: client.get_model_config("nowhere")),
    }


def entry(name: str) -> list:
    index = client.get_model_repository_index(as_json=True)["models"]
    return [each for each in index if each["name"] == name]


@case
def model_control():
    """The calls of Triton's simple_grpc_model_control example, and what it leaves out."""
    name = "control_grpc"
    seen = {"index": len(client.get_model_repository_index().models), "entry": entry(name)}
    client.load_model(name)
    seen["ready"] = client.is_model_ready(name)
    seen["config without form"] = refused(
        lambda: client.load_model(name, config='"parameters": {"config": {{"max_batch_size": "16"}}}')
    )
    client.load_model(name, config='{"max_batch_size":"16"}')
    seen["max_batch_size"] = client.get_model_config(name).config.max_batch_size
    client.unload_model(name)
    seen["unloaded"] = [client.is_model_ready(name), entry(name)]
    seen["infer unloaded"] = refused(lambda: client.infer(name, simple_inputs()))
    client.load_model(name)
    seen["loaded again"] = same(client.infer(name, simple_inputs()).as_numpy("OUTPUT0"), FIRST + 1)
    seen["wrong name"] = refused(lambda: client.load_model("wrong_model_name"))
    seen["unload wrong name"] = refused(lambda: client.unload_model("wrong_model_name"))
    return seen


@case
def models_sent_with_the_load():
    name = "sent_grpc"
    with open(MODEL_FILE, "rb") as file:
        content = file.read()
    config = json.dumps({"backend": "onnxruntime", "max_batch_size": 8})
    client.load_model(name, config=config, files={"file:1/model.onnx": content})
    seen = {"right": same(client.infer(name, simple_inputs()).as_numpy("OUTPUT0"), FIRST + 1)}
    seen["broken"] = refused(lambda: client.load_model(name, config=config, files={"file:1/model.onnx": b"no model"}))
    seen["old one still serves"] = same(client.infer(name, simple_inputs()).as_numpy("OUTPUT0"), FIRST + 1)
    seen["files without config"] = refused(lambda: client.load_model(name, files={"file:1/model.onnx": content}))
    client.unload_model(name)
    seen["unloaded"] = client.is_model_ready(name)
    return seen


@case
def shared_memory_and_settings():
    return {
        "system": refused(lambda: client.get_system_shared_memory_status(as_json=True)),
        "cuda": refused(lambda: client.get_cuda_shared_memory_status(as_json=True)),
        "register": refused(lambda: client.register_system_shared_memory("region", "/region", 64))["status"],
        "trace": refused(lambda: client.get_trace_settings(as_json=True)),
        "log": refused(lambda: client.get_log_settings(as_json=True)),
        "set trace": refused(lambda: client.update_trace_settings(settings={"trace_rate": "1"}))["status"],
        "set log": refused(lambda: client.update_log_settings({"log_verbose_level": 1}))["status"],
    }


def aio_tensor(name: str, values: np.ndarray, datatype: str):
    return aio.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values)


@case
async def aio_client():
    async with aio.InferenceServerClient(URL) as asynchronous:
        answers = await asyncio.gather(
            *(
                asynchronous.infer(
                    f"identity_{datatype.lower()}", [aio_tensor("x", values, datatype)], request_id=datatype
                )
                for datatype, values in EXTREMES.items()
            )
        )
        await asynchronous.infer("counted_grpc_aio", [aio_tensor("x", ROWS, "FP32")])
        seen = {
            "live": await asynchronous.is_server_live(),
            "ready": await asynchronous.is_model_ready("simple"),
            "server": (await asynchronous.get_server_metadata()).name,
            "wrong": [
                datatype
                for answer, (datatype, values) in zip(answers, EXTREMES.items())
                if not same(answer.as_numpy("y"), values) or answer.get_response().id != datatype
            ],
            "index": len((await asynchronous.get_model_repository_index()).models) > 10,
            "stats": (await asynchronous.get_inference_statistics("counted_grpc_aio")).model_stats[0].inference_count,
        }
        await asynchronous.load_model("control_grpc_aio", config='{"max_batch_size":"4"}')
        seen["max_batch_size"] = (await asynchronous.get_model_config("control_grpc_aio")).config.max_batch_size
        await asynchronous.unload_model("control_grpc_aio")
        seen["unloaded"] = await asynchronous.is_model_ready("control_grpc_aio")
        try:
            await asynchronous.infer("nowhere", [aio_tensor("x", ROWS, "FP32")])
        except InferenceServerException as error:
            seen["unknown"] = refusal(error)
        try:
            await asynchronous.infer("sleeper", [aio_tensor("x", ROWS, "FP32")], client_timeout=0.3)
        except InferenceServerException as error:
            seen["late"] = error.status()
        return seen


@case
async def aio_cancellation():
    async with aio.InferenceServerClient(URL) as asynchronous:
        slow = asyncio.create_task(asynchronous.infer("sleeper", [aio_tensor("x", ROWS, "FP32")]))
        await asyncio.sleep(0.3)
        slow.cancel()
        ended = (await asyncio.gather(slow, return_exceptions=True))[0]
        answer = await asynchronous.infer("classes", [aio_tensor("x", ROWS, "FP32")])
        return [type(ended).__name__, same(answer.as_numpy("y"), ROWS)]


@case
async def aio_streams():
    async def requests():
        for index in range(8):
            model = "nowhere" if index == 4 else "versions"
            yield {"model_name": model, "inputs": [aio_tensor("x", ROWS, "FP32")], "request_id": str(index)}

    async with aio.InferenceServerClient(URL) as asynchronous:
        ids, errors = [], []
        async for result, error in asynchronous.stream_infer(requests()):
            if error is None:
                ids.append(result.get_response().id)
            else:
                errors.append(error.message())
        slow = asynchronous.stream_infer(requests())
        slow.cancel()
        return {"ids": ids, "errors": errors}


run_cases()

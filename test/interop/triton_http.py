"""tritonclient.http and tritonclient.http.aio, unchanged, against a live server. Prints one JSON object (cases.py).

Run: python3 test/interop/triton_http.py 127.0.0.1:8080 models/control_http/1/model.onnx
"""

import asyncio
import http.client
import json
import sys

import numpy as np
import tritonclient.http as triton
import tritonclient.http.aio as aio
from cases import EXTREMES, case, refusal, run_cases, same
from tritonclient.utils import InferenceServerException

URL, MODEL_FILE = sys.argv[1:]
client = triton.InferenceServerClient(URL, concurrency=8)
ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
FIRST = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), dtype=np.int32)


def tensor(name: str, values: np.ndarray, datatype: str, binary: bool = True, of=triton):
    return of.InferInput(name, list(values.shape), datatype).set_data_from_numpy(values, binary_data=binary)


def echo(datatype: str, values: np.ndarray, binary_in: bool = True, binary_out: bool = True, **options) -> np.ndarray:
    output = triton.InferRequestedOutput("y", binary_data=binary_out)
    answer = client.infer(
        f"identity_{datatype.lower()}", [tensor("x", values, datatype, binary_in)], outputs=[output], **options
    )
    return answer.as_numpy("y")


def simple_inputs(binary=(True, True), shape=(1, 16)):
    return [
        tensor("INPUT0", FIRST.reshape(shape), "INT32", binary[0]),
        tensor("INPUT1", ONES.reshape(shape), "INT32", binary[1]),
    ]


def refused(call) -> dict:
    try:
        return {"answered": str(call())[:200]}
    except InferenceServerException as error:
        return refusal(error)


@case
def health_and_metadata():
    return {
        "live": client.is_server_live(query_params={"test_1": 1, "test_2": 2}),
        "ready": client.is_server_ready(),
        "modelReady": client.is_model_ready("simple"),
        "versionReady": client.is_model_ready("simple", "1"),
        "unknownReady": client.is_model_ready("nowhere"),
        "server": client.get_server_metadata(),
        "model": client.get_model_metadata("simple", query_params={"test_1": 1}),
        "unknown": refused(lambda: client.get_model_metadata("wrong_model_name")),
    }


@case
def binary_round_trips():
    return {datatype: same(echo(datatype, values), values) for datatype, values in EXTREMES.items()}


@case
def json_round_trips():
    return {
        datatype: same(echo(datatype, values, binary_in=False, binary_out=False), values)
        for datatype, values in EXTREMES.items()
        if datatype != "BF16"  # tritonclient refuses to write it.
    }


@case
def json_in_and_binary_out_and_the_other_way():
    values = EXTREMES["INT64"]
    return [
        same(echo("INT64", values, binary_in=False, binary_out=True), values),
        same(echo("INT64", values, binary_in=True, binary_out=False), values),
    ]


@case
def mixed_inputs_in_one_request():
    outputs = [triton.InferRequestedOutput("OUTPUT0"), triton.InferRequestedOutput("OUTPUT1", binary_data=False)]
    sums = []
    for binary in ((True, False), (False, True)):
        answer = client.infer("simple", simple_inputs(binary), outputs=outputs)
        forms = ["data" in answer.get_output(name) for name in ("OUTPUT0", "OUTPUT1")]
        right = bool((answer.as_numpy("OUTPUT0") == FIRST + 1).all() and (answer.as_numpy("OUTPUT1") == FIRST - 1).all())
        sums.append([right, *forms])
    return sums


@case
def without_rows_and_without_width():
    nothing = np.zeros((2, 0), dtype=np.float32)
    return {
        "width 0": same(echo("FP32", nothing), nothing),
        "width 0 of text": same(echo("BYTES", np.zeros((2, 0), dtype=np.object_)), np.zeros((2, 0), dtype=np.object_)),
        "width 0 as JSON": same(echo("FP32", nothing, False, False), nothing),
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
        names["+".join(asked)] = [output["name"] for output in answer.get_response()["outputs"]]
    return names


@case
def request_ids():
    with_id = client.infer("simple", simple_inputs(), request_id="my id/1").get_response()
    without = client.infer("simple", simple_inputs()).get_response()
    return {"id": with_id["id"], "model": with_id["model_name"], "version": with_id["model_version"], "none": without.get("id", "")}


@case
def classification():
    values = np.array([[0.1, 0.5, 0.25, 0.15], [4, 3, 2, 1]], dtype=np.float32)
    seen = {}
    for name, count, binary in (("binary", 2, True), ("json", 2, False), ("clipped", 9, True)):
        output = triton.InferRequestedOutput("y", binary_data=binary, class_count=count)
        answer = client.infer("classes", [tensor("x", values, "FP32")], outputs=[output])
        got = answer.as_numpy("y")
        seen[name] = {
            "datatype": answer.get_output("y")["datatype"],
            "shape": list(got.shape),
            "first": [v.decode() if isinstance(v, bytes) else str(v) for v in got[0]],
        }
    return seen


@case
def compressed_requests_and_responses():
    values = np.tile(EXTREMES["FP32"], (200, 1))
    right = {}
    for request in (None, "gzip", "deflate"):
        for response in (None, "gzip", "deflate"):
            options = {"request_compression_algorithm": request, "response_compression_algorithm": response}
            binary = same(echo("FP32", values, **options), values)
            right[f"{request}/{response}"] = binary and same(echo("FP32", values, False, False, **options), values)
    return right


@case
def the_response_is_compressed_when_asked_for():
    connection = http.client.HTTPConnection(URL)
    values = np.zeros((500, 4), dtype=np.float32)
    body, size = triton.InferenceServerClient.generate_request_body([tensor("x", values, "FP32")])
    headers = {"Inference-Header-Content-Length": str(size), "Accept-Encoding": "gzip"}
    connection.request("POST", "/v2/models/identity_fp32/infer", body, headers)
    response = connection.getresponse()
    answer = triton.InferenceServerClient.parse_response_body(
        response.read(),
        header_length=int(response.getheader("Inference-Header-Content-Length")),
        content_encoding=response.getheader("Content-Encoding"),
    )
    return {
        "encoding": response.getheader("Content-Encoding"),
        "type": response.getheader("Content-Type"),
        "right": same(answer.as_numpy("y"), values),
    }


@case
def versions():
    infer = lambda version: client.infer("versions", [tensor("x", ROWS, "FP32")], model_version=version)
    return {
        **{version or "none": infer(version).as_numpy("y")[0].tolist() for version in ("", "1", "2")},
        "says": infer("1").get_response()["model_version"],
        "unknown": refused(lambda: infer("9")),
    }


@case
def priority_timeout_and_own_parameters():
    given = [
        {"priority": 1, "timeout": 5_000_000},
        {"parameters": {"a": "b", "n": 1, "f": 1.5, "t": True}},
        {"headers": {"my-header": "x"}, "query_params": {"q": "1"}},
    ]
    return [same(client.infer("simple", simple_inputs(), **each).as_numpy("OUTPUT0"), FIRST + 1) for each in given]


@case
def sequences():
    return [
        refused(lambda: client.infer("simple", simple_inputs(), sequence_id=each, sequence_start=True))["status"]
        for each in (42, "a-sequence")
    ]


@case
def a_timeout_that_passes():
    return refused(lambda: client.infer("sleeper", [tensor("x", ROWS, "FP32")], timeout=100_000))


@case
def many_at_once():
    pending = [client.async_infer("simple", simple_inputs(), request_id=str(i)) for i in range(32)]
    answers = [each.get_result() for each in pending]
    return {
        "ids": [answer.get_response()["id"] for answer in answers] == [str(i) for i in range(32)],
        "right": all(same(answer.as_numpy("OUTPUT0"), FIRST + 1) for answer in answers),
    }


def post(path: str, body: bytes, headers: dict):
    connection = http.client.HTTPConnection(URL)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    return response, response.read()


@case
def raw_binary_requests():
    parse = triton.InferenceServerClient.parse_response_body
    seen = {}
    for name, model, body in (
        ("numbers", "classes", ROWS[:1].tobytes()),
        ("wrong length", "classes", b"\x00" * 15),
    ):
        response, answer = post(f"/v2/models/{model}/infer", body, {"Inference-Header-Content-Length": "0"})
        if response.status == 200:
            length = int(response.getheader("Inference-Header-Content-Length"))
            seen[name] = parse(answer, header_length=length).as_numpy("y").tolist()
        else:
            seen[name] = {"status": response.status, "error": json.loads(answer)["error"]}
    return seen


@case
def lengths_that_lie():
    body, size = triton.InferenceServerClient.generate_request_body([tensor("x", ROWS, "FP32")])
    path = "/v2/models/identity_fp32/infer"
    seen = {}
    for name, sent, length in (
        ("short", body[:-1], size),
        ("long", body + b"x", size),
        ("header beyond the body", body, len(body) + 1),
        ("header too short", body, size - 1),
        ("negative header", body, -1),
        ("no number", body, "many"),
    ):
        response, answer = post(path, sent, {"Inference-Header-Content-Length": str(length)})
        seen[name] = [response.status, sorted(json.loads(answer))]
    return seen


@case
def refusals():
    wrong_type = tensor("x", EXTREMES["INT32"], "INT32")
    region = triton.InferInput("x", [2, 4], "FP32").set_shared_memory("region", 32)
    rows = tensor("x", ROWS, "FP32")
    return {
        "unknown model": refused(lambda: client.infer("nowhere", [rows])),
        "wrong shape": refused(lambda: client.infer("versions", [tensor("x", ROWS[:, :3], "FP32")])),
        "wrong datatype": refused(lambda: client.infer("versions", [wrong_type])),
        "wrong input": refused(lambda: client.infer("versions", [tensor("z", ROWS, "FP32")])),
        "missing input": refused(lambda: client.infer("simple", simple_inputs()[:1])),
        "unknown output": refused(
            lambda: client.infer("versions", [rows], outputs=[triton.InferRequestedOutput("z")])
        ),
        "shared memory": refused(lambda: client.infer("versions", [region])),
    }


@case
def statistics_and_configuration():
    for _ in range(3):
        client.infer("counted_http", [tensor("x", ROWS, "FP32")])
    refused(lambda: client.infer("counted_http", [tensor("x", ROWS[:, :3], "FP32")]))
    (stats,) = client.get_inference_statistics("counted_http")["model_stats"]
    everything = client.get_inference_statistics()["model_stats"]
    config = client.get_model_config("simple")
    return {
        "name": [stats["name"], stats["version"]],
        "inferences": stats["inference_count"],
        "executions": stats["execution_count"],
        "success": stats["inference_stats"]["success"]["count"],
        "took": all(stats["inference_stats"][key]["ns"] > 0 for key in ("success", "compute_infer")),
        "batches": [batch["batch_size"] for batch in stats["batch_stats"]],
        "all": {"simple", "classes"} <= {each["name"] for each in everything},
        "config": {key: config[key] for key in ("name", "max_batch_size")},
        "inputs": [[each["name"], each["data_type"], each["dims"]] for each in config["input"]],
        "unknown": refused(lambda: client.get_inference_statistics("nowhere")),
        "unknownConfig": refused(lambda: client.get_model_config("nowhere")),
    }


@case
def model_control():
    """The calls of Triton's simple_http_model_control example, and what it leaves out."""
    name = "control_http"
    seen = {"index": len(client.get_model_repository_index()), "entry": entry(name)}
    client.load_model(name)
    seen["ready"] = client.is_model_ready(name)
    seen["config without form"] = refused(
        lambda: client.load_model(name, config='"parameters": {"config": {{"max_batch_size": "16"}}}')
    )
    client.load_model(name, config='{"max_batch_size":"16"}')
    seen["max_batch_size"] = client.get_model_config(name)["max_batch_size"]
    client.unload_model(name)
    seen["unloaded"] = [client.is_model_ready(name), entry(name)]
    seen["infer unloaded"] = refused(lambda: client.infer(name, simple_inputs()))
    client.load_model(name)
    seen["loaded again"] = same(client.infer(name, simple_inputs()).as_numpy("OUTPUT0"), FIRST + 1)
    seen["wrong name"] = refused(lambda: client.load_model("wrong_model_name"))
    seen["unload wrong name"] = refused(lambda: client.unload_model("wrong_model_name"))
    return seen


def entry(name: str) -> list:
    return [each for each in client.get_model_repository_index() if each["name"] == name]


@case
def models_sent_with_the_load():
    name = "sent_http"
    with open(MODEL_FILE, "rb") as file:
        content = file.read()
    config = json.dumps({"backend": "onnxruntime", "max_batch_size": 8})
    client.load_model(name, config=config, files={"file:1/model.onnx": content})
    seen = {"right": same(client.infer(name, simple_inputs()).as_numpy("OUTPUT0"), FIRST + 1)}
    seen["broken"] = refused(lambda: client.load_model(name, config=config, files={"file:1/model.onnx": b"no model"}))
    seen["old one still serves"] = same(client.infer(name, simple_inputs()).as_numpy("OUTPUT0"), FIRST + 1)
    seen["files without config"] = refused(lambda: client.load_model(name, files={"file:1/model.onnx": content}))
    seen["path that climbs"] = refused(
        lambda: client.load_model(name, config=config, files={"file:../../1/model.onnx": content})
    )
    client.unload_model(name)
    seen["unloaded"] = client.is_model_ready(name)
    return seen


@case
def shared_memory_and_settings():
    return {
        "system": refused(lambda: client.get_system_shared_memory_status()),
        "cuda": refused(lambda: client.get_cuda_shared_memory_status()),
        "register": refused(lambda: client.register_system_shared_memory("region", "/region", 64)).get("status"),
        "trace": refused(lambda: client.get_trace_settings()),
        "log": refused(lambda: client.get_log_settings()),
        "set trace": refused(lambda: client.update_trace_settings(settings={"trace_rate": "1"})).get("status"),
        "set log": refused(lambda: client.update_log_settings({"log_verbose_level": 1})).get("status"),
    }


@case
async def aio_client():
    async with aio.InferenceServerClient(URL) as asynchronous:
        answers = await asyncio.gather(
            *(
                asynchronous.infer(
                    f"identity_{datatype.lower()}", [tensor("x", values, datatype, of=aio)], request_id=datatype
                )
                for datatype, values in EXTREMES.items()
            )
        )
        seen = {
            "live": await asynchronous.is_server_live(),
            "ready": await asynchronous.is_model_ready("simple"),
            "server": (await asynchronous.get_server_metadata())["name"],
            "wrong": [
                datatype
                for answer, (datatype, values) in zip(answers, EXTREMES.items())
                if not same(answer.as_numpy("y"), values) or answer.get_response()["id"] != datatype
            ],
            "index": len(await asynchronous.get_model_repository_index()) > 10,
            "stats": (await asynchronous.get_inference_statistics("counted_http_aio"))["model_stats"][0]["name"],
        }
        for compression in ("gzip", "deflate"):
            answer = await asynchronous.infer(
                "classes",
                [tensor("x", ROWS, "FP32", of=aio)],
                request_compression_algorithm=compression,
                response_compression_algorithm=compression,
            )
            seen[compression] = same(answer.as_numpy("y"), ROWS)
        await asynchronous.load_model("control_http_aio", config='{"max_batch_size":"4"}')
        seen["max_batch_size"] = (await asynchronous.get_model_config("control_http_aio"))["max_batch_size"]
        await asynchronous.unload_model("control_http_aio")
        seen["unloaded"] = await asynchronous.is_model_ready("control_http_aio")
        try:
            await asynchronous.infer("nowhere", [tensor("x", ROWS, "FP32", of=aio)])
        except InferenceServerException as error:
            seen["unknown"] = refusal(error)
        return seen


@case
async def a_client_that_hangs_up():
    async with aio.InferenceServerClient(URL) as asynchronous:
        slow = asyncio.create_task(asynchronous.infer("sleeper", [tensor("x", ROWS, "FP32", of=aio)]))
        await asyncio.sleep(0.3)
        slow.cancel()
        ended = (await asyncio.gather(slow, return_exceptions=True))[0]
        answer = await asynchronous.infer("classes", [tensor("x", ROWS, "FP32", of=aio)])
        return [type(ended).__name__, same(answer.as_numpy("y"), ROWS)]


run_cases()

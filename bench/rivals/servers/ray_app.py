# V2 JSON through Ray Serve. Usage: ray_app.py <port> <max batch size>
import signal
import sys

import numpy as np
import orjson
import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from simple import open_session
from starlette.requests import Request
from starlette.responses import Response

PORT, MAX_BATCH_SIZE = int(sys.argv[1]), int(sys.argv[2])
LOGGING = LoggingConfig(log_level="ERROR", enable_access_log=False)


@serve.deployment(num_replicas=1, max_ongoing_requests=128, ray_actor_options={"num_cpus": 1}, logging_config=LOGGING)
class Simple:
    def __init__(self) -> None:
        self.session = open_session()

    def run(self, inputs):
        return self.session.run(["OUTPUT0", "OUTPUT1"], {"INPUT0": inputs[0], "INPUT1": inputs[1]})

    @serve.batch(max_batch_size=max(MAX_BATCH_SIZE, 2), batch_wait_timeout_s=0.0)
    async def run_batch(self, requests):
        outputs = self.run([np.concatenate(column) for column in zip(*requests)])
        return [[y[i : i + 1] for y in outputs] for i in range(len(requests))]

    async def __call__(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        inputs = [np.asarray(x["data"], dtype=np.int32).reshape(x["shape"]) for x in body["inputs"]]
        outputs = await self.run_batch(inputs) if MAX_BATCH_SIZE > 1 else self.run(inputs)
        reply = {
            "model_name": "simple",
            "outputs": [
                {"name": f"OUTPUT{i}", "datatype": "INT32", "shape": y.shape, "data": np.ascontiguousarray(y).ravel()}
                for i, y in enumerate(outputs)
            ],
        }
        return Response(orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=100 * 2**20)
    serve.start(http_options={"host": "127.0.0.1", "port": PORT}, logging_config=LOGGING)
    serve.run(Simple.bind(), route_prefix="/v2/models/simple/infer")

    def stop(*_):
        serve.shutdown()
        ray.shutdown()
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.pause()

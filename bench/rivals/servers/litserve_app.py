# V2 JSON through LitServe. Usage: litserve_app.py <port> <max batch size> <fast queue: 0 or 1>
import sys

import litserve as ls
import numpy as np
from simple import open_session

PORT, MAX_BATCH_SIZE, FAST_QUEUE = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1"


class Simple(ls.LitAPI):
    def setup(self, device):
        self.session = open_session()

    def decode_request(self, request):
        return [np.asarray(x["data"], dtype=np.int32).reshape(x["shape"]) for x in request["inputs"]]

    def batch(self, inputs):
        return [np.concatenate(column) for column in zip(*inputs)]

    def predict(self, inputs):
        return self.session.run(["OUTPUT0", "OUTPUT1"], {"INPUT0": inputs[0], "INPUT1": inputs[1]})

    def unbatch(self, outputs):
        return [[y[i : i + 1] for y in outputs] for i in range(len(outputs[0]))]

    def encode_response(self, outputs):
        return {
            "model_name": "simple",
            "outputs": [
                {"name": f"OUTPUT{i}", "datatype": "INT32", "shape": list(y.shape), "data": y.ravel().tolist()}
                for i, y in enumerate(outputs)
            ],
        }


if __name__ == "__main__":
    api = Simple(max_batch_size=MAX_BATCH_SIZE, batch_timeout=0.0, api_path="/v2/models/simple/infer")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=FAST_QUEUE)
    server.run(
        host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="error", access_log=False
    )

# A custom MLServer runtime, as its documentation writes them: V2 in, V2 out.
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from simple import open_session


class Simple(MLModel):
    async def load(self) -> bool:
        self.session = open_session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {x.name: NumpyCodec.decode_input(x).astype(np.int32, copy=False) for x in payload.inputs}
        outputs = self.session.run(["OUTPUT0", "OUTPUT1"], feeds)
        return InferenceResponse(
            model_name=self.name,
            outputs=[NumpyCodec.encode_output(f"OUTPUT{i}", y) for i, y in enumerate(outputs)],
        )

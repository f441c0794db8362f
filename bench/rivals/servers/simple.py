# The model of every Python rival, opened the same way: one thread, as its size and the one worker ask for.
import os

import onnxruntime as ort


def open_session():
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(os.environ["RIVAL_MODEL"], options, providers=["CPUExecutionProvider"])

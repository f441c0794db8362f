"""MLflow's own client, 2.x or 3.x, against a server. Arguments: tracking URI, URL of the server. Prints one JSON line: case -> result."""

import json
import math
import os
import sys
import tempfile
import threading
import time
import urllib.request
import warnings

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
warnings.filterwarnings("ignore")

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from cases import case, run_cases

uri, url = sys.argv[1:3]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
major = int(mlflow.__version__.split(".")[0])


def refused(call):
    """The code of the error that a call raises, and whether it came at once: a client tries 5xx again."""
    start = time.monotonic()
    try:
        call()
    except MlflowException as error:
        return [error.error_code, time.monotonic() - start < 5]
    return "not refused"


@case
def experiments():
    experiment = mlflow.set_experiment("fraud/été 2026")
    again = mlflow.set_experiment("fraud/été 2026")
    client.set_experiment_tag(experiment.experiment_id, "team", "risk")
    by_tag = client.search_experiments(filter_string="tags.team = 'risk'")
    other = client.create_experiment("other", tags={"a": "b"})
    client.rename_experiment(other, "renamed")
    client.delete_experiment(other)
    gone = [e.name for e in client.search_experiments(view_type=ViewType.DELETED_ONLY)]
    taken = refused(lambda: client.create_experiment("renamed"))
    client.restore_experiment(other)
    return {
        "same": experiment.experiment_id == again.experiment_id,
        "location": experiment.artifact_location == f"mlflow-artifacts:/{experiment.experiment_id}",
        "byTag": [e.name for e in by_tag],
        "deleted": gone,
        "taken": taken,
        "default": client.get_experiment("0").name,
        "tags": client.get_experiment(other).tags,
    }


@case
def logging():
    mlflow.set_experiment("logging")
    with mlflow.start_run(run_name="first", tags={"kind": "a b"}, description="of all") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"lr": 0.1, "name with space": "é"})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metrics({"auc": 0.9, "f1": float("nan")}, step=2)
        for name, value in {"inf": math.inf, "ninf": -math.inf, "tiny": 5e-324, "pi": math.pi}.items():
            mlflow.log_metric(name, value)
        mlflow.set_tag("mlflow.note", "x")
        mlflow.set_tags({"gone": "1", "emoji": "😀"})
        mlflow.delete_tag("gone")
    got = client.get_run(run.info.run_id)
    metrics = got.data.metrics
    return {
        "name": got.info.run_name,
        "status": got.info.status,
        "ended": got.info.end_time >= got.info.start_time,
        "params": got.data.params,
        "loss": metrics["loss"],
        "nan": math.isnan(metrics["f1"]),
        "infinities": [metrics["inf"] == math.inf, metrics["ninf"] == -math.inf],
        "exact": [metrics["tiny"] == 5e-324, metrics["pi"] == math.pi],
        "tags": {k: got.data.tags.get(k) for k in ("kind", "mlflow.note", "gone", "emoji", "mlflow.note.content")},
    }


@case
def batches():
    run = client.create_run("0")
    run_id = run.info.run_id
    now = 1_700_000_000_000
    client.log_batch(
        run_id,
        metrics=[Metric("loss", 1000 - i, now + i, i) for i in range(1000)],
    )
    client.log_batch(run_id, params=[Param(f"p{i}", str(i)) for i in range(100)], tags=[RunTag("t", "v")])
    client.log_batch(run_id, metrics=[Metric("big", 1.0, 2**62 + 1, 2**62 + 1), Metric("big", 2.0, 5, -3)])
    history = client.get_metric_history(run_id, "loss")
    big = client.get_metric_history(run_id, "big")
    got = client.get_run(run_id)
    client.set_terminated(run_id, "FAILED")
    return {
        "points": [len(history), history[0].value, history[-1].value, history[-1].step],
        "latest": got.data.metrics["loss"],
        "params": len(got.data.params),
        "big": [[m.value, m.timestamp == 2**62 + 1, m.step == 2**62 + 1] for m in big],
        "bigLatest": got.data.metrics["big"],
        "status": client.get_run(run_id).info.status,
    }


@case
def refusals():
    run_id = client.create_run("0").info.run_id
    client.log_param(run_id, "p", "1")
    client.log_param(run_id, "p", "1")
    deleted = client.create_run("0").info.run_id
    client.delete_run(deleted)
    client.create_registered_model("refusals")
    return {
        "param changed": refused(lambda: client.log_param(run_id, "p", "2")),
        "unknown run": refused(lambda: client.get_run("0" * 32)),
        "unknown experiment": refused(lambda: client.create_run("123456")),
        "deleted run": refused(lambda: client.log_metric(deleted, "m", 1)),
        "no artifact": refused(lambda: client.download_artifacts(run_id, "none.txt", tempfile.mkdtemp())),
        "bad filter": refused(lambda: client.search_runs(["0"], "metrics.a >")),
        "or": refused(lambda: client.search_runs(["0"], "metrics.a > 1 OR metrics.a < 0")),
        "too many": refused(lambda: client.search_runs(["0"], max_results=50_001)),
        "bad order": refused(lambda: client.search_runs(["0"], order_by=["metrics.a UPWARDS"])),
        "unknown model": refused(lambda: client.get_registered_model("none")),
        "unknown version": refused(lambda: client.get_model_version("refusals", "7")),
        "model there": refused(lambda: client.create_registered_model("refusals")),
        "no alias": refused(lambda: client.get_model_version_by_alias("refusals", "champion")),
    }


@case
def searches():
    experiment = client.create_experiment("searched")
    for i in range(12):
        run = client.create_run(experiment, run_name=f"Run-{i}", start_time=1000 + i, tags={"team": "ab"[i % 2]})
        metrics = [Metric("auc", math.nan if i == 3 else i / 10, 1, 1)] if i != 4 else []
        client.log_batch(run.info.run_id, metrics=metrics, params=[Param("model type", ["tree", "Net"][i % 2])])

    def names(filter_string="", order_by=None, **more):
        found = client.search_runs([experiment], filter_string, order_by=order_by, **more)
        return [int(r.info.run_name.split("-")[1]) for r in found]

    pages, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=5, page_token=token, order_by=["metrics.auc DESC"])
        pages.append([int(r.info.run_name.split("-")[1]) for r in page])
        client.create_run(experiment, run_name="Run-99", start_time=5000)
        token = page.token
        if not token:
            break
    return {
        "default": names(max_results=3),
        "metric": names("metrics.auc >= 0.9", ["metrics.auc ASC"]),
        "and": names("metrics.auc > 0.2 AND params.`model type` = 'tree' and tags.team != 'b'", ["attributes.start_time ASC"]),
        "like": [names("attributes.run_name LIKE 'run-1%'"), names("attributes.run_name ILIKE 'run-1%'")],
        "params like": [len(names("params.\"model type\" LIKE 'net'")), len(names("params.`model type` ILIKE 'net'"))],
        "in": names(f"attributes.run_id IN ('{client.search_runs([experiment], 'attributes.run_name = $$Run-7$$'.replace('$$', chr(39)))[0].info.run_id}')"),
        "numeric attribute": names("attributes.start_time < 1003 and start_time >= 1001", ["start_time ASC"]),
        "pages": pages,
    }


@case
def artifacts():
    folder = tempfile.mkdtemp()
    names = ["plain.txt", "with space.txt", "100%.txt", "ünï–code.txt", "a+b&c=d;e.txt", ".hidden", "empty.bin"]
    for name in names:
        with open(os.path.join(folder, name), "wb") as f:
            f.write(b"" if name == "empty.bin" else name.encode())
    os.makedirs(os.path.join(folder, "sub/deep"))
    with open(os.path.join(folder, "sub/deep/big.bin"), "wb") as f:
        f.write(os.urandom(3_000_000))
    run_id = client.create_run("0").info.run_id
    client.log_artifacts(run_id, folder, "out")
    client.log_text(run_id, "héllo", "notes/readme.md")
    client.log_dict(run_id, {"a": 1}, "config.json")
    back = client.download_artifacts(run_id, "out", tempfile.mkdtemp())
    same = all(
        open(os.path.join(folder, name), "rb").read() == open(os.path.join(back, name), "rb").read()
        for name in [*names, "sub/deep/big.bin"]
    )
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
    repository.delete_artifacts("out/sub")
    return {
        "root": [[f.path, f.is_dir] for f in client.list_artifacts(run_id)],
        "out": sorted(f.path for f in client.list_artifacts(run_id, "out")) == sorted(f"out/{n}" for n in names),
        "size": [f.file_size for f in client.list_artifacts(run_id, "out") if f.path == "out/plain.txt"],
        "same": same,
        "text": mlflow.artifacts.load_text(f"runs:/{run_id}/notes/readme.md"),
        "dict": mlflow.artifacts.load_dict(f"runs:/{run_id}/config.json"),
    }


@case
def inputs():
    import pandas as pd

    dataset = mlflow.data.from_pandas(pd.DataFrame({"x": [1.0, 2.0]}), name="customers", targets=None)
    mlflow.set_experiment("inputs")
    with mlflow.start_run() as run:
        mlflow.log_input(dataset, context="training")
    got = client.get_run(run.info.run_id).inputs.dataset_inputs[0]
    found = mlflow.search_runs(experiment_names=["inputs"], filter_string="dataset.name = 'customers' and dataset.context = 'training'")
    return {
        "name": got.dataset.name,
        "digest": got.dataset.digest == dataset.digest,
        "tags": {t.key: t.value for t in got.tags},
        "found": list(found["run_id"]) == [run.info.run_id],
    }


def trained():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    return LogisticRegression(max_iter=500).fit(x.astype(np.float32), y), x.astype(np.float32)


@case
def sklearn_model():
    from mlflow.models import infer_signature

    model, x = trained()
    mlflow.set_experiment("iris")
    with mlflow.start_run() as run:
        mlflow.log_metric("accuracy", 0.97)
        logged = mlflow.sklearn.log_model(
            model,
            **{"name" if major >= 3 else "artifact_path": "model"},
            signature=infer_signature(x, model.predict(x)),
            registered_model_name="iris sklearn é",
            pip_requirements=["scikit-learn"],
        )
    version = client.get_model_version("iris sklearn é", "1")
    loaded = mlflow.pyfunc.load_model(logged.model_uri)
    return {
        "status": version.status,
        "told": version.status_message,
        "run": version.run_id == run.info.run_id,
        "same": bool((loaded.predict(x) == model.predict(x)).all()),
        "stage": version.current_stage,
    }


@case
def onnx_model():
    import onnx
    from skl2onnx import to_onnx

    model, x = trained()
    graph = to_onnx(model, x[:1], options={"zipmap": False})
    mlflow.set_experiment("iris")
    with mlflow.start_run() as run:
        mlflow.log_param("kind", "logistic")
        mlflow.log_metric("accuracy", 0.97)
        mlflow.onnx.log_model(
            graph,
            **{"name" if major >= 3 else "artifact_path": "onnx"},
            registered_model_name="iris",
            pip_requirements=["onnx"],
        )
    client.set_registered_model_alias("iris", "champion", "1")
    by_alias = client.get_model_version_by_alias("iris", "champion")
    loaded = mlflow.onnx.load_model("models:/iris@champion")
    pyfunc = mlflow.pyfunc.load_model("models:/iris/1")
    answered = predict("iris", {"X": x})
    client.transition_model_version_stage("iris", "1", "production")
    staged = client.get_latest_versions("iris", ["Production"])
    second = mlflow.register_model(by_alias.source, "iris")
    client.set_model_version_tag("iris", "2", "checked", "yes")
    client.update_model_version("iris", "2", description="again")
    client.update_registered_model("iris", description="flowers")
    client.set_registered_model_tag("iris", "team", "plants")
    found = client.search_model_versions("name = 'iris' and tags.checked = 'yes'")
    models = client.search_registered_models("name LIKE 'ir%'")
    result = {
        "version": [by_alias.version if isinstance(by_alias.version, str) else str(by_alias.version), by_alias.status],
        "told": by_alias.status_message,
        "run": by_alias.run_id == run.info.run_id,
        "onnx": onnx.checker.check_model(loaded) is None,
        "pyfunc": predicted(pyfunc, x) == model.predict(x).tolist(),
        "served": answered == model.predict(x).tolist(),
        "staged": [str(v.version) for v in staged],
        "second": str(second.version),
        "found": [[str(v.version), v.description] for v in found],
        "models": sorted(m.name for m in models),
        "model": [models[0].description, models[0].tags, {k: str(v) for k, v in models[0].aliases.items()}],
        "in use": refused(lambda: client.delete_model_version("iris", "1")),
    }
    client.delete_registered_model_alias("iris", "champion")
    result["no alias"] = refused(lambda: client.get_model_version_by_alias("iris", "champion"))
    client.rename_registered_model("refusals", "renamed model.1")
    result["renamed"] = client.get_registered_model("renamed model.1").name
    client.delete_registered_model("renamed model.1")
    result["deleted"] = refused(lambda: client.get_registered_model("renamed model.1"))
    return result


def predicted(pyfunc, x):
    answer = pyfunc.predict({"X": x})
    labels = answer["label"] if isinstance(answer, dict) else answer[0]
    return np.asarray(labels).tolist()


def predict(model, inputs):
    """Over the Open Inference Protocol, as soon as the version is loaded."""
    body = {
        "inputs": [
            {"name": k, "shape": list(v.shape), "datatype": "FP32", "data": v.ravel().tolist()} for k, v in inputs.items()
        ]
    }
    deadline = time.monotonic() + 60
    while True:
        request = urllib.request.Request(f"{url}/v2/models/{model}/infer", json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request) as answer:
                outputs = json.load(answer)["outputs"]
                return next(o["data"] for o in outputs if o["name"] == "label")
        except urllib.error.HTTPError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(error.read().decode()) from error
            time.sleep(0.1)


@case
def races():
    """Two clients at once: one name, one param, one registered model."""
    outcomes = {"experiment": [], "param": [], "model": [], "versions": []}
    run_id = client.create_run("0").info.run_id
    text = client.create_run("0").info.run_id
    client.log_text(text, "x", "m/file.txt")
    root = client.get_run(text).info.artifact_uri

    def attempt(name, call):
        try:
            outcomes[name].append(call() or "ok")
        except MlflowException as error:
            outcomes[name].append(error.error_code)

    def worker(i):
        attempt("experiment", lambda: client.create_experiment("raced") and "ok")
        attempt("param", lambda: client.log_param(run_id, "raced", str(i)) and "ok")
        attempt("model", lambda: client.create_registered_model("raced") and "ok")
        attempt("versions", lambda: str(client.create_model_version("raced", f"{root}/m", text).version))

    threads = [threading.Thread(target=worker, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: sorted(found) for name, found in outcomes.items()}


if major >= 3:

    @case
    def logged_models():
        mlflow.set_experiment("logged")
        with mlflow.start_run() as run:
            model = mlflow.initialize_logged_model(name="tree", params={"depth": "3"}, tags={"kind": "test"})
            mlflow.log_metric("auc", 0.8, model_id=model.model_id)
            client.finalize_logged_model(model.model_id, "READY")
        client.set_logged_model_tags(model.model_id, {"extra": "1"})
        client.delete_logged_model_tag(model.model_id, "kind")
        got = client.get_logged_model(model.model_id)
        experiment = run.info.experiment_id
        found = client.search_logged_models([experiment], "metrics.auc > 0.7 AND params.depth = '3'", order_by=[{"field_name": "metrics.auc", "ascending": False}])
        client.delete_logged_model(model.model_id)
        return {
            "status": str(got.status),
            "params": got.params,
            "tags": {k: v for k, v in got.tags.items() if not k.startswith("mlflow.")},
            "metrics": [[m.key, m.value] for m in got.metrics],
            "found": [m.model_id == model.model_id for m in found],
            "deleted": refused(lambda: client.get_logged_model(model.model_id)),
        }

    @case
    def multipart():
        os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] = "true"
        os.environ["MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE"] = "1000000"
        os.environ["MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE"] = str(5 * 1024 * 1024)
        path = os.path.join(tempfile.mkdtemp(), "large.bin")
        with open(path, "wb") as f:
            f.write(os.urandom(12_000_000))
        run_id = client.create_run("0").info.run_id
        client.log_artifact(run_id, path)
        back = client.download_artifacts(run_id, "large.bin", tempfile.mkdtemp())
        return {"same": open(path, "rb").read() == open(back, "rb").read()}


run_cases()

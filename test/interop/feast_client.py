"""Feast's FeatureStore with `online_store: {type: remote}`, unchanged, against a live server. Prints one JSON object (cases.py).

The definitions are Feast's own, with the names that the server's have: see docs/serve-feasts-clients.md.

Run: <python with feast> test/interop/feast_client.py http://127.0.0.1:8080 <an empty folder>
"""

import logging
import sys
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.ERROR)

import pandas as pd
import requests
from cases import case, run_cases
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, ValueType
from feast.data_source import PushMode
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Array, Bool, Float64, Int64, String, UnixTimestamp

URL, FOLDER = sys.argv[1], Path(sys.argv[2])
NOW = datetime.now(timezone.utc).replace(microsecond=0)

(FOLDER / "feature_store.yaml").write_text(
    f"""
project: test
provider: local
registry: {FOLDER}/registry.db
online_store:
  type: remote
  path: {URL}/feast
entity_key_serialization_version: 3
"""
)
nothing = FOLDER / "nothing.parquet"
pd.DataFrame({"event_timestamp": [NOW]}).to_parquet(nothing)
source = FileSource(name="nothing", path=str(nothing), timestamp_field="event_timestamp")
pushed = PushSource(name="driver_push", batch_source=source)

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
merchant = Entity(name="merchant", join_keys=["merchant_id"], value_type=ValueType.INT64)


def view(name, entities, fields, of=source):
    schema = [Field(name=name, dtype=dtype) for name, dtype in fields.items()]
    return FeatureView(name=name, entities=entities, schema=schema, source=of, ttl=timedelta(days=1))


stats = view(
    "driver_stats",
    [driver],
    {
        "conv_rate": Float64,
        "trips": Int64,
        "city": String,
        "is_active": Bool,
        "seen_at": UnixTimestamp,
        "scores": Array(Float64),
        "badges": Array(String),
        "routes": Array(Int64),
    },
)
live = view("driver_live", [driver], {"speed": Float64, "trips": Int64, "parked_at": UnixTimestamp}, of=pushed)
pairs = view("pair_stats", [user, merchant], {"orders": Int64})
clicks = view("user_clicks", [user], {"clicks_1h": Int64, "last_pages": Array(String)})
service = FeatureService(name="drivers", features=[stats[["conv_rate", "trips"]], live[["speed"]]])

store = FeatureStore(repo_path=str(FOLDER))
store.apply([driver, user, merchant, source, pushed, stats, live, pairs, clicks, service])

STATS = [f"driver_stats:{field.name}" for field in stats.schema if field.name != "driver_id"]
STATUS = {0: "INVALID", 1: "PRESENT", 2: "NULL_VALUE", 3: "NOT_FOUND", 4: "OUTSIDE_MAX_AGE"}


def read(features, rows, **options):
    return store.get_online_features(features=features, entity_rows=rows, **options).to_dict()


def raised(function) -> list:
    try:
        return ["answered", str(function())]
    except Exception as error:
        return [type(error).__name__, str(error)]


def kinds(values: dict) -> dict:
    return {name: type(column[0]).__name__ for name, column in values.items()}


def live_frame(drivers, speeds, age) -> pd.DataFrame:
    at = NOW - age
    return pd.DataFrame(
        {
            "driver_id": drivers,
            "speed": speeds,
            "trips": [7] * len(drivers),
            "parked_at": [at] * len(drivers),
            "event_timestamp": [at] * len(drivers),
            "created": [at] * len(drivers),
        }
    )


@case
def features():
    values = read(STATS, [{"driver_id": 1001}, {"driver_id": 1002}])
    return {"values": values, "kinds": kinds(values)}


@case
def statuses():
    response = store.get_online_features(
        features=["driver_stats:trips", "driver_stats:city"],
        entity_rows=[{"driver_id": id} for id in (1001, 1003, 1004, 999)],
    )
    return {
        "values": response.to_dict(),
        "statuses": {
            name: [STATUS[status] for status in column.statuses]
            for name, column in zip(response.proto.metadata.feature_names.val, response.proto.results)
        },
    }


@case
def feature_service():
    rows = [{"driver_id": 1001}]
    named = store.get_feature_service("drivers")
    return {"short": read(named, rows), "full": read(named, rows, full_feature_names=True)}


@case
def composite_keys():
    rows = [{"user_id": "u|1", "merchant_id": 7}, {"user_id": "u|1", "merchant_id": 8}]
    return read(["pair_stats:orders"], rows)


@case
def large_ids():
    return read(["driver_stats:trips"], [{"driver_id": 2**60 + 1}, {"driver_id": 2**60}])


@case
def names_that_clash():
    both = ["driver_stats:trips", "driver_live:trips"]
    return {
        "short": raised(lambda: read(both, [{"driver_id": 1001}])),
        "full": read(both, [{"driver_id": 1001}], full_feature_names=True),
    }


@case
def writes():
    """The newer value stays, whatever order they come in; a value as old as the time to live is gone."""
    seen = []
    for speed, age in ((50.0, timedelta(minutes=10)), (40.0, timedelta(minutes=20)), (60.0, timedelta(minutes=5))):
        store.write_to_online_store("driver_live", live_frame([2001], [speed], age))
        seen.append(read(["driver_live:speed"], [{"driver_id": 2001}])["speed"][0])
    store.write_to_online_store("driver_live", live_frame([2002], [10.0], timedelta(days=2)))
    parked = read(["driver_live:parked_at", "driver_live:speed"], [{"driver_id": 2001}, {"driver_id": 2002}])
    return {"seen": seen, "expired": parked["speed"][1], "parked": parked["parked_at"][0] == int((NOW - timedelta(minutes=5)).timestamp())}


@case
def push():
    store.push("driver_push", live_frame([3001, 3002], [1.5, 2.0], timedelta(seconds=1)), to=PushMode.ONLINE)
    values = read(["driver_live:speed"], [{"driver_id": 3001}, {"driver_id": 3002}])
    return {"speed": values["speed"], "kind": type(values["speed"][1]).__name__}


@case
def online_read():
    """The path that on-demand views and older code take."""
    key = EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=1001)])
    table = store.get_feature_view("driver_stats")
    [(at, values)] = store._get_provider().online_read(store.config, table, [key], ["trips", "city"])
    return {"at": at is not None and at.year, "trips": values["trips"].int64_val, "city": values["city"].string_val}


@case
def refusals():
    first = [{"driver_id": 1001}]
    return {
        "view": raised(lambda: read(["nothing_here:trips"], first)),
        "feature": raised(lambda: read(["driver_stats:tripps"], first)),
        "key name": raised(lambda: read(["driver_stats:trips"], [{"driverid": 1001}])),
        "key type": raised(lambda: read(["driver_stats:trips"], [{"driver_id": "one"}])),
        "key null": raised(lambda: read(["driver_stats:trips"], [{"driver_id": None}])),
        "key missing": raised(lambda: read(["pair_stats:orders"], [{"user_id": "u1"}])),
        "aggregation": raised(
            lambda: store.write_to_online_store(
                "user_clicks",
                pd.DataFrame(
                    {"user_id": ["u1"], "clicks_1h": [3], "last_pages": [["a"]], "event_timestamp": [NOW], "created": [NOW]}
                ),
            )
        ),
    }


def post(path: str, body: dict) -> list:
    answer = requests.post(f"{URL}/feast{path}", json=body)
    return [answer.status_code, answer.json() if answer.text else None]


@case
def events_over_http():
    at = NOW - timedelta(seconds=30)
    df = {
        "click_id": ["c1", "c2", "c1"],
        "user_id": ["u9", "u9", "u9"],
        "page": ["home", "cart", "home"],
        "event_timestamp": [at.replace(tzinfo=None).isoformat(), at.isoformat(), at.isoformat()],
    }
    status, report = post("/push", {"push_source_name": "clicks", "df": df, "to": "online_and_offline"})
    return {
        "push": [status, report["accepted"], report["duplicates"]],
        "read": read(["user_clicks:clicks_1h", "user_clicks:last_pages"], [{"user_id": "u9"}, {"user_id": "nobody"}]),
        "unknown source": post("/push", {"push_source_name": "nothing", "df": df})[0],
        "unknown target": post("/push", {"push_source_name": "clicks", "df": df, "to": "moon"})[0],
        "unequal columns": post("/push", {"push_source_name": "clicks", "df": {**df, "page": ["a"]}})[0],
    }


@case
def materialise():
    end = NOW.isoformat()
    start = (NOW - timedelta(days=30)).isoformat()
    return {
        "incremental": post("/materialize-incremental", {"end_ts": end, "feature_views": ["driver_stats"]}),
        "full": post("/materialize", {"start_ts": start, "end_ts": end, "feature_views": ["driver_stats"]}),
        "all": post("/materialize", {"disable_event_timestamp": True}),
        "later": post("/materialize-incremental?async=true", {"end_ts": end, "feature_views": ["pair_stats"]}),
        "backwards": post("/materialize", {"start_ts": end, "end_ts": start})[0],
        "unknown view": post("/materialize-incremental", {"end_ts": end, "feature_views": ["nothing"]})[0],
        "no time": post("/materialize-incremental", {"end_ts": "soon"})[0],
        "still there": read(["driver_stats:trips"], [{"driver_id": 1001}])["trips"],
    }


@case
def health():
    return requests.get(f"{URL}/feast/health").status_code


@case
def bad_bodies():
    one = {"entities": {"driver_id": [1001]}}
    return {
        "no entities": post("/get-online-features", {"features": ["driver_stats:trips"]})[0],
        "no row": post("/get-online-features", {"features": ["driver_stats:trips"], "entities": {"driver_id": []}})[0],
        "no feature": post("/get-online-features", one)[0],
        "no reference": post("/get-online-features", {**one, "features": ["trips"]})[0],
        "a list": requests.post(f"{URL}/feast/get-online-features", json=[1]).status_code,
        "no JSON": requests.post(f"{URL}/feast/get-online-features", data="{", headers={"Content-Type": "application/json"}).status_code,
        "shape": requests.post(f"{URL}/feast/get-online-features", json=one).json()[:1],
    }


run_cases()

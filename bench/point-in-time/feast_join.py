"""The same training set by Feast's file offline store. Arguments: folder with the data, output. Prints its figures as JSON."""

import json
import os
import resource
import sys
import time
from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

folder, out = sys.argv[1:3]
user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
views = [
    FeatureView(
        name=f"view{v}",
        entities=[user],
        ttl=timedelta(0),
        schema=[Field(name=f"v{v}_f{f}", dtype=Float64) for f in range(5)],
        source=FileSource(path=os.path.join(folder, f"view{v}.parquet"), timestamp_field="event_timestamp"),
    )
    for v in range(4)
]
repo = os.path.join(folder, "feast")
os.makedirs(repo, exist_ok=True)
store = FeatureStore(
    config=RepoConfig(
        project="bench",
        provider="local",
        registry=os.path.join(repo, "registry.db"),
        offline_store={"type": "file"},
        online_store={"type": "sqlite", "path": os.path.join(repo, "online.db")},
        entity_key_serialization_version=3,
    )
)
store.apply([user, *views])

started = time.perf_counter()
labels = pd.read_parquet(os.path.join(folder, "labels.parquet"))
features = [f"view{v}:v{v}_f{f}" for v in range(4) for f in range(5)]
store.get_historical_features(entity_df=labels, features=features).to_df().to_parquet(out)
print(
    json.dumps(
        {
            "seconds": time.perf_counter() - started,
            "cpuSeconds": sum(os.times()[:4]),
            "peakMib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    )
)

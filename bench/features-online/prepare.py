"""Makes a Feast repository with 25 views of 10 features each and fills its SQLite online store. Usage: prepare.py FOLDER ENTITIES"""

import datetime
import pathlib
import sys

import pandas as pd
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

folder, entities = pathlib.Path(sys.argv[1]), int(sys.argv[2])
VIEWS, FEATURES = 25, 10

(folder / "feature_store.yaml").write_text(
    f"""project: bench
provider: local
registry: {folder}/registry.db
online_store:
  type: sqlite
  path: {folder}/online.db
offline_store:
  type: dask
entity_key_serialization_version: 3
"""
)

now = pd.Timestamp(datetime.datetime.now(datetime.timezone.utc)).floor("s")
ids = list(range(entities))


def frame(view: int) -> pd.DataFrame:
    columns = {"item_id": ids, "event_timestamp": now, "created": now}
    for feature in range(FEATURES):
        columns[f"v{view}_f{feature}"] = [((e * 31 + view * 7 + feature * 3) % 1000) / 8 for e in ids]
    return pd.DataFrame(columns)


item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)
views = []
for view in range(VIEWS):
    path = folder / f"v{view}.parquet"
    frame(view).to_parquet(path)
    views.append(
        FeatureView(
            name=f"v{view}",
            entities=[item],
            ttl=datetime.timedelta(days=30),
            schema=[Field(name=f"v{view}_f{feature}", dtype=Float64) for feature in range(FEATURES)],
            source=FileSource(path=str(path), timestamp_field="event_timestamp", created_timestamp_column="created"),
        )
    )
store = FeatureStore(repo_path=str(folder))
store.apply([item, *views, FeatureService(name="all", features=views)])
for view in range(VIEWS):
    store.write_to_online_store(f"v{view}", frame(view))

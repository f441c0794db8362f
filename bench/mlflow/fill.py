"""Writes runs into the SQLite database of an MLflow server that has made its tables. Arguments: database, number of runs.

The same rows as fill.ts writes: see there.
"""

import sqlite3
import sys

database, count = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect(database)
(location,) = db.execute("select artifact_location from experiments where experiment_id = 1").fetchone()
draw = lambda i, salt: (i * 7919 + salt * 104_729) % 1_000_003
for start in range(0, count, 1000):
    runs, metrics, latest, params, tags = [], [], [], [], []
    for i in range(start, start + 1000):
        run = f"{i:032x}"
        name = f"run-{i}"
        status = "FAILED" if i % 50 == 0 else "FINISHED"
        begun = 1_700_000_000_000 + draw(i, 1)
        runs.append((run, name, "LOCAL", "", "", "bench", status, begun, begun + 1000, None, "", "active", f"{location}/{run}/artifacts", 1))
        for salt, key in enumerate(("auc", "loss", "f1"), 2):
            value = draw(i, salt) / 1_000_003
            metrics.append((key, value, begun, 0, 0, run))
            latest.append((key, value, begun, 0, 0, run))
        params += [("lr", ("0.1", "0.01", "0.001")[i % 3], run), ("depth", str(i % 10), run), ("kind", f"m{i % 5}", run)]
        tags += [("mlflow.runName", name, run), ("mlflow.user", "bench", run), ("team", f"t{i % 7}", run)]
    db.executemany(
        "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time,"
        " deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id) values (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        runs,
    )
    db.executemany("insert into metrics (key, value, timestamp, step, is_nan, run_uuid) values (?,?,?,?,?,?)", metrics)
    db.executemany("insert into latest_metrics (key, value, timestamp, step, is_nan, run_uuid) values (?,?,?,?,?,?)", latest)
    db.executemany("insert into params (key, value, run_uuid) values (?,?,?)", params)
    db.executemany("insert into tags (key, value, run_uuid) values (?,?,?)", tags)
    db.commit()
db.execute("analyze")
db.commit()

"""The seed's buckets between which S3 replicates."""

from . import bridge, seed_objects
from .patches import s3_replication

KEYS = ("film/one.mp4", "film/two.mp4", "still/one.jpg")


def buckets(account, primary, recovery):
    """`media`, all of it replicated with metrics and delete markers."""
    here = bridge.backend("s3", account.name, "aws")
    home = seed_objects.make(here, f"{account.name}-media-{primary}", primary, True)
    away = seed_objects.make(here, f"{account.name}-media-{recovery}", recovery, True)
    rule = {
        "ID": "all", "Priority": 1, "Status": "Enabled", "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"},
        "Destination": {
            "Bucket": f"arn:aws:s3:::{away.name}",
            "ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}},
            "Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}},
        },
    }  # fmt: skip
    s3_replication.plant(here, home, away, rule, KEYS)
    return {"bucket_media": home.name, "bucket_media_replica": away.name, "media_rule": rule["ID"]}

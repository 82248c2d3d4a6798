"""The seed's buckets and their histories.

The replica's history has a moment to go back to: before it all is well,
after it objects are spoiled, deleted and added. Names are chosen to break
whoever forgets to encode them.
"""

import hashlib
import uuid
from datetime import timedelta

from moto.core.utils import utcnow
from moto.s3.models import FakeDeleteMarker

from . import bridge

#: minutes ago that a point-in-time copy should go back to
POINT = 40

ODD = (
    "docs/a b c.txt", "docs/a+b.txt", "docs/100%.txt", "docs/%2Fescaped.txt", "docs/semi;colon.txt",
    "docs/what?=1&x#y.txt", "img/logo é ü 日本.png", "docs/emoji-😀.txt", " leading space",
    "quote'\"<>.txt", "double//slash", "folder/", "tilde~(star)*!.txt", "Upper/lower",
)  # fmt: skip


def body(key, label):
    return f"{key}\n{label}\n".encode()


def history(bulk):
    """(key, [(minutes ago, label or None for a delete marker)])."""
    day = 24 * 60
    yield "index.html", [(3 * day, "good"), (120, "better"), (25, "corrupted")]
    yield "css/site.css", [(5 * day, "good")]
    for number, key in enumerate(ODD):
        yield key, [(2 * day, "good"), (30, "corrupted")] if number % 2 else [(2 * day, "good")]
    yield "deleted/before.txt", [(day, "good"), (60, None)]
    yield "deleted/after.txt", [(day, "good"), (20, None)]
    yield "deleted/undeleted.txt", [(day, "good"), (55, None), (50, "good again")]
    yield "deleted/twice.txt", [(day, "good"), (35, None), (15, None)]
    yield "late/new.txt", [(10, "new")]
    yield "late/edge.txt", [(POINT, "exactly then"), (POINT - 1, "a minute later")]
    for number in range(bulk):
        spoiled = number % 5 == 0
        yield f"bulk/{number:05d}.json", [(day, "good"), (22, "corrupted")] if spoiled else [(day, "good")]


def make(here, name, region, versioned):
    bucket = here.create_bucket(name, region)
    if versioned:
        here.put_bucket_versioning(name, "Enabled")
    return bucket


def write(here, bucket, key, label, when, replica=False):
    """One version with its true time: a replica has that of what it was made from."""
    if label is None:
        marker = FakeDeleteMarker(key=bucket.keys[key])
        marker.last_modified = when
        bucket.keys[key] = marker
        return
    content = body(key, label)
    if key == "big/blob.bin":
        content = b"".join(uuid.uuid5(uuid.NAMESPACE_URL, f"{label}{n}").bytes for n in range(16384))
    new = here.put_object(bucket.name, key, content, disable_notification=True)
    new.last_modified = when
    new.lab_replica = replica
    new.set_metadata({"x-amz-meta-owner": "shop", "x-amz-meta-label": label, "Content-Type": kind_of(key)})


def kind_of(key):
    for end, kind in ((".html", "text/html"), (".css", "text/css"), (".png", "image/png"), (".json", "application/json")):
        if key.endswith(end):
            return kind
    return "text/plain"


def fill(here, bucket, rows, now, replica=False):
    """Writes a history in the order of time."""
    events = [(ago, key, label) for key, versions in rows for ago, label in versions]
    for ago, key, label in sorted(events, key=lambda e: -e[0]):
        write(here, bucket, key, label, now - timedelta(minutes=ago), replica)


def buckets(account, primary, recovery, document):
    """Everything in S3, and the parameters that name it."""
    here = bridge.backend("s3", account.name, "aws")
    name = account.name
    now = utcnow().replace(microsecond=0)
    bulk = int(document.get("objects", 40))
    copies = []
    params = {
        "sync_at": (now - timedelta(minutes=POINT)).isoformat() + "Z",
        "bucket_status_1": f"{name}-status-eu-north-1", "bucket_status_1_region": "eu-north-1",
        "bucket_status_2": f"{name}-status-eu-west-3", "bucket_status_2_region": "eu-west-3",
        "bucket_claim": f"{name}-dr-{recovery}",
    }  # fmt: skip
    for kind, rows in (("assets", [*history(bulk), ("big/blob.bin", [(2000, "good"), (28, "corrupted")])]),
                       ("invoices", invoices())):  # fmt: skip
        home = make(here, f"{name}-{kind}-{primary}", primary, True)
        replica = make(here, f"{name}-{kind}-{recovery}-replica", recovery, True)
        target = make(here, f"{name}-{kind}-{recovery}", recovery, True)
        fill(here, replica, rows, now, replica=True)
        # Replication lags: what was written last before the moment has not arrived.
        fill(here, home, [*rows[:3], ("late/lagging.txt", [(POINT + 2, "never replicated")])], now)
        params |= {
            f"bucket_{kind}": home.name, f"bucket_{kind}_replica": replica.name,
            f"bucket_{kind}_target": target.name,
        }  # fmt: skip
        copies.append((replica.name, target.name))
    make(here, params["bucket_status_1"], "eu-north-1", False)
    make(here, params["bucket_status_2"], "eu-west-3", False)
    make(here, params["bucket_claim"], recovery, False)
    return params, {"point": now - timedelta(minutes=POINT), "copies": copies}


def invoices():
    rows = [(f"2026/{month:02d}/inv-{n}.pdf", [(3000 - month, "paid")]) for month in range(1, 12) for n in (1, 2)]
    rows.append(("2026/11/inv-1.pdf.sig", [(90, "signed"), (12, "forged")]))
    return rows


def expected(account, seed):
    """What a copy as of the seed's moment must hold: target bucket -> key -> what is in it.

    Worked out from the history alone, so that a drill has something to
    compare the engine's own reading with.
    """
    here = bridge.backend("s3", account.name, "aws")
    found = {}
    for source, target in seed["copies"]:
        bucket = here.buckets.get(source)
        keys = found[target] = {}
        for key in bucket.keys if bucket else ():
            before = [v for v in bucket.keys.getlist(key) if v.last_modified <= seed["point"]]
            if before and not isinstance(before[-1], FakeDeleteMarker):
                keys[key] = {
                    "sha256": hashlib.sha256(before[-1].value).hexdigest(),
                    "type": before[-1].metadata.get("Content-Type"),
                    "version": before[-1].version_id,
                }
    return found

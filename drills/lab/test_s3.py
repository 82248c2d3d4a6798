"""S3: histories, pages, conditions, regions, odd names, chunked bodies."""

import base64
import binascii
import hashlib
import http.client
import json
from datetime import datetime
from urllib.parse import urlsplit

from .testing import PRIMARY, Estate, LabTest


class S3Test(LabTest):
    @classmethod
    def setUpClass(cls):
        cls.estate = Estate()
        cls.s3 = cls.estate.client("s3")
        cls.source = cls.estate.params["bucket_assets_replica"]
        cls.target = cls.estate.params["bucket_assets_target"]

    def versions(self, size=1000, bucket=None):
        """Every version and marker, merged in the order of the listing."""
        found = {}
        for page in self.s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket or self.source, PaginationConfig={"PageSize": size}
        ):
            for kind in ("Versions", "DeleteMarkers"):
                for entry in page.get(kind, []):
                    found[(entry["Key"], entry["VersionId"])] = (kind, entry)
        return found

    def test_pages_of_any_size_hold_the_same(self):
        whole = self.versions()
        self.assertEqual(set(self.versions(7)), set(whole))
        self.assertEqual(set(self.versions(1)), set(whole))
        latest = [entry for _, entry in whole.values() if entry["IsLatest"]]
        self.assertEqual(len(latest), len({entry["Key"] for entry in latest}))

    def test_the_null_version_of_a_suspended_bucket_is_another_one_after_each_write(self):
        where = {"Bucket": self.estate.params["bucket_exports"], "Key": "suspended.csv"}
        suspended = {"Status": "Suspended"}
        self.s3.put_bucket_versioning(Bucket=where["Bucket"], VersioningConfiguration=suspended)
        first = self.s3.put_object(**where, Body=b"one")["ETag"]
        self.assertEqual(self.s3.get_object(**where, IfMatch=first)["VersionId"], "null")
        self.s3.put_object(**where, Body=b"two")
        self.assertEqual(self.s3.get_object(**where, VersionId="null")["Body"].read(), b"two")
        self.refused("PreconditionFailed", self.s3.get_object, 412, **where, VersionId="null", IfMatch=first)

    def test_the_history_has_a_point_to_go_back_to(self):
        at = datetime.fromisoformat(self.estate.params["sync_at"].replace("Z", "+00:00"))
        best = {}
        for kind, entry in self.versions().values():
            known = best.get(entry["Key"])
            if entry["LastModified"] <= at and (known is None or entry["LastModified"] > known[1]["LastModified"]):
                best[entry["Key"]] = (kind, entry)
        wanted = json.loads(self.estate.admin(f"/expected?account={self.estate.name}"))[self.target]
        kept = {key: entry for key, (kind, entry) in best.items() if kind == "Versions"}
        self.assertEqual(set(kept), set(wanted))
        for key, entry in kept.items():
            self.assertEqual(entry["VersionId"], wanted[key]["version"], key)
        body = self.s3.get_object(Bucket=self.source, Key="index.html", VersionId=kept["index.html"]["VersionId"])["Body"].read()
        self.assertEqual(hashlib.sha256(body).hexdigest(), wanted["index.html"]["sha256"])
        self.assertIn("deleted/after.txt", kept)
        self.assertFalse({"deleted/before.txt", "late/new.txt"} & set(kept))

    def test_copies_of_odd_names_and_old_versions(self):
        for (key, version), (kind, entry) in self.versions().items():
            if kind == "DeleteMarkers" or key.startswith("bulk/") or entry["IsLatest"]:
                continue
            source = {"Bucket": self.source, "Key": key, "VersionId": version}
            made = self.s3.copy_object(
                Bucket=self.target, Key=key, CopySource=source, MetadataDirective="REPLACE",
                Metadata={"dr-src-version": version}, ContentType="text/odd", CopySourceIfMatch=entry["ETag"],
            )  # fmt: skip
            head = self.s3.head_object(Bucket=self.target, Key=key)
            self.assertEqual((head["VersionId"], head["ContentType"]), (made["VersionId"], "text/odd"))
            self.assertEqual((head["Metadata"]["dr-src-version"], head["ETag"]), (version, entry["ETag"]))

    def test_conditions_count(self):
        where = {"Bucket": self.target, "Key": "claim"}
        made = self.s3.put_object(**where, Body=b"one", IfNoneMatch="*")
        copy = {**where, "CopySource": {"Bucket": self.source, "Key": "css/site.css"}}
        for function, params in (
            (self.s3.put_object, {**where, "Body": b"two", "IfNoneMatch": "*"}),
            (self.s3.put_object, {**where, "Body": b"two", "IfMatch": '"other"'}),
            (self.s3.copy_object, {**copy, "IfNoneMatch": "*"}),
            (self.s3.copy_object, {**copy, "IfMatch": '"other"'}),
            (self.s3.copy_object, {**copy, "CopySourceIfMatch": '"other"'}),
            (self.s3.delete_object, {**where, "IfMatch": '"other"'}),
        ):
            with self.subTest(str(params)):
                self.refused("PreconditionFailed", function, 412, **params)
        again = self.s3.put_object(**where, Body=b"two", IfMatch=made["ETag"])
        self.s3.delete_object(**where, IfMatch=again["ETag"])
        self.s3.put_object(**where, Body=b"three", IfNoneMatch="*")
        self.assertEqual([c["effect"] for c in self.estate.calls() if c["request"].get("Key") == "claim"][1:7], ["none"] * 6)

    def test_a_condition_on_what_is_gone_finds_nothing(self):
        # With versions the newest is a delete marker then: no object, as without.
        for bucket in (self.target, self.estate.params["bucket_claim"]):
            with self.subTest(bucket):
                where = {"Bucket": bucket, "Key": "gone"}
                tag = self.s3.put_object(**where, Body=b"one", IfNoneMatch="*")["ETag"]
                self.s3.delete_object(**where, IfMatch=tag)
                self.refused("NoSuchKey", self.s3.put_object, 404, **where, Body=b"two", IfMatch=tag)
                self.refused("NoSuchKey", self.s3.delete_object, 404, **where, IfMatch=tag)
                self.s3.put_object(**where, Body=b"two", IfNoneMatch="*")

    def test_versions_are_in_the_order_of_writing(self):
        ids = [self.s3.put_object(Bucket=self.target, Key="fast", Body=b"%d" % n)["VersionId"] for n in range(20)]
        found = self.s3.list_object_versions(Bucket=self.target, Prefix="fast")["Versions"]
        self.assertEqual([v["VersionId"] for v in found], ids[::-1])
        self.assertTrue(found[0]["IsLatest"])

    def test_a_bucket_is_of_one_region(self):
        url = urlsplit(self.estate.server["endpoint"])
        wire = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        wire.request("GET", f"/{self.target}?list-type=2", headers={"Authorization": self.signed("eu-west-3")})
        answer = wire.getresponse()
        self.assertEqual((answer.status, answer.headers["x-amz-bucket-region"]), (301, "eu-central-1"))
        self.assertIn(b"PermanentRedirect", answer.read())

    def signed(self, region):
        return f"AWS4-HMAC-SHA256 Credential=LAB{self.estate.name}/20260101/{region}/s3/aws4_request, SignedHeaders=host, Signature=0"

    def test_a_chunked_body_with_a_trailer_is_put_together(self):
        body = b"hello, chunks" * 100
        crc = base64.b64encode(binascii.crc32(body).to_bytes(4, "big")).decode()
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:500], body[500:]))
        chunked += b"0\r\nx-amz-checksum-crc32:" + crc.encode() + b"\r\n\r\n"
        url = urlsplit(self.estate.server["endpoint"])
        wire = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
        for host, path in ((None, f"/{self.target}/chunked.txt"), (f"{self.target}.localhost:{url.port}", "/chunked.txt")):
            headers = {
                "Authorization": self.signed("eu-central-1"), "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                "x-amz-decoded-content-length": str(len(body)), "x-amz-trailer": "x-amz-checksum-crc32",
                "Content-Encoding": "aws-chunked", "x-amz-sdk-checksum-algorithm": "CRC32",
                **({"Host": host} if host else {}),
            }  # fmt: skip
            wire.request("PUT", path, body=chunked, headers=headers)
            answer = wire.getresponse()
            self.assertEqual((answer.status, answer.read()), (200, b""))
            got = self.s3.get_object(Bucket=self.target, Key="chunked.txt", ChecksumMode="ENABLED")
            self.assertEqual((got["Body"].read(), got["ChecksumCRC32"]), (body, crc))
            self.assertNotIn("ContentEncoding", got)

    def test_large_bodies_are_hashed_in_the_log(self):
        self.s3.put_object(Bucket=self.target, Key="large", Body=b"x" * 5000)
        self.assertEqual(self.estate.calls()[-1]["request"]["Body"]["length"], 5000)

    def test_a_deleted_key_says_so(self):
        self.refused("NoSuchKey", self.s3.get_object, 404, Bucket=self.source, Key="deleted/after.txt")
        self.assertEqual(self.estate.client("s3", PRIMARY).list_objects_v2(Bucket=self.estate.params["bucket_assets"])["KeyCount"], 4)

    def test_a_replica_says_so_and_lags(self):
        head = self.s3.head_object(Bucket=self.source, Key="css/site.css")
        self.assertEqual(head["ReplicationStatus"], "REPLICA")
        home = self.estate.client("s3", PRIMARY)
        original = home.head_object(Bucket=self.estate.params["bucket_assets"], Key="late/lagging.txt")
        self.assertNotIn("ReplicationStatus", original)
        self.assertNotIn("late/lagging.txt", {key for key, _ in self.versions()})
        self.s3.copy_object(Bucket=self.target, Key="copied", CopySource={"Bucket": self.source, "Key": "css/site.css"})
        self.assertNotIn("ReplicationStatus", self.s3.head_object(Bucket=self.target, Key="copied"))

    def test_an_archived_object_says_that_it_was_restored_to_whom_asks(self):
        where = {"Bucket": self.target, "Key": "archived"}
        self.s3.put_object(**where, Body=b"old", StorageClass="GLACIER")
        copy = {"Bucket": self.target, "Key": "out", "CopySource": where}
        with self.assertRaises(self.s3.exceptions.ClientError):
            self.s3.copy_object(**copy)
        self.s3.restore_object(**where, RestoreRequest={"Days": 1})
        listing = {"Bucket": self.target, "Prefix": "archived"}
        self.assertNotIn("RestoreStatus", self.s3.list_object_versions(**listing)["Versions"][0])
        asked = self.s3.list_object_versions(**listing, OptionalObjectAttributes=["RestoreStatus"])["Versions"][0]
        self.assertEqual((asked["StorageClass"], asked["RestoreStatus"]["IsRestoreInProgress"]), ("GLACIER", False))
        self.assertIn("RestoreExpiryDate", asked["RestoreStatus"])
        self.s3.copy_object(**copy)

"""CloudFront's KeyValueStores: one version for all keys, and only its holder changes something."""

from botocore import auth

from .testing import Estate, LabTest, http


class Everywhere(auth.BaseSigner):
    """A signature for all regions in form alone: botocore makes one only with a library that the lab does not need."""

    REQUIRES_REGION = True

    def __init__(self, credentials, service_name, region_name):
        self.credentials, self.service = credentials, service_name

    def add_auth(self, request):
        scope = f"{self.credentials.access_key}/20261122/{self.service}/aws4_request"
        request.headers["X-Amz-Region-Set"] = "*"
        request.headers["Authorization"] = f"AWS4-ECDSA-P256-SHA256 Credential={scope}, Signature=00"


def at_address(request, **_):
    """The account stands before the host, which an address does not take."""
    scheme, rest = request.url.split("://", 1)
    request.url = f"{scheme}://{rest.split('.', 1)[1]}"


class KeyValueTest(LabTest):
    def setUp(self):
        auth.AUTH_TYPE_MAPS["v4a"] = Everywhere
        self.addCleanup(auth.AUTH_TYPE_MAPS.pop, "v4a")
        self.estate = Estate()
        self.arn = self.estate.params["key_value_store"]
        self.values = self.estate.client("cloudfront-keyvaluestore")
        self.values.meta.events.register("before-sign", at_address)

    def tag(self):
        return self.values.describe_key_value_store(KvsARN=self.arn)["ETag"]

    def get(self, key):
        return self.values.get_key(KvsARN=self.arn, Key=key)["Value"]

    def put(self, key, value, tag=None):
        return self.values.put_key(KvsARN=self.arn, Key=key, Value=value, IfMatch=tag or self.tag())

    def test_each_change_turns_the_version_of_the_whole_store(self):
        first = self.tag()
        second = self.put("origin", "eu-central-1")["ETag"]
        self.assertNotEqual(first, second)
        self.assertEqual((self.get("origin"), self.tag()), ("eu-central-1", second))
        self.refused("ConflictException", self.put, 409, key="maintenance", value="on", tag=first)
        self.assertEqual(self.get("maintenance"), "off")
        third = self.values.delete_key(KvsARN=self.arn, Key="maintenance", IfMatch=second)
        self.assertEqual(third["ItemCount"], 1)
        self.refused("ResourceNotFoundException", self.get, 404, key="maintenance")

    def test_several_keys_change_all_or_none(self):
        puts = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
        wrong = {"KvsARN": self.arn, "Puts": puts, "Deletes": [{"Key": "nothing"}], "IfMatch": self.tag()}
        self.refused("ResourceNotFoundException", self.values.update_keys, 404, **wrong)
        self.values.update_keys(KvsARN=self.arn, Puts=puts, Deletes=[{"Key": "origin"}], IfMatch=self.tag())
        page = self.values.list_keys(KvsARN=self.arn, MaxResults=2)
        rest = self.values.list_keys(KvsARN=self.arn, NextToken=page["NextToken"])
        self.assertEqual([each["Key"] for each in page["Items"] + rest["Items"]], ["a", "b", "maintenance"])

    def test_what_is_too_large_is_refused(self):
        self.refused("ValidationException", self.put, 400, key="k" * 513, value="x")
        self.refused("ValidationException", self.put, 400, key="k", value="x" * 1025)
        full = [{"Key": f"{n:06}", "Value": "x" * 1024} for n in range(5090)]
        self.values.update_keys(KvsARN=self.arn, Puts=full, IfMatch=self.tag())
        more = [{"Key": f"more{n:06}", "Value": "x" * 1024} for n in range(20)]
        self.refused(
            "ServiceQuotaExceededException", self.values.update_keys, 402, KvsARN=self.arn, Puts=more, IfMatch=self.tag()
        )

    def test_what_is_not_there_and_a_version_that_never_was(self):
        other = self.arn[:-4] + "0000"
        self.refused("ResourceNotFoundException", self.values.describe_key_value_store, 404, KvsARN=other)
        self.refused("ConflictException", self.put, 409, key="origin", value="x", tag="nothing")
        self.refused(
            "ConflictException", self.values.delete_key, 409, KvsARN=self.arn, Key="origin", IfMatch="nothing"
        )

    def test_only_a_signature_for_all_regions_is_taken(self):
        auth.AUTH_TYPE_MAPS["v4a"] = auth.SigV4Auth
        plain = Estate().client("cloudfront-keyvaluestore", "us-west-2")
        plain.meta.events.register("before-sign", at_address)
        self.refused("InvalidSignatureException", plain.describe_key_value_store, 403, KvsARN=self.arn)

    def test_no_region_takes_it_along(self):
        for region in ("eu-west-1", "eu-central-1", "us-east-1"):
            self.estate.region(region, "down", **({"global": True} if region == "us-east-1" else {}))
        self.put("origin", "eu-central-1")
        self.assertEqual(self.get("origin"), "eu-central-1")

    def test_the_edge_follows_some_looks_later(self):
        self.put("origin", "eu-central-1")
        edge = f"{self.estate.server['health']}/{self.estate.name}/edge/origin"
        seen = [http(edge) for _ in range(4)]
        self.assertEqual([status for status, _ in seen], [200] * 4)
        self.assertEqual(
            [text for _, text in seen], ['{"origin": "eu-west-1"}'] * 2 + ['{"origin": "eu-central-1"}'] * 2
        )

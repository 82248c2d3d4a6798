"""Roles that are assumed: who may, for how long, and what their keys are good for."""

import boto3
from botocore.config import Config

from .testing import RECOVERY, Estate, LabTest

SECRET_ID = "shown-to-dr-alone"


def clients(estate, given, service, region=RECOVERY):
    return boto3.client(
        service, region_name=region, endpoint_url=estate.server["endpoint"], aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given.get("SessionToken"),
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )  # fmt: skip


class TrustTest(LabTest):
    def setUp(self):
        self.tools, self.stranger = Estate(), Estate()
        trusts = [self.tools.name]
        self.prod = Estate(
            roles=[
                {"name": "dr", "trusts": trusts},
                {"name": "guarded", "trusts": trusts, "external_id": SECRET_ID, "session": "2026*"},
                {"name": "long", "trusts": [*trusts, "PROD"], "max_session": 7200},
            ]
        )

    def assume(self, role="dr", by=None, session="20261123-evacuate", **more):
        sts = (by or self.tools).client("sts", validate=False)
        arn = f"arn:aws:iam::{self.prod.name}:role/{role}"
        return sts.assume_role(RoleArn=arn, RoleSessionName=session, **more)

    def test_a_role_is_assumed_by_whom_its_trust_policy_names(self):
        given = self.assume()
        arn = f"arn:aws:sts::{self.prod.name}:assumed-role/dr/20261123-evacuate"
        self.assertEqual(given["AssumedRoleUser"]["Arn"], arn)
        found = clients(self.prod, given["Credentials"], "sts").get_caller_identity()
        self.assertEqual((found["Account"], found["Arn"]), (self.prod.name, arn))
        told = self.refused("AccessDenied", self.assume, 403, by=self.stranger)
        self.assertIn(f"is not authorized to perform: sts:AssumeRole on resource: {self.prod.params['role_dr']}", told)

    def test_a_role_that_is_not_there_is_refused_in_the_same_words(self):
        self.assertIn("is not authorized to perform", self.refused("AccessDenied", self.assume, 403, role="gone"))

    def test_an_external_id_and_the_name_of_the_session_are_judged(self):
        self.assume("guarded", ExternalId=SECRET_ID)
        self.refused("AccessDenied", self.assume, 403, role="guarded")
        self.refused("AccessDenied", self.assume, 403, role="guarded", ExternalId="another")
        self.refused("AccessDenied", self.assume, 403, role="guarded", ExternalId=SECRET_ID, session="me")
        # Whoever shows one to a role that does not ask is let in.
        self.assume(ExternalId=SECRET_ID)

    def test_what_the_model_forbids_is_refused(self):
        for more in ({"session": "a"}, {"session": "has spaces"}, {"ExternalId": "x"}, {"DurationSeconds": 60}):
            self.refused("ValidationError", self.assume, 400, **more)

    def test_a_session_lasts_as_long_as_the_role_allows_and_an_hour_when_chained(self):
        self.assertIn("MaxSessionDuration", self.refused("ValidationError", self.assume, 400, DurationSeconds=3601))
        self.assume("long", DurationSeconds=7200)
        chain = clients(self.prod, self.assume()["Credentials"], "sts")
        next_role = {"RoleArn": self.tools_role(), "RoleSessionName": "again"}
        chain.assume_role(**next_role, DurationSeconds=3600)
        told = self.refused("ValidationError", chain.assume_role, 400, **next_role, DurationSeconds=3601)
        self.assertIn("role chaining", told)

    def tools_role(self):
        """A role that trusts the account of the first, and lasts longer than a chain."""
        other = Estate(roles=[{"name": "next", "trusts": [self.prod.name], "max_session": 7200}])
        return other.params["role_next"]


class SessionsTest(LabTest):
    def setUp(self):
        self.tools = Estate()
        self.prod = Estate(roles=[{"name": "dr", "trusts": [self.tools.name]}])

    def assume(self):
        arn = self.prod.params["role_dr"]
        return self.tools.client("sts").assume_role(RoleArn=arn, RoleSessionName="drill")["Credentials"]

    def calls(self, given):
        of = lambda service: clients(self.prod, given, service)  # noqa: E731
        return {
            "query": of("rds").describe_db_instances, "json": of("dynamodb").list_tables,
            "rest-json": of("backup").list_backup_vaults, "rest-xml": of("route53").list_hosted_zones,
            "s3": of("s3").list_buckets, "cloudwatch": of("cloudwatch").describe_alarms, "sts": of("sts").get_caller_identity,
        }  # fmt: skip

    def test_they_work_in_the_account_of_the_role_and_see_no_other(self):
        names = {each["Name"] for each in clients(self.prod, self.assume(), "s3").list_buckets()["Buckets"]}
        self.assertIn(self.prod.params["bucket_claim"], names)
        self.assertNotIn(self.tools.params["bucket_claim"], names)

    def test_what_has_ended_is_refused_in_the_words_of_each_protocol(self):
        given = self.assume()
        for call in self.calls(given).values():
            call()
        self.prod.admin("/sessions", {"account": self.prod.name, "expire": True})
        wanted = {
            "query": ("ExpiredToken", 403), "json": ("ExpiredTokenException", 400),
            "rest-json": ("ExpiredTokenException", 403), "rest-xml": ("ExpiredToken", 403), "s3": ("ExpiredToken", 400),
            "cloudwatch": ("ExpiredTokenException", 400), "sts": ("ExpiredToken", 403),
        }  # fmt: skip
        for protocol, call in self.calls(given).items():
            with self.subTest(protocol):
                self.refused(wanted[protocol][0], call, wanted[protocol][1])
        # The next session is another one.
        clients(self.prod, self.assume(), "rds").describe_db_instances()

    def test_the_next_ones_last_as_long_as_the_drill_says(self):
        self.prod.admin("/sessions", {"account": self.prod.name, "seconds": 0})
        self.refused("ExpiredToken", clients(self.prod, self.assume(), "rds").describe_db_instances, 403)
        self.prod.admin("/sessions", {"account": self.prod.name, "seconds": None})
        clients(self.prod, self.assume(), "rds").describe_db_instances()

    def test_a_key_is_good_with_its_own_token_alone(self):
        one, other = self.assume(), self.assume()
        self.assertNotEqual(one["AccessKeyId"], other["AccessKeyId"])
        mixed = {**one, "SessionToken": other["SessionToken"]}
        self.refused("InvalidClientTokenId", clients(self.prod, mixed, "rds").describe_db_instances, 403)
        self.refused("UnrecognizedClientException", clients(self.prod, mixed, "dynamodb").list_tables, 400)
        bare = {key: value for key, value in one.items() if key != "SessionToken"}
        self.refused("InvalidClientTokenId", clients(self.prod, bare, "rds").describe_db_instances, 403)
        # S3 and the account's own keys.
        self.refused("InvalidToken", clients(self.prod, mixed, "s3").list_buckets, 400)
        self.tools.client("rds").describe_db_instances()

"""Cognito: import jobs, as strict as the Developer Guide says."""

import json
import unittest
import urllib.error
import urllib.request

from .testing import Estate, LabTest

ROLE = "arn:aws:iam::111122223333:role/import"


def put(url, body, headers=(("x-amz-server-side-encryption", "aws:kms"),)):
    """The status of a PUT."""
    try:
        request = urllib.request.Request(url, data=body, headers=dict(headers), method="PUT")
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


class ImportTest(LabTest):
    def setUp(self):
        self.plant()

    def plant(self, **seed):
        self.estate = Estate(**seed)
        self.cognito, self.pool = self.estate.client("cognito-idp"), self.estate.params["pool_standby"]

    def job(self, **more):
        made = self.cognito.create_user_import_job(
            JobName="one", UserPoolId=self.pool, CloudWatchLogsRoleArn=ROLE, **more
        )
        return made["UserImportJob"]

    def look(self, job):
        return self.cognito.describe_user_import_job(UserPoolId=self.pool, JobId=job["JobId"])["UserImportJob"]

    def start(self, job):
        self.cognito.start_user_import_job(UserPoolId=self.pool, JobId=job["JobId"])

    def ended(self, job):
        return [self.look(job) for _ in range(3)][-1]

    def counts(self, job):
        return job["Status"], job["ImportedUsers"], job["SkippedUsers"], job["FailedUsers"]

    def file(self, *rows):
        """A file with these rows, each by the values that it has."""
        names = self.cognito.get_csv_header(UserPoolId=self.pool)["CSVHeader"]
        good = {"email_verified": "TRUE", "email": "x@example.com", "cognito:mfa_enabled": "false"}
        lines = [",".join({**good, **row}.get(name, "") for name in names) for row in rows]
        return "\n".join([",".join(names), *lines]).encode()

    def test_users_of_the_file_are_in_the_pool_afterwards_and_who_was_there_stays(self):
        job = self.job()
        file = self.estate.client("s3").get_object(Bucket=self.estate.params["bucket_exports"], Key="users.csv")
        self.assertEqual(put(job["PreSignedUrl"], file["Body"].read()), 200)
        self.start(job)
        self.assertEqual([self.look(job)["Status"] for _ in range(2)], ["Pending", "InProgress"])
        self.assertEqual(self.counts(self.look(job)), ("Succeeded", 11, 1, 0))
        users = {u["Username"]: u for u in self.cognito.list_users(UserPoolId=self.pool)["Users"]}
        self.assertEqual(len(users), 12)
        self.assertEqual((users["gül"]["UserStatus"], users["eve"]["UserStatus"]), ("RESET_REQUIRED", "CONFIRMED"))
        self.assertIn({"Name": "address", "Value": "1 High Street, Town"}, users["gül"]["Attributes"])
        pools = json.loads(self.estate.dump())["cognito"]["pools"]
        self.assertEqual(len(pools["eu-central-1 shop-standby"]), 12)

    def test_bad_rows_fail_alone_and_a_job_that_made_nobody_fails_whole(self):
        bad = ({"email_verified": "false"}, {"cognito:mfa_enabled": ""}, {"cognito:username": "a b"}, {"cognito:username": ""})
        rows = [{"cognito:username": f"u{n}", **row} for n, row in enumerate(({}, *bad))]
        job = self.job()
        put(job["PreSignedUrl"], self.file(*rows))
        self.start(job)
        self.assertEqual(self.counts(self.ended(job)), ("Succeeded", 1, 0, 4))
        again = self.job()
        put(again["PreSignedUrl"], self.file(*rows))
        self.start(again)
        ended = self.ended(again)
        self.assertEqual(self.counts(ended), ("Failed", 0, 1, 4))
        self.assertEqual(ended["CompletionMessage"], "Too many users have failed or been skipped during the import.")

    def test_a_file_that_is_not_the_pools_fails_and_hashes_are_a_column_more(self):
        header, row = self.file({"cognito:username": "ann"}).split(b"\n")
        for file in (header.replace(b"nickname,", b""), header + b"\n" + row + b",", header + b",hash\n" + row + b",x"):
            job = self.job()
            put(job["PreSignedUrl"], file)
            self.start(job)
            self.assertEqual(self.counts(self.ended(job)), ("Failed", 0, 0, 0))
        job = self.job(PasswordHashingAlgorithm="BCRYPT")
        put(job["PreSignedUrl"], header + b",hash\n" + row + b",$2a$10$x")
        self.start(job)
        self.assertEqual(self.counts(self.ended(job)), ("Succeeded", 1, 0, 0))
        users = {u["Username"]: u["UserStatus"] for u in self.cognito.list_users(UserPoolId=self.pool)["Users"]}
        self.assertEqual(users["ann"], "CONFIRMED")

    def test_what_stands_in_the_way_of_a_start_is_said(self):
        start, at = self.cognito.start_user_import_job, {"UserPoolId": self.pool}
        one, two = self.job(), self.job()
        self.refused("PreconditionNotMetException", start, 400, **at, JobId=one["JobId"])
        for job in (one, two):
            put(job["PreSignedUrl"], self.file({"cognito:username": "ann"}))
        self.start(one)
        self.assertIn("active", self.refused("PreconditionNotMetException", start, **at, JobId=two["JobId"]))
        self.refused("PreconditionNotMetException", start, **at, JobId=one["JobId"])
        self.cognito.stop_user_import_job(**at, JobId=one["JobId"])
        self.assertEqual(self.look(one)["Status"], "Stopped")
        self.start(two)
        self.assertEqual(self.counts(self.ended(two)), ("Succeeded", 1, 0, 0))
        self.refused("ResourceNotFoundException", start, **at, JobId="import-0")
        self.refused("ResourceNotFoundException", self.cognito.get_csv_header, UserPoolId="eu-central-1_none")
        self.refused("InvalidParameterException", self.cognito.list_user_import_jobs, UserPoolId=self.pool, MaxResults=61)

    def test_a_url_takes_what_it_was_signed_for_and_for_as_long(self):
        job = self.job()
        url = job["PreSignedUrl"]
        self.assertEqual(put(url, b"x", ()), 403)
        self.assertEqual(put(url[:-1] + ("0" if url[-1] != "0" else "1"), b"x"), 403)
        self.assertEqual((put(url, b"x"), put(url, b"x")), (200, 200))
        effects = [call["effect"] for call in self.estate.calls() if call["operation"] == "PutObject"]
        self.assertEqual(effects, ["none", "none", "changed", "same"])
        self.plant(import_ages=[901, 24 * 3600 + 1])
        self.assertEqual(put(self.job()["PreSignedUrl"], b"x"), 403)
        expired = self.job()
        self.assertEqual(self.look(expired)["Status"], "Expired")

    def test_jobs_are_listed_by_pages_the_newest_first(self):
        made, found, more = [self.job()["JobId"] for _ in range(5)], [], {}
        while True:
            reply = self.cognito.list_user_import_jobs(UserPoolId=self.pool, MaxResults=60, **more)
            found += [job["JobId"] for job in reply["UserImportJobs"]]
            if "PaginationToken" not in reply:
                break
            more = {"PaginationToken": reply["PaginationToken"]}
        self.assertEqual(found, made[::-1])


if __name__ == "__main__":
    unittest.main()

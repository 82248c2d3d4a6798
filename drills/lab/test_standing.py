"""What a standby stands on, planted where its parameters are wanted."""

import unittest
import urllib.error
import urllib.request

from .testing import Estate, LabTest


class StandingTest(LabTest):
    def setUp(self):
        self.estate = Estate(wanted=["app_url", "table"])

    def status(self, who):
        request = urllib.request.Request(self.estate.params["protected_url"], headers={"Authorization": who} if who else {})
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_the_canary_is_in_both_regions_and_the_alarms_are_quiet(self):
        key = {name: {"S": value} for name, value in self.estate.params["canary"].items()}
        for region in ("eu-west-1", "eu-central-1"):
            item = self.estate.client("dynamodb", region).get_item(TableName=self.estate.params["table"], Key=key)["Item"]
            self.assertTrue(item["written_at"]["S"].endswith("Z"))
        alarms = self.estate.client("cloudwatch").describe_alarms(AlarmNames=["app-5xx", "app-latency"])["MetricAlarms"]
        self.assertEqual([alarm["StateValue"] for alarm in alarms], ["OK", "OK"])

    def test_only_who_may_sees_the_order(self):
        self.assertEqual([self.status(who) for who in ("may", "may-not", None)], [200, 403, 401])
        with urllib.request.urlopen(self.estate.params["app_url"], timeout=20) as answer:
            self.assertEqual(answer.status, 200)

    def test_a_part_is_planted_only_where_something_of_it_is_wanted(self):
        for wanted, there in (([], set()), (["global_cluster"], {"global_cluster"}), (["cache_global"], {"cache_global"})):
            params = Estate(wanted=wanted).params
            parts = {"global_cluster", "cache_global", "protected_url"}
            self.assertEqual(parts & set(params), there)


if __name__ == "__main__":
    unittest.main()

"""CloudWatch alarms: what they say before anything was measured, and of each other."""

from .testing import Estate, LabTest


class AlarmTest(LabTest):
    def setUp(self):
        self.cloudwatch = Estate().client("cloudwatch")
        for name in ("errors", "latency"):
            self.cloudwatch.put_metric_alarm(
                AlarmName=name, Namespace="Shop", MetricName=name, Period=60, EvaluationPeriods=1, Threshold=1.0,
                ComparisonOperator="GreaterThanThreshold", Statistic="Sum", TreatMissingData="notBreaching",
            )  # fmt: skip

    def turn(self, name, state):
        self.cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

    def told(self, **more):
        page = self.cloudwatch.describe_alarms(**more)
        return {a["AlarmName"]: a["StateValue"] for a in page["MetricAlarms"] + page["CompositeAlarms"]}

    def test_a_new_alarm_knows_nothing_yet(self):
        self.assertEqual(self.told(), {"errors": "INSUFFICIENT_DATA", "latency": "INSUFFICIENT_DATA"})
        self.turn("errors", "OK")
        self.assertEqual(self.told(AlarmNames=["errors", "nothing"]), {"errors": "OK"})

    def test_a_composite_alarm_follows_others_and_is_told_where_it_is_asked_for(self):
        rule = 'ALARM(errors) OR (ALARM("latency") AND NOT OK(errors))'
        self.cloudwatch.put_composite_alarm(AlarmName="shop", AlarmRule=rule)
        types = {"AlarmNames": ["shop"], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]}
        self.assertEqual(self.told(AlarmNames=["shop"]), {})
        self.assertEqual(self.told(**types), {"shop": "OK"})
        self.turn("latency", "ALARM")
        self.assertEqual(self.told(**types), {"shop": "ALARM"})
        self.turn("errors", "OK")
        self.assertEqual(self.told(**types), {"shop": "OK"})
        for wrong in ("ALARM(nothing)", "import os"):
            self.refused("ValidationError", self.cloudwatch.put_composite_alarm, 400, AlarmName="x", AlarmRule=wrong)

    def test_many_come_in_pages(self):
        page = self.cloudwatch.describe_alarms(MaxRecords=1)
        rest = self.cloudwatch.describe_alarms(MaxRecords=1, NextToken=page["NextToken"])
        self.assertNotIn("NextToken", rest)
        self.assertEqual([a["AlarmName"] for a in page["MetricAlarms"] + rest["MetricAlarms"]], ["errors", "latency"])

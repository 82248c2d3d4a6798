"""CloudWatch: metrics as the Rust SDK asks for them, in CBOR, and as boto3 does, in JSON."""

import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.core.utils import get_service_model

from . import cbor
from .testing import RECOVERY, Estate, LabTest

SERVICE = "/service/GraniteServiceVersion20100801/operation/"
NOW = datetime.now(timezone.utc).replace(microsecond=0)
MINUTE = NOW.replace(second=0)


def asked(**more):
    stat = {
        "Metric": {
            "Namespace": "AWS/RDS", "MetricName": "ReplicaLag",
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": "db"}],
        },
        "Period": 60, "Stat": "Maximum",
    }  # fmt: skip
    query = {"Id": "lag", "MetricStat": stat | more}
    return {
        "MetricDataQueries": [query], "ScanBy": "TimestampDescending",
        "StartTime": NOW - timedelta(hours=1), "EndTime": NOW + timedelta(minutes=1),
    }  # fmt: skip


class CloudWatchTest(LabTest):
    @classmethod
    def setUpClass(cls):
        cls.estate = Estate()
        cls.cloudwatch = cls.estate.client("cloudwatch")
        for name, namespace, values in (
            ("db", "AWS/RDS", ((2, 7.0), (2, 5.0), (3, 4.0))),
            ("db", "Mine", ((1, 99.0),)),
            ("other", "AWS/RDS", ((1, 88.0),)),
        ):
            for minutes, value in values:
                sample = {
                    "MetricName": "ReplicaLag", "Value": value,
                    "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": name}],
                    "Timestamp": MINUTE - timedelta(minutes=minutes) + timedelta(seconds=17),
                }  # fmt: skip
                cls.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[sample])

    def cbor(self, name, params=None, body=None):
        """(status, headers, document) of a call as the Rust SDK makes it."""
        shape = get_service_model("cloudwatch").operation_model("GetMetricData").input_shape
        request = AWSRequest(
            "POST", f"{self.estate.server['endpoint']}{SERVICE}{name}",
            data=cbor.encoded(params, shape) if body is None else body,
            headers={"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
        )  # fmt: skip
        SigV4Auth(Credentials(f"LAB{self.estate.name}", "any"), "monitoring", RECOVERY).add_auth(request)
        sent = request.prepare()
        sent = urllib.request.Request(sent.url, data=sent.body, headers=dict(sent.headers), method="POST")
        try:
            with urllib.request.urlopen(sent, timeout=20) as answer:
                return answer.status, answer.headers, cbor.decoded(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, error.headers, cbor.decoded(error.read())

    def test_each_minute_is_told_by_its_beginning_and_the_newest_first(self):
        (result,) = self.cloudwatch.get_metric_data(**asked())["MetricDataResults"]
        self.assertEqual([t - MINUTE for t in result["Timestamps"]], [timedelta(minutes=-2), timedelta(minutes=-3)])
        self.assertEqual(result["Values"], [7.0, 4.0])
        (average,) = self.cloudwatch.get_metric_data(**asked(Stat="Average"))["MetricDataResults"]
        self.assertEqual(average["Values"], [6.0, 4.0])

    def test_what_was_not_measured_is_not_told(self):
        params = asked()
        params["EndTime"] = MINUTE - timedelta(minutes=10)
        (result,) = self.cloudwatch.get_metric_data(**params)["MetricDataResults"]
        self.assertEqual((result["Timestamps"], result["Values"]), ([], []))

    def test_the_same_in_cbor(self):
        status, headers, document = self.cbor("GetMetricData", asked())
        self.assertEqual((status, headers["smithy-protocol"]), (200, "rpc-v2-cbor"))
        (result,) = document["MetricDataResults"]
        self.assertEqual(result["Values"], [7.0, 4.0])
        self.assertTrue(all(isinstance(value, float) for value in result["Values"]))
        self.assertEqual(result["Timestamps"][0].timestamp(), (MINUTE - timedelta(minutes=2)).timestamp())
        (logged,) = [call for call in self.estate.calls() if call["operation"] == "GetMetricData"][-1:]
        self.assertEqual((logged["rw"], logged["request"]["MetricDataQueries"][0]["Id"]), ("read", "lag"))

    def test_refusals_and_faults_are_cbor_too(self):
        status, headers, document = self.cbor("GetMetricData", asked(Period=7))
        self.assertEqual((status, headers["Content-Type"], document["__type"]), (400, "application/cbor", "ValidationError"))
        for body in (b"\xff\x00", b""):
            status, _, document = self.cbor("GetMetricData", body=body)
            self.assertEqual(status, 400, document)
        self.estate.fault({"service": "cloudwatch", "operation": "GetMetricData", "nth": 1, "do": "throttle"})
        status, _, document = self.cbor("GetMetricData", asked())
        self.assertEqual((status, document["__type"]), (400, "Throttling"))
        self.refused("ValidationError", self.cloudwatch.get_metric_data, 400, **asked(Period=7))

    def test_alarms_are_motos(self):
        self.cloudwatch.put_metric_alarm(
            AlarmName="lag", Namespace="AWS/RDS", MetricName="ReplicaLag", Period=60, EvaluationPeriods=1,
            Threshold=30.0, ComparisonOperator="GreaterThanThreshold", Statistic="Maximum",
        )  # fmt: skip
        status, _, document = self.cbor("DescribeAlarms", body=b"\xa0")
        self.assertEqual(status, 200, document)
        (alarm,) = document["MetricAlarms"]
        self.assertEqual((alarm["AlarmName"], alarm["Threshold"]), ("lag", 30.0))
        self.assertIsInstance(alarm["StateUpdatedTimestamp"], datetime)

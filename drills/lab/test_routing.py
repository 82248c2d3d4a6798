"""ARC's cluster: five endpoints, what each shows when, safety rules, and the names that follow."""

import json
import time
import unittest

import boto3
from botocore.config import Config

from .routing import Rule
from .testing import Estate, LabTest


class RoutingTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        params = self.estate.params
        self.regions = [params[f"cluster_region_{n}"] for n in range(1, 6)]
        self.urls = [params[f"cluster_endpoint_{n}"] for n in range(1, 6)]
        self.primary, self.recovery = params["control_primary"], params["control_recovery"]
        self.at = [self.endpoint(*both) for both in zip(self.urls, self.regions)]

    def endpoint(self, url, region):
        return boto3.client(
            "route53-recovery-cluster", region_name=region, endpoint_url=url,
            aws_access_key_id=f"LAB{self.estate.name}", aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    def states(self, client):
        read = client.get_routing_control_state
        return tuple(read(RoutingControlArn=arn)["RoutingControlState"] for arn in (self.primary, self.recovery))

    def set(self, client, primary, recovery, **more):
        pairs = ((self.primary, primary), (self.recovery, recovery))
        entries = [{"RoutingControlArn": arn, "RoutingControlState": state} for arn, state in pairs]
        client.update_routing_control_states(UpdateRoutingControlStateEntries=entries, **more)

    def users(self):
        return [str(rr.rdata) for rr in self.estate.dig(self.estate.params["record_arc"]).rr]

    def test_a_change_is_shown_by_its_endpoint_at_once_and_by_the_others_after_their_looks(self):
        self.assertEqual(self.users(), ["192.0.2.40"])
        self.set(self.at[0], "Off", "On")
        self.assertEqual(self.states(self.at[0]), ("Off", "On"))
        # Two looks are under way: each of them reads two controls.
        self.assertEqual([self.states(self.at[1]) for _ in range(2)], [("On", "Off"), ("On", "On")])
        self.assertEqual(self.states(self.at[1]), ("Off", "On"))
        listed = self.at[2].list_routing_controls()["RoutingControls"]
        self.assertEqual([one["RoutingControlState"] for one in listed], ["On", "Off"])
        self.assertEqual(self.users(), ["198.51.100.40"])
        self.set(self.at[3], "Off", "On")
        writes = [call["effect"] for call in self.estate.calls() if call["rw"] == "write"]
        self.assertEqual(writes, ["changed", "same"])

    def test_the_last_one_is_not_turned_off_but_by_who_overrides_the_rule(self):
        rule = self.estate.params["safety_rule"]
        words = self.refused("ConflictException", self.set, 400, client=self.at[0], primary="Off", recovery="Off")
        self.assertIn(rule, words)
        self.assertEqual(self.states(self.at[1]), ("On", "Off"))
        one = {"RoutingControlArn": self.primary, "RoutingControlState": "Off"}
        self.refused("ConflictException", self.at[4].update_routing_control_state, **one)
        self.set(self.at[0], "Off", "Off", SafetyRulesToOverride=[rule])
        self.assertEqual(self.states(self.at[0]), ("Off", "Off"))

    def test_an_endpoint_is_its_url_and_its_region_and_three_of_five_have_to_be_there(self):
        wrong = self.endpoint(self.urls[0], self.regions[1])
        self.refused("InvalidSignatureException", self.states, 403, client=wrong)
        nowhere = self.endpoint(self.estate.server["endpoint"], self.regions[0])
        self.refused("UnknownEndpoint", self.states, 404, client=nowhere)
        self.refused(
            "ResourceNotFoundException", self.at[0].get_routing_control_state, RoutingControlArn=self.primary + "x",
        )  # fmt: skip
        self.estate.region(self.regions[0], "down")
        self.estate.region(self.regions[1], "down")
        with self.assertRaises(Exception):
            self.states(self.at[0])
        self.set(self.at[2], "Off", "On")
        self.estate.region(self.regions[3], "down")
        self.refused("EndpointTemporarilyUnavailableException", self.set, client=self.at[2], primary="On", recovery="On")
        code = "EndpointTemporarilyUnavailableException"
        rule = {"service": "route53-recovery-cluster", "region": self.regions[4], "every": True}
        self.estate.fault(rule | {"do": "fail_before", "code": code, "status": 400})
        self.refused(code, self.states, client=self.at[4])
        state = json.loads(self.estate.dump())["routing_controls"]
        self.assertEqual(state, {"shop-eu-west-1": "Off", "shop-eu-central-1": "On"})

    def test_a_rule_waits_after_a_change(self):
        from .errors import LabError
        from .patches.routing_controls import judge

        rule = Rule("arn:rule", "one", ["a"], 1, wait=60)
        judge(rule, {"a": "On"})
        rule.changed = time.monotonic()
        with self.assertRaises(LabError) as caught:
            judge(rule, {"a": "On"})
        self.assertIn("wait period", caught.exception.message)


class HealthCheckTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.r53 = self.estate.client("route53", "us-east-1")

    def make(self, caller, **config):
        made = self.r53.create_health_check(CallerReference=caller, HealthCheckConfig=config)
        return made["HealthCheck"]["Id"]

    def test_what_is_checked_has_to_be_there_and_one_reference_makes_one_check(self):
        arn = self.estate.params["control_primary"]
        first = self.make("one", Type="RECOVERY_CONTROL", RoutingControlArn=arn)
        self.assertEqual(self.make("one", Type="RECOVERY_CONTROL", RoutingControlArn=arn), first)
        config = {"Type": "HTTPS", "FullyQualifiedDomainName": "x.s3.eu-central-1.amazonaws.com", "ResourcePath": "/a"}
        create = self.r53.create_health_check
        self.refused("HealthCheckAlreadyExists", create, 409, CallerReference="one", HealthCheckConfig=config)
        for bad in ({"Type": "RECOVERY_CONTROL"}, {"Type": "HTTPS"}, {"Type": "RECOVERY_CONTROL", "RoutingControlArn": "arn:x"}):
            self.refused("InvalidInput", create, CallerReference="bad", HealthCheckConfig=bad)
        self.refused("NoSuchHealthCheck", self.r53.get_health_check, 404, HealthCheckId="00000000-none")
        version = self.r53.get_health_check(HealthCheckId=first)["HealthCheck"]["HealthCheckVersion"]
        self.r53.update_health_check(HealthCheckId=first, HealthCheckVersion=version, Disabled=True)
        update = self.r53.update_health_check
        self.refused("HealthCheckVersionMismatch", update, 409, HealthCheckId=first, HealthCheckVersion=version)
        self.r53.delete_health_check(HealthCheckId=first)
        self.refused("NoSuchHealthCheck", self.r53.get_health_check, 404, HealthCheckId=first)


if __name__ == "__main__":
    unittest.main()

"""Lambda functions: aliases compared and swapped, concurrency that takes time, invocations by script."""

import base64
import json

from .testing import PRIMARY, RECOVERY, Estate, LabTest

ORDERS = {"FunctionName": "orders-api"}


class FunctionTest(LabTest):
    def setUp(self, **seed):
        self.estate = Estate(**seed)
        self.functions = self.estate.client("lambda")

    def alias(self, **more):
        return self.functions.update_alias(**ORDERS, Name="live", **more)

    def test_an_alias_is_changed_by_whoever_knows_its_revision(self):
        first = self.functions.get_alias(**ORDERS, Name="live")
        self.assertEqual((first["FunctionVersion"], "RoutingConfig" in first), ("1", False))
        second = self.alias(FunctionVersion="2", RevisionId=first["RevisionId"])
        self.assertNotEqual(first["RevisionId"], second["RevisionId"])
        stale = {"FunctionVersion": "3", "RevisionId": first["RevisionId"]}
        self.refused("PreconditionFailedException", self.alias, 412, **stale)
        self.refused("ResourceNotFoundException", self.alias, 404, FunctionVersion="7")
        self.refused("ResourceNotFoundException", self.functions.get_alias, 404, **ORDERS, Name="nothing")
        weights = self.alias(RoutingConfig={"AdditionalVersionWeights": {"3": 0.1}})
        self.assertEqual(weights["RoutingConfig"]["AdditionalVersionWeights"], {"3": 0.1})
        self.assertNotIn("RoutingConfig", self.alias(RoutingConfig={"AdditionalVersionWeights": {}}))
        self.assertEqual(self.functions.get_function_configuration(**ORDERS, Qualifier="live")["Version"], "2")
        elsewhere = self.estate.client("lambda", PRIMARY).get_alias(**ORDERS, Name="live")
        self.assertEqual(elsewhere["FunctionVersion"], "2")

    def test_reserved_concurrency_leaves_some_for_the_others(self):
        put = self.functions.put_function_concurrency
        self.assertNotIn("ReservedConcurrentExecutions", self.functions.get_function_concurrency(**ORDERS))
        put(**ORDERS, ReservedConcurrentExecutions=900)
        self.refused("InvalidParameterValueException", put, 400, **ORDERS, ReservedConcurrentExecutions=901)
        put(**ORDERS, ReservedConcurrentExecutions=0)
        self.refused("TooManyRequestsException", self.functions.invoke, 429, **ORDERS)
        self.functions.delete_function_concurrency(**ORDERS)
        self.assertNotIn("ReservedConcurrentExecutions", self.functions.get_function_concurrency(**ORDERS))

    def provision(self, count, qualifier="live"):
        wanted = {"Qualifier": qualifier, "ProvisionedConcurrentExecutions": count}
        return self.functions.put_provisioned_concurrency_config(**ORDERS, **wanted)

    def provisioned(self):
        return self.functions.get_provisioned_concurrency_config(**ORDERS, Qualifier="live")["Status"]

    def test_provisioned_concurrency_takes_its_time(self):
        self.refused("ProvisionedConcurrencyConfigNotFoundException", self.provisioned, 404)
        self.refused("InvalidParameterValueException", self.provision, 400, count=1, qualifier="$LATEST")
        self.functions.put_function_concurrency(**ORDERS, ReservedConcurrentExecutions=5)
        self.refused("InvalidParameterValueException", self.provision, 400, count=6)
        self.assertEqual(self.provision(5)["Status"], "IN_PROGRESS")
        self.assertEqual([self.provisioned() for _ in range(3)], ["IN_PROGRESS", "IN_PROGRESS", "READY"])
        self.alias(FunctionVersion="2")
        self.assertEqual(self.provisioned(), "IN_PROGRESS", "the new version is made ready first")
        self.functions.delete_provisioned_concurrency_config(**ORDERS, Qualifier="live")
        self.refused("ProvisionedConcurrencyConfigNotFoundException", self.provisioned, 404)

    def test_an_invocation_answers_by_script(self):
        error = {"errorType": "KeyError", "errorMessage": "DB_HOST"}
        script = [{"answer": error, "error": "Unhandled", "log": "x" * 5000 + "the end"}, {"answer": {"n": 1}}]
        self.setUp(invokes=script)
        failed = self.functions.invoke(**ORDERS, Qualifier="live", LogType="Tail", Payload=b'{"a": 1}')
        self.assertEqual((failed["StatusCode"], failed["FunctionError"], failed["ExecutedVersion"]), (200, "Unhandled", "1"))
        self.assertEqual(json.load(failed["Payload"]), error)
        log = base64.b64decode(failed["LogResult"])
        self.assertEqual((len(log), log[-7:]), (4096, b"the end"))
        for _ in range(2):
            good = self.functions.invoke(**ORDERS)
            self.assertEqual((json.load(good["Payload"]), "FunctionError" in good), ({"n": 1}, False))
        self.assertEqual(self.functions.invoke(**ORDERS, InvocationType="DryRun")["StatusCode"], 204)
        self.assertEqual(self.functions.invoke(**ORDERS, InvocationType="Event")["StatusCode"], 202)
        self.refused("InvalidRequestContentException", self.functions.invoke, 400, **ORDERS, Payload=b"{")
        self.refused("ResourceNotFoundException", self.functions.invoke, 404, **ORDERS, Qualifier="nothing")

    def test_a_function_that_is_not_ready_is_not_invoked(self):
        self.setUp(function_is="Pending")
        self.assertEqual(self.functions.get_function_configuration(**ORDERS)["State"], "Pending")
        self.refused("ResourceConflictException", self.functions.invoke, 409, **ORDERS)

    def test_a_mapping_is_turned_on_and_off_in_its_time(self):
        one = {"UUID": self.estate.params["mapping_recovery"]}
        update, get = self.functions.update_event_source_mapping, self.functions.get_event_source_mapping
        self.assertEqual(get(**one)["State"], "Disabled")
        self.assertEqual(update(**one, Enabled=True)["State"], "Enabling")
        self.refused("ResourceInUseException", update, 400, **one, Enabled=False)
        self.assertEqual([get(**one)["State"] for _ in range(3)], ["Enabling", "Enabling", "Enabled"])
        self.refused("ResourceNotFoundException", get, 404, UUID=self.estate.params["mapping_primary"])

    def test_what_is_not_here_is_asked_of_moto(self):
        self.refused("ResourceNotFoundException", self.functions.get_function_configuration, 404, FunctionName="other")
        self.assertNotIn("other", self.estate.dump())
        self.assertEqual(self.estate.params["recovery"], RECOVERY)

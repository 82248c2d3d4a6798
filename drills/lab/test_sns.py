"""SMS: taken is not delivered, and what a drill says of numbers holds."""

import json

from .testing import Estate, LabTest

NUMBER, OTHER = "+14155550100", "+14155550101"


class Sns(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.sns = self.estate.client("sns")

    def sent(self):
        return [(one["to"], one["type"], one["delivered"]) for one in json.loads(self.estate.dump())["sns"]]

    def publish(self, number, **attributes):
        said = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        return self.sns.publish(PhoneNumber=number, Message="a text", MessageAttributes=said)["MessageId"]

    def test_a_number_that_opted_out_is_taken_and_gets_nothing(self):
        self.estate.admin("/sms", {"account": self.estate.name, "opted_out": [OTHER]})
        one = self.publish(NUMBER, **{"AWS.SNS.SMS.SMSType": "Transactional", "AWS.SNS.SMS.SenderID": "DR"})
        self.assertNotEqual(one, self.publish(OTHER))
        self.assertEqual(self.sent(), [(NUMBER, "Transactional", True), (OTHER, "Promotional", False)])
        asked = self.sns.check_if_phone_number_is_opted_out
        self.assertTrue(asked(phoneNumber=OTHER)["isOptedOut"])
        self.assertFalse(asked(phoneNumber=NUMBER)["isOptedOut"])
        kinds = [(call["operation"], call["rw"], call["effect"]) for call in self.estate.calls()]
        self.assertEqual(kinds[:2], [("Publish", "write", "changed")] * 2)
        self.assertEqual(kinds[2:], [("CheckIfPhoneNumberIsOptedOut", "read", "none")] * 2)

    def test_a_sandbox_delivers_to_verified_numbers_alone(self):
        self.estate.admin("/sms", {"account": self.estate.name, "sandbox": True, "verified": [NUMBER], "spend_limit": 20})
        self.assertTrue(self.sns.get_sms_sandbox_account_status()["IsInSandbox"])
        known = self.sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"]
        self.assertEqual(known, [{"PhoneNumber": NUMBER, "Status": "Verified"}])
        self.assertEqual(self.sns.get_sms_attributes()["attributes"], {"MonthlySpendLimit": "20"})
        self.publish(NUMBER)
        self.publish(OTHER)
        self.assertEqual([delivered for *_, delivered in self.sent()], [True, False])

    def test_what_sns_would_not_take_is_refused(self):
        for number in ("4155550100", "+1415555010x", "+0155550100"):
            self.refused("InvalidParameter", self.sns.publish, 400, PhoneNumber=number, Message="a text")
        self.refused("InvalidParameter", self.sns.publish, 400, PhoneNumber=NUMBER, Message="x" * 1601)
        attribute = {"AWS.SNS.SMS.SenderID": {"DataType": "String", "StringValue": "1234"}}
        self.refused("InvalidParameter", self.sns.publish, 400, PhoneNumber=NUMBER, Message="x", MessageAttributes=attribute)
        self.estate.fault({"operation": "Publish", "nth": 1, "do": "access_denied"}, {"operation": "Publish", "nth": 2, "do": "throttle"})
        self.refused("AuthorizationError", self.sns.publish, 403, PhoneNumber=NUMBER, Message="x")
        self.refused("ThrottlingException", self.sns.publish, 400, PhoneNumber=NUMBER, Message="x")
        self.assertEqual(self.sent(), [])

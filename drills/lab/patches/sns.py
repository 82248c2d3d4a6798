"""SMS by SNS, with what moto does not keep: who opted out, the sandbox, how a text was sent.

SNS takes a text for a number that has opted out, or that a sandbox has not verified, and delivers
nothing: only the delivery log says so. So does this, and the dump says what was delivered.
"""

import re
import uuid

from .. import bridge
from . import operation, refuse

NUMBER = re.compile(r"\+[1-9]\d{7,14}")
SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}")
KINDS = ("Promotional", "Transactional")
BYTES_MAX = 1600


def state(account):
    """Every text that was taken, and whether it was delivered; sorted, since they go out together."""
    return sorted(account.sms.sent, key=lambda one: (one["region"], one["to"], one["text"]))


@operation("sns", "Publish")
def publish(call):
    number = call.params.get("PhoneNumber")
    if number is None:
        return bridge.dispatch(call)
    if "TopicArn" in call.params or "TargetArn" in call.params:
        refuse("InvalidParameter", "Invalid parameter: one of PhoneNumber, TopicArn, TargetArn")
    text = call.params["Message"]
    said = {
        name: value.get("StringValue")
        for name, value in (call.params.get("MessageAttributes") or {}).items()
    }
    kind = said.get("AWS.SNS.SMS.SMSType", "Promotional")
    sender = said.get("AWS.SNS.SMS.SenderID")
    if not NUMBER.fullmatch(number):
        refuse("InvalidParameter", f"Invalid parameter: PhoneNumber Reason: {number} is not valid to publish to")
    if not text:
        refuse("InvalidParameter", "Invalid parameter: Empty message")
    if len(text.encode()) > BYTES_MAX:
        refuse("InvalidParameter", "Invalid parameter: Message too long")
    if kind not in KINDS:
        refuse("InvalidParameter", f"Invalid parameter: AWS.SNS.SMS.SMSType Reason: {kind}")
    if sender is not None and not SENDER.fullmatch(sender):
        refuse("InvalidParameter", f"Invalid parameter: AWS.SNS.SMS.SenderID Reason: {sender}")
    call.state.sms.sent.append(
        {
            "region": call.region, "to": number, "text": text, "type": kind, "sender": sender,
            "delivered": call.state.sms.reaches(number),
        }
    )  # fmt: skip
    return {"MessageId": str(uuid.uuid4())}


@operation("sns", "CheckIfPhoneNumberIsOptedOut")
def opted_out(call):
    number = call.params["phoneNumber"]
    if not NUMBER.fullmatch(number):
        refuse("InvalidParameter", f"Invalid parameter: PhoneNumber Reason: {number} is not valid")
    return {"isOptedOut": number in call.state.sms.opted_out}


@operation("sns", "GetSMSSandboxAccountStatus")
def sandbox(call):
    return {"IsInSandbox": call.state.sms.sandbox}


@operation("sns", "ListSMSSandboxPhoneNumbers")
def verified(call):
    numbers = sorted(call.state.sms.verified)
    return {"PhoneNumbers": [{"PhoneNumber": number, "Status": "Verified"} for number in numbers]}


@operation("sns", "GetSMSAttributes")
def attributes(call):
    known = {"MonthlySpendLimit": call.state.sms.spend_limit}
    wanted = call.params.get("attributes") or list(known)
    return {"attributes": {name: known[name] for name in wanted if name in known}}

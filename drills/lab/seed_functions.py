"""The seed's Lambda function: in both regions, in the recovery prepared and asleep."""

import uuid

from .patches.functions import Function, kept

NAME, ALIAS = "orders-api", "live"


def functions(account, primary, recovery, document):
    """`live` is version 2 in the primary, and 1 in the recovery, where 2 is published as well."""
    everything = kept(account)
    for region, version in ((primary, "2"), (recovery, "1")):
        found = Function(account.name, region, NAME, ["1", "2", "3"])
        found.alias(ALIAS, version)
        everything["functions"][(region, NAME)] = found
        identifier = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{region}.{account.name}.lab.test"))
        everything["mappings"][(region, identifier)] = {
            "UUID": identifier, "State": "Enabled" if region == primary else "Disabled", "BatchSize": 10,
            "EventSourceArn": f"arn:aws:sqs:{region}:{account.name}:orders", "FunctionArn": f"{found.arn}:{ALIAS}",
        }  # fmt: skip
    found.invokes = list(document.get("invokes", found.invokes))
    found.state = document.get("function_is", found.state)
    found.rest = document.get("provisioned_rests", found.rest)
    names = {region: name for region, name in everything["mappings"]}
    return {
        "function": NAME, "function_alias": ALIAS, "mapping_primary": names[primary],
        "mapping_recovery": names[recovery],
    }  # fmt: skip

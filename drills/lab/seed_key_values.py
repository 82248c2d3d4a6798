"""The seed's KeyValueStore: a function at the edge chooses the origin by its key `origin`."""

import uuid

from .patches.key_values import Store, kept


def store(account, primary):
    """One store; its id follows from the account."""
    identifier = uuid.uuid5(uuid.NAMESPACE_DNS, f"{account.name}.lab.test")
    found = Store(account.name, identifier, {"origin": primary, "maintenance": "off"})
    kept(account)[found.arn] = found
    return {"key_value_store": found.arn}

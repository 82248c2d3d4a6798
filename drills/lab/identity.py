"""What an account has of Cognito: pools with their users, and import jobs.

Kept outside moto, whose pools sign tokens with a package that nothing here needs.
"""

import uuid

from moto.core.utils import utcnow

#: the attributes of every pool (Amazon Cognito Developer Guide, "User pool attributes"), without `sub`
STANDARD = (
    "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
    "website", "email", "email_verified", "gender", "birthdate", "zoneinfo", "locale", "phone_number",
    "phone_number_verified", "address", "updated_at",
)  # fmt: skip


class Pool:
    """A user pool as it is seen in one region."""

    def __init__(self, account, region, name, number, verifies=("email",)):
        self.id = f"{region}_{number:04d}{account}"
        self.arn = f"arn:aws:cognito-idp:{region}:{account}:userpool/{self.id}"
        self.name, self.verifies, self.tier = name, list(verifies), "ESSENTIALS"
        self.users = {}
        self.created = utcnow()

    def shown(self):
        return {
            "Id": self.id, "Name": self.name, "Arn": self.arn, "CreationDate": self.created,
            "LastModifiedDate": self.created, "AutoVerifiedAttributes": self.verifies, "MfaConfiguration": "OPTIONAL",
            "EstimatedNumberOfUsers": len(self.users), "UserPoolTier": self.tier,
            "SchemaAttributes": [{"Name": name} for name in ("sub", *STANDARD)],
        }  # fmt: skip

    def put(self, name, status, attributes):
        """A user with a `sub` of its own: no import brings an old one back."""
        self.users[name] = {"status": status, "attributes": {"sub": str(uuid.uuid4()), **attributes}}


def user(name, found):
    attributes = [{"Name": n, "Value": v} for n, v in found["attributes"].items()]
    return {"Username": name, "UserStatus": found["status"], "Attributes": attributes, "Enabled": True}


class Identity:
    """Pools by region and id, their replicas by id and region, jobs by id, and how old the next jobs will be."""

    def __init__(self):
        self.pools, self.replicas, self.jobs, self.ages = {}, {}, {}, []

    def add(self, account, region, name, **more):
        """A pool that was made in this region."""
        pool = Pool(account, region, name, len(self.pools) + 1, **more)
        self.pools[(region, pool.id)] = pool
        return pool

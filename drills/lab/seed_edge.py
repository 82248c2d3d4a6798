"""The seed's ECS services, distribution and zone."""

from moto.ecs.models import TaskDefinition  # noqa: F401  (loads the backend)

from . import bridge
from .patches import ecs as ecs_patch
from .patches.cloudfront import Distribution
from .patches.route53 import Zone
from .patches.route53_rules import identity, normal_name


def services(account, primary, recovery, names):
    """A cluster in both regions: two tasks each in the primary, none in the recovery."""
    for region, desired in ((primary, 2), (recovery, 0)):
        here = bridge.backend("ecs", account.name, region)
        here.create_cluster("prod")
        for name in names:
            image = {"name": name, "image": f"registry.lab.test/{name}:1", "memory": 128, "essential": True}
            here.register_task_definition(
                family=name, container_definitions=[image], volumes=[], network_mode="bridge",
            )  # fmt: skip
            service = here.create_service("prod", name, desired, task_definition_str=name)
            ecs_patch.show(service, desired, "COMPLETED")
    return {"cluster": "prod"}


def behaviour(origin, pattern=None):
    found = {
        "TargetOriginId": origin, "ViewerProtocolPolicy": "redirect-to-https",
        "AllowedMethods": {
            "Quantity": 3, "Items": ["HEAD", "GET", "OPTIONS"],
            "CachedMethods": {"Quantity": 2, "Items": ["HEAD", "GET"]},
        },
        "SmoothStreaming": False, "Compress": True,
        "LambdaFunctionAssociations": {"Quantity": 0}, "FunctionAssociations": {"Quantity": 0},
        "FieldLevelEncryptionId": "", "TrustedSigners": {"Enabled": False, "Quantity": 0},
        "TrustedKeyGroups": {"Enabled": False, "Quantity": 0},
        "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
    }  # fmt: skip
    return {"PathPattern": pattern, **found} if pattern else found


def origin(identifier, domain, path=""):
    return {
        "Id": identifier, "DomainName": domain, "OriginPath": path,
        "CustomHeaders": {"Quantity": 1, "Items": [{"HeaderName": "x-lab", "HeaderValue": "1"}]},
        "CustomOriginConfig": {
            "HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only",
            "OriginSslProtocols": {"Quantity": 1, "Items": ["TLSv1.2"]},
            "OriginReadTimeout": 30, "OriginKeepaliveTimeout": 5,
        },
        "ConnectionAttempts": 3, "ConnectionTimeout": 10,
        "OriginShield": {"Enabled": False},
    }  # fmt: skip


def config(places):
    """A config with something in every part a whole-config update could lose."""
    return {
        "CallerReference": f"lab-{places['account']}",
        "Aliases": {"Quantity": 1, "Items": [f"www.{places['domain']}"]},
        "DefaultRootObject": "index.html",
        "Origins": {
            "Quantity": 2,
            "Items": [
                origin(places["origin"], places["primary_origin"]),
                origin("static", f"static.{places['domain']}", "/v1"),
            ],
        },
        "OriginGroups": {
            "Quantity": 1,
            "Items": [
                {
                    "Id": "static-or-app",
                    "FailoverCriteria": {"StatusCodes": {"Quantity": 2, "Items": [502, 503]}},
                    "Members": {"Quantity": 2, "Items": [{"OriginId": "static"}, {"OriginId": "app"}]},
                }
            ],
        },
        "DefaultCacheBehavior": behaviour(places["origin"]),
        "CacheBehaviors": {
            "Quantity": 2,
            "Items": [behaviour("static-or-app", "/static/*"), behaviour("app", "/api/*")],
        },
        "CustomErrorResponses": {
            "Quantity": 1,
            "Items": [
                {"ErrorCode": 503, "ResponsePagePath": "/sorry.html", "ResponseCode": "503", "ErrorCachingMinTTL": 10}
            ],
        },
        "Comment": "production & <everything>",
        "Logging": {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""},
        "PriceClass": "PriceClass_100", "Enabled": True,
        "ViewerCertificate": {
            "CloudFrontDefaultCertificate": True, "SSLSupportMethod": "vip",
            "MinimumProtocolVersion": "TLSv1", "CertificateSource": "cloudfront",
        },
        "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
        "WebACLId": "", "HttpVersion": "http2and3", "IsIPV6Enabled": True,
        "ContinuousDeploymentPolicyId": "", "Staging": False,
    }  # fmt: skip


def records(places):
    """The record to move, and one of each kind that a change must not disturb."""
    domain = places["domain"]
    return [
        {"Name": f"app.{domain}", "Type": "CNAME", "TTL": 60,
         "ResourceRecords": [{"Value": places["primary_target"]}]},
        {"Name": f"api.{domain}", "Type": "A", "TTL": 60, "SetIdentifier": "primary",
         "Failover": "PRIMARY", "ResourceRecords": [{"Value": "192.0.2.10"}]},
        {"Name": f"api.{domain}", "Type": "A", "TTL": 60, "SetIdentifier": "secondary",
         "Failover": "SECONDARY", "ResourceRecords": [{"Value": "198.51.100.10"}]},
        {"Name": f"pay.{domain}", "Type": "A", "TTL": 60, "SetIdentifier": places["primary"],
         "Weight": 100, "ResourceRecords": [{"Value": "192.0.2.20"}]},
        {"Name": f"pay.{domain}", "Type": "A", "TTL": 60, "SetIdentifier": places["recovery"],
         "Weight": 0, "ResourceRecords": [{"Value": "198.51.100.20"}]},
        {"Name": f"edge.{domain}", "Type": "A",
         "AliasTarget": {"HostedZoneId": "Z2FDTNDATAQYW2", "EvaluateTargetHealth": False,
                         "DNSName": f"{places['distribution_domain']}."}},
        {"Name": f"*.dev.{domain}", "Type": "A", "TTL": 300,
         "ResourceRecords": [{"Value": "192.0.2.99"}]},
        {"Name": domain, "Type": "TXT", "TTL": 300,
         "ResourceRecords": [{"Value": '"v=spf1 -all"'}, {"Value": '"lab \\"quoted\\" text"'}]},
    ]  # fmt: skip


def edge(account, places):
    """One distribution and one zone; their ids follow from the account."""
    identifier = f"EDRLAB{account.name[-8:]}"
    distribution = Distribution(identifier, account.name, config(places))
    distribution.status = "Deployed"
    account.distributions[identifier] = distribution
    zone = Zone(f"Z0LAB{account.name}", normal_name(places["domain"]), f"lab-{account.name}", "production")
    account.zones[zone.id] = zone
    for record in records({**places, "distribution_domain": distribution.domain}):
        record["Name"] = normal_name(record["Name"])
        zone.records[identity(record)] = record
    zone.served = dict(zone.records)
    return {
        "zone_id": zone.id, "zone_name": places["domain"], "distribution_id": identifier,
        "distribution_domain": distribution.domain, "origin_id": places["origin"],
    }  # fmt: skip

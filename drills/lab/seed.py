"""Production as it stands before the disaster, planted in one call.

The primary region holds what runs; the recovery region holds what a
runbook restores from. The reply names everything a runbook needs.
"""

from . import (
    seed_aurora, seed_backups, seed_cache_global, seed_caches, seed_cognito, seed_data, seed_edge, seed_fence, seed_functions, seed_global,
    seed_iam, seed_key_values, seed_objects, seed_replicas, seed_replication, seed_routing, seed_standing, seed_trust, seed_twins,
)  # fmt: skip

PRIMARY, RECOVERY = "eu-west-1", "eu-central-1"
SERVICES = ("payments", "orders", "web")
TARGETS = {
    "orders": "orders-dr", "users": "users-dr", "sessions": "sessions-dr", "carts": "carts-dr",
}  # fmt: skip


#: what is planted only where it is asked for, and a parameter that only that has
PARTS = {"aurora": "global_cluster", "cache_global": "cache_global", "standing": "app_url"}


def asked_for(document):
    """The parts whose parameters somebody wants, beside those that are named."""
    wanted = document.get("wanted", ())
    return {part: True for part, param in PARTS.items() if param in wanted and part not in document}


def graph_of(targets):
    """What each service stands on, by the names that the runbook will restore to."""
    return {
        "payments": [f"table:{targets['sessions']}"],
        "orders": [f"db:{targets['orders']}", "service:payments"],
        "web": ["service:orders", f"db:{targets['users']}"],
    }


def plant(lab, document):
    """Plants the estate of an account and gives its parameters."""
    name = str(document["account"])
    if len(name) != 12 or not name.isdigit():
        raise ValueError("an account is twelve digits")
    primary = document.get("primary", PRIMARY)
    recovery = document.get("recovery", RECOVERY)
    targets = {**TARGETS, **document.get("targets", {})}
    document = {**document, **asked_for(document)}
    with lab.lock:
        account = lab.account(name)
        account.looks = int(document.get("looks", lab.looks))
        seconds = document.get("seconds", lab.seconds)
        account.seconds = None if seconds is None else float(seconds)
        account.db_rests = list(document.get("db_rests", account.db_rests))
        account.db_groups_late = int(document.get("db_groups_late", account.db_groups_late))
        account.replica_rests = list(document.get("replica_rests", account.replica_rests))
        account.cache_rests = list(document.get("cache_rests", account.cache_rests))
        domain = f"{name}.lab.test"
        places = {
            "account": name, "primary": primary, "recovery": recovery, "cluster": "prod",
            "domain": domain, "name": f"app.{domain}", "origin": "app",
            "primary_origin": f"app-{primary}.{domain}", "recovery_origin": f"app-{recovery}.{domain}",
            "primary_target": f"app-{primary}.{domain}", "recovery_target": f"app-{recovery}.{domain}",
        }  # fmt: skip
        places |= {k: document[k] for k in ("primary_target", "recovery_target") if k in document}
        params = {
            **places, "region_primary": primary, "region_recovery": recovery,
            "services": ",".join(SERVICES), "record": places["name"], "record_type": "CNAME",
            "record_ttl": 60, "desired": 2,
            **{f"target_{source}": target for source, target in targets.items()},
            "endpoint": lab.addresses.get("endpoint"), "dns": lab.addresses.get("dns"),
            "health": lab.addresses.get("health"),
            "health_port": int((lab.addresses.get("health") or ":0").rsplit(":", 1)[1]),
        }  # fmt: skip
        params |= seed_data.databases(account, primary, recovery)
        params |= seed_replicas.replica(
            account, primary, recovery, params["security_group_id"], document.get("encrypted")
        )
        params |= seed_fence.groups(account, primary, recovery)
        if document.get("aurora"):
            params |= seed_aurora.database(account, primary, recovery)
        if document.get("twins"):
            params |= seed_twins.twins(account, primary, recovery, document.get("aurora"))
        params |= seed_data.tables(account, primary, recovery)
        params |= seed_global.tables(account, primary, recovery)
        params |= seed_caches.caches(account, recovery)
        if document.get("cache_global"):
            params |= seed_cache_global.datastore(account, primary, recovery)
        params |= seed_backups.points(account, primary, recovery)
        params |= seed_backups.second(account)
        if document.get("iam"):
            params |= seed_iam.roles(account, primary, recovery, document["iam"] == "drifted")
        params |= seed_trust.roles(account, document.get("roles", []))
        objects, history = seed_objects.buckets(account, primary, recovery, document)
        params |= objects
        params |= seed_replication.buckets(account, primary, recovery)
        params |= seed_cognito.pools(account, primary, recovery, document)
        if document.get("standing"):
            params |= seed_standing.stores(account, primary, recovery, params)
        params |= seed_edge.services(account, primary, recovery, SERVICES)
        params |= seed_edge.edge(account, places)
        params["name_servers"] = [params["dns"]]
        params |= seed_routing.cluster(account, places, params["endpoint"])
        params |= seed_routing.flags(account, places)
        params |= seed_key_values.store(account, primary)
        params |= seed_functions.functions(account, primary, recovery, document)
        account.seed = {
            **places, **history, "graph": document.get("graph") or graph_of(targets),
            "distribution": params["distribution_id"],
            "s3_seconds": bool(document.get("s3_seconds", False)),
            "hosts": [f"{host}.{domain}." for host in (*SERVICES, "www", f"app-{primary}", f"app-{recovery}")],
        }  # fmt: skip
        port = params["health_port"]
        for service in (*SERVICES, "www"):
            params[f"health_{service}"] = f"http://{service}.{domain}:{port}/health"
            params[f"health_path_{service}"] = f"{params['health']}/{name}/{service}/health"
        params["access_key_id"] = f"LAB{name}"
    return params

"""ECS services whose tasks take time to start.

moto sets runningCount to desiredCount in the same breath. Here the count
climbs with each look, pendingCount is the rest, and the deployment is
IN_PROGRESS until they are equal.
"""

import uuid
from datetime import datetime

from .. import bridge
from . import operation, refuse


def store(call):
    return bridge.backend("ecs", call.account, call.region)


def service_of(here, cluster, name):
    """moto's service object, or None."""
    return here.services.get(f"{(cluster or 'default').split('/')[-1]}:{name.split('/')[-1]}")


def key(region, service):
    return ("ecs", region, service.cluster_name, service.name)


def show(service, running, state):
    """Writes the counts where AWS shows them."""
    service.running_count = running
    service.pending_count = max(0, service.desired_count - running)
    for deployment in service.deployments[:1]:
        deployment.update(
            desiredCount=service.desired_count, runningCount=running,
            pendingCount=service.pending_count, rolloutState=state,
            rolloutStateReason=f"ECS deployment {deployment['id']} {state.replace('_', ' ').lower()}.",
            taskDefinition=service.task_definition, updatedAt=datetime.utcnow(),
        )  # fmt: skip


def settle(call, service, start):
    """From `start` tasks to the desired number, over some looks."""
    service.lab_from = start

    def finish():
        show(service, service.desired_count, "COMPLETED")
        del service.deployments[1:]

    show(service, start, "IN_PROGRESS")
    call.state.begin(key(call.region, service), finish)


@operation("ecs", "UpdateService")
def update(call):
    here, params = store(call), call.params
    service = service_of(here, params.get("cluster"), params["service"])
    if service is not None and service.status != "ACTIVE":
        refuse("ServiceNotActiveException", "Service was not ACTIVE.")
    before = service.running_count if service else 0
    was = (service.desired_count, service.task_definition) if service else None
    old = dict(service.deployments[0]) if service and service.deployments else None
    answer = bridge.dispatch(call)
    if answer[0] >= 400 or service is None:
        return answer
    if params.get("taskDefinition"):
        service.task_definition = here.describe_task_definition(params["taskDefinition"]).arn
    fresh = service.task_definition != was[1] or params.get("forceNewDeployment")
    if fresh and old:
        service.deployments[0]["id"] = f"ecs-svc/{uuid.uuid4().int % 10**19}"
        service.deployments[1:] = [{**old, "status": "ACTIVE"}]
        before = 0 if before <= service.desired_count else before
    if fresh or service.desired_count != before:
        settle(call, service, before)
    elif key(call.region, service) not in call.state.under_way:
        show(service, before, "COMPLETED")
    return {"service": service}


@operation("ecs", "CreateService")
def create(call):
    existing = service_of(store(call), call.params.get("cluster"), call.params["serviceName"])
    if existing is not None and existing.status == "ACTIVE":
        refuse("InvalidParameterException", "Creation of service was not idempotent.")
    answer = bridge.dispatch(call)
    service = service_of(store(call), call.params.get("cluster"), call.params["serviceName"])
    if answer[0] >= 400 or service is None:
        return answer
    settle(call, service, 0)
    return {"service": service}


@operation("ecs", "DescribeServices")
def describe(call):
    here = store(call)
    names = call.params.get("services") or []
    if len(names) > 10:
        refuse("InvalidParameterException", "Services cannot contain more than 10 entries")
    for name in names:
        service = service_of(here, call.params.get("cluster"), name)
        if service is None:
            continue
        progress = call.state.under_way.get(key(call.region, service))
        if progress is not None:
            start, goal = service.lab_from, service.desired_count
            call.state.look(key(call.region, service))
            if key(call.region, service) in call.state.under_way:
                part = max(0.0, progress.part() - 1 / max(progress.looks + 1, 2))
                show(service, start + int((goal - start) * part), "IN_PROGRESS")
    return bridge.dispatch(call)


def counts(account, region, cluster, name):
    """(desired, running) of a service, or None when there is none."""
    service = service_of(bridge.backend("ecs", account, region), cluster, name)
    if service is None or service.status != "ACTIVE":
        return None
    return service.desired_count, service.running_count


def state(account):
    """Clusters and services as plain data."""
    found = {}
    for region, here in sorted(bridge.backends("ecs")[account.name].items()):
        services = {
            name: {
                "desired": service.desired_count,
                "running": service.running_count,
                "pending": service.pending_count,
                "status": service.status,
                "task_definition": service.task_definition,
                "rollout": [d.get("rolloutState") for d in service.deployments],
                "tags": {t["key"]: t.get("value", "") for t in service.tags},
            }
            for name, service in here.services.items()
        }
        if services or here.clusters:
            found[region] = {"clusters": sorted(here.clusters), "services": services}
    return found

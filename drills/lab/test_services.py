"""ECS, CloudFront, health, and the dump of two equal runs."""

import copy
import json

from .testing import Estate, LabTest, http


def scale(estate, service, count=2):
    ecs = estate.client("ecs")
    ecs.update_service(cluster="prod", service=service, desiredCount=count)
    for _ in range(4):
        found = ecs.describe_services(cluster="prod", services=[service])["services"][0]
        if found["runningCount"] == count:
            return


def restore_all(estate, run="20261122-061532-evacuate-3fa9"):
    """What a recovery does, the short way."""
    rds, db = estate.client("rds"), estate.client("dynamodb")
    for source in ("orders", "users"):
        rds.restore_db_instance_from_db_snapshot(
            DBInstanceIdentifier=f"{source}-dr", DBSnapshotIdentifier=f"{source}-2026-a10", DBSubnetGroupName="dr-private",
            VpcSecurityGroupIds=[estate.params["security_group_id"]], Tags=[{"Key": "dr:run", "Value": run}],
        )  # fmt: skip
        for _ in range(3):
            rds.describe_db_instances(DBInstanceIdentifier=f"{source}-dr")
    for source in ("sessions", "carts"):
        found = db.list_backups(TableName=source)["BackupSummaries"]
        db.restore_table_from_backup(TargetTableName=f"{source}-dr", BackupArn=found[-1]["BackupArn"])
        for _ in range(3):
            db.describe_table(TableName=f"{source}-dr")
    s3, source = estate.client("s3"), estate.params["bucket_assets_replica"]
    for entry in s3.list_object_versions(Bucket=source, MaxKeys=5)["Versions"]:
        s3.copy_object(
            Bucket=estate.params["bucket_assets_target"], Key=entry["Key"], MetadataDirective="REPLACE",
            CopySource={"Bucket": source, "Key": entry["Key"], "VersionId": entry["VersionId"]},
            Metadata={"dr-run": run, "dr-src-version": entry["VersionId"]},
        )  # fmt: skip
    s3.put_object(Bucket=estate.params["bucket_claim"], Key="claim", Body=json.dumps({"run": run, "at": 1795331990659}).encode())
    for service in ("payments", "orders", "web"):
        scale(estate, service)


def move_edge(estate):
    front = estate.client("cloudfront", "us-east-1")
    who = {"Id": estate.params["distribution_id"]}
    got = front.get_distribution_config(**who)
    config = got["DistributionConfig"]
    config["Origins"]["Items"][0]["DomainName"] = estate.params["recovery_origin"]
    front.update_distribution(**who, IfMatch=got["ETag"], DistributionConfig=config)
    for _ in range(3):
        front.get_distribution(**who)


def move_name(estate):
    r53 = estate.client("route53", "us-east-1")
    new = {"Name": estate.params["record"], "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": estate.params["recovery_target"]}]}
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": new}]}
    made = r53.change_resource_record_sets(HostedZoneId=estate.params["zone_id"], ChangeBatch=changes)
    for _ in range(3):
        r53.get_change(Id=made["ChangeInfo"]["Id"])


class EcsTest(LabTest):
    def test_the_count_climbs(self):
        estate = Estate(looks=3)
        ecs = estate.client("ecs")
        first = ecs.update_service(cluster="prod", service="web", desiredCount=6)["service"]
        self.assertEqual((first["desiredCount"], first["runningCount"], first["pendingCount"]), (6, 0, 6))
        seen = [ecs.describe_services(cluster="prod", services=["web"])["services"][0] for _ in range(4)]
        counts = [s["runningCount"] for s in seen]
        self.assertEqual((counts, counts[-1]), (sorted(counts), 6))
        self.assertLess(counts[2], 6)
        self.assertEqual([s["deployments"][0]["rolloutState"] for s in seen], ["IN_PROGRESS"] * 3 + ["COMPLETED"])
        self.assertTrue(all(s["runningCount"] + s["pendingCount"] == 6 for s in seen))

    def test_what_is_missing(self):
        ecs = Estate().client("ecs")
        found = ecs.describe_services(cluster="prod", services=["web", "nope"])
        self.assertEqual([f["reason"] for f in found["failures"]], ["MISSING"])
        self.refused("ClusterNotFoundException", ecs.describe_services, 400, cluster="nope", services=["web"])
        self.refused("ServiceNotFoundException", ecs.update_service, 400, cluster="prod", service="nope", desiredCount=1)


class CloudFrontTest(LabTest):
    def setUp(self):
        self.estate = Estate()
        self.front = self.estate.client("cloudfront", "us-east-1")
        self.who = {"Id": self.estate.params["distribution_id"]}

    def test_a_whole_config_survives_and_the_tag_turns(self):
        got = self.front.get_distribution_config(**self.who)
        config = copy.deepcopy(got["DistributionConfig"])
        config["Origins"]["Items"][0]["DomainName"] = "elsewhere.lab.test"
        update = self.front.update_distribution
        made = update(**self.who, IfMatch=got["ETag"], DistributionConfig=config)
        self.assertEqual(made["Distribution"]["Status"], "InProgress")
        self.assertNotEqual(made["ETag"], got["ETag"])
        self.refused("PreconditionFailed", update, 412, **self.who, IfMatch=got["ETag"], DistributionConfig=config)
        self.refused("InvalidIfMatchVersion", update, 400, **self.who, DistributionConfig=config)
        again = self.front.get_distribution_config(**self.who)
        self.assertEqual((again["DistributionConfig"], again["ETag"]), (config, made["ETag"]))
        seen = [self.front.get_distribution(**self.who)["Distribution"]["Status"] for _ in range(3)]
        self.assertEqual(seen, ["InProgress", "InProgress", "Deployed"])
        self.assertEqual(self.front.list_distributions()["DistributionList"]["Quantity"], 1)

    def test_a_config_that_does_not_add_up_is_refused(self):
        got = self.front.get_distribution_config(**self.who)
        for change, code, status in (
            (lambda c: c["Origins"].update(Quantity=3), "InconsistentQuantities", 400),
            (lambda c: c["DefaultCacheBehavior"].update(TargetOriginId="nope"), "NoSuchOrigin", 404),
            (lambda c: c.update(CallerReference="other"), "IllegalUpdate", 400),
        ):
            config = copy.deepcopy(got["DistributionConfig"])
            change(config)
            self.refused(code, self.front.update_distribution, status, **self.who, IfMatch=got["ETag"], DistributionConfig=config)
        self.refused("NoSuchDistribution", self.front.get_distribution, 404, Id="ENOPE")

    def test_invalidations_are_told_apart_by_their_reference(self):
        batch = {"Paths": {"Quantity": 1, "Items": ["/*"]}, "CallerReference": "run-1"}
        make = self.front.create_invalidation
        one = make(DistributionId=self.who["Id"], InvalidationBatch=batch)["Invalidation"]
        two = make(DistributionId=self.who["Id"], InvalidationBatch=batch)["Invalidation"]
        self.assertEqual(one["Id"], two["Id"])
        seen = [self.front.get_invalidation(DistributionId=self.who["Id"], Id=one["Id"])["Invalidation"]["Status"] for _ in range(3)]
        self.assertEqual(seen[-1], "Completed")
        self.assertEqual(self.estate.calls()[0]["tokens"], {"CallerReference": "run-1"})


class HealthTest(LabTest):
    def test_a_service_is_well_when_all_it_stands_on_is(self):
        estate = Estate()
        status, reasons = estate.health("web")
        self.assertEqual(status, 503)
        self.assertIn("database orders-dr is not in eu-central-1", reasons)
        self.assertIn("service web runs 0 of 0", reasons)
        restore_all(estate)
        self.assertEqual([estate.health(s)[0] for s in ("payments", "orders", "web")], [200, 200, 200])
        by_path = f"{estate.server['health']}/{estate.name}/web/health"
        self.assertEqual(http(by_path)[0], 200)
        self.assertEqual(len(estate.health("www")[1]), 2)
        move_edge(estate)
        self.assertIn("app-eu-west-1", str(estate.health("www")[1]))
        move_name(estate)
        self.assertEqual(estate.health("www"), (200, None))
        estate.client("ecs").update_service(cluster="prod", service="payments", desiredCount=0)
        status, reasons = estate.health("www")
        self.assertEqual((status, reasons[0].split(" runs")[0]), (503, "service payments"))
        self.assertEqual(estate.health("nope")[0], 503)
        self.assertEqual(http(f"{estate.server['health']}/health")[0], 404)


class DumpTest(LabTest):
    def test_equal_runs_give_equal_dumps(self):
        one, two = Estate(), Estate()
        self.assertEqual(one.dump(mask=True), two.dump(mask=True))
        restore_all(one, "20261122-061532-evacuate-3fa9")
        restore_all(two, "20261123-111111-evacuate-0bc1")
        for estate in (one, two):
            move_edge(estate)
            move_name(estate)
        self.assertEqual(one.dump(mask=True), two.dump(mask=True))
        self.assertNotEqual(one.dump(), two.dump())
        self.assertNotIn(one.name, one.dump(mask=True))
        scale(two, "web", 3)
        self.assertNotEqual(one.dump(mask=True), two.dump(mask=True))

    def test_reading_changes_nothing(self):
        estate = Estate()
        before = estate.dump()
        estate.client("rds").describe_db_instances()
        estate.client("s3").list_buckets()
        estate.client("ecs").list_clusters()
        self.assertEqual(estate.dump(), before)

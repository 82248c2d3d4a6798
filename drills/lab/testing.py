"""What the lab's own tests share: one server, and clients for an account."""

import atexit
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from dnslib import DNSRecord

HERE = os.path.dirname(os.path.abspath(__file__))
PRIMARY, RECOVERY = "eu-west-1", "eu-central-1"
_accounts = itertools.count(100)
_server = {}


def server():
    """The one server of this test run: started at the first need."""
    if _server:
        return _server
    folder = tempfile.mkdtemp(prefix="lab-test-")
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        [sys.executable, os.path.join(HERE, "serve.py"), "--dir", folder, "--looks", "2", "--with-parent"],
        env=env, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    atexit.register(process.terminate)
    place = os.path.join(folder, "lab.json")
    for _ in range(600):
        if os.path.exists(place):
            with open(place, encoding="utf-8") as file:
                _server.update(json.load(file), folder=folder)
            return _server
        if process.poll() is not None:
            raise RuntimeError("the lab did not start")
        time.sleep(0.05)
    raise RuntimeError("the lab is not ready")


def http(url, document=None, headers=None):
    """(status, text) of a GET, or of a POST with a document."""
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Estate:
    """A seeded account of its own, and its clients."""

    def __init__(self, **seed):
        self.server = server()
        self.name = f"{next(_accounts):012d}"
        status, text = http(f"{self.server['admin']}/seed", {"account": self.name, **seed})
        assert status == 200, text
        self.params = json.loads(text)
        self.clients = {}

    def client(self, service, region=RECOVERY, validate=True, **config):
        key = (service, region, validate, tuple(sorted(config.items())))
        if key not in self.clients:
            self.clients[key] = boto3.client(
                service, region_name=region, endpoint_url=self.server["endpoint"],
                aws_access_key_id=f"LAB{self.name}", aws_secret_access_key="any",
                config=Config(
                    retries={"total_max_attempts": 1}, parameter_validation=validate,
                    s3={"addressing_style": "path"}, read_timeout=config.get("read_timeout", 20),
                ),
            )  # fmt: skip
        return self.clients[key]

    def admin(self, path, document=None):
        status, text = http(f"{self.server['admin']}{path}", document)
        assert status == 200, text
        return text

    def fault(self, *rules):
        self.admin("/fault", {"account": self.name, "rules": list(rules)})

    def calls(self, after=0):
        text = self.admin(f"/calls?account={self.name}&after={after}")
        return [json.loads(line) for line in text.splitlines()]

    def dump(self, mask=False):
        return self.admin(f"/dump?account={self.name}&mask={int(mask)}")

    def region(self, region, state, **more):
        self.admin("/region", {"region": region, "state": state, "account": self.name, **more})

    def health(self, service):
        status, text = http(f"{self.server['health']}/health", None, {"Host": f"{service}.{self.name}.lab.test"})
        return status, json.loads(text).get("because")

    def dig(self, name, kind="A", tcp=False):
        host, port = self.server["dns"].split(":")
        return DNSRecord.parse(DNSRecord.question(name, kind).send(host, int(port), tcp=tcp, timeout=5))


class LabTest(unittest.TestCase):
    """Assertions about refusals."""

    def refused(self, code, function, status=None, **params):
        from botocore.exceptions import ClientError

        with self.assertRaises(ClientError) as caught:
            function(**params)
        answer = caught.exception.response
        self.assertEqual(answer["Error"]["Code"], code, answer["Error"])
        if status is not None:
            self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], status)
        return answer["Error"]["Message"]

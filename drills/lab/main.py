"""Starts the five sockets, says where they are, and ends cleanly."""

import argparse
import json
import os
import signal
import threading

from . import VERSION, parse, patches
from .admin import AdminHandler
from .dns import Dns
from .health import HealthHandler
from .http_server import AwsHandler, Server
from .lab import Lab

SERVICES = ("sts", "rds", "route53", "dynamodb", "s3", "ecs", "cloudfront")


def arguments(given):
    parser = argparse.ArgumentParser(prog="lab", description="a local AWS for drills")
    parser.add_argument("--dir", required=True, help="where lab.json and calls.jsonl go")
    parser.add_argument("--port", type=int, default=0, help="AWS endpoint")
    parser.add_argument("--admin-port", type=int, default=0)
    parser.add_argument("--dns-port", type=int, default=0)
    parser.add_argument("--health-port", type=int, default=0)
    parser.add_argument("--looks", type=int, default=2, help="looks until a slow thing is done")
    parser.add_argument("--seconds", type=float, help="seconds until it is done, in place of looks")
    parser.add_argument("--with-parent", action="store_true", help="ends when its parent does")
    return parser.parse_args(given)


def write_whole(path, text):
    """A file that is either not there or complete."""
    beside = f"{path}.{os.getpid()}.new"
    with open(beside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def main(given=None):
    options = arguments(given)
    os.makedirs(options.dir, exist_ok=True)
    place = os.path.join(options.dir, "lab.json")
    if os.path.exists(place):
        os.remove(place)
    parent = os.getppid()
    patches.load()
    lab = Lab(options.dir, options.looks, options.seconds)
    ended = threading.Event()
    servers = [
        Server(options.port, AwsHandler, lab),
        Server(options.admin_port, AdminHandler, lab),
        Server(options.health_port, HealthHandler, lab),
    ]
    servers[1].stop_all = ended.set
    names = Dns(options.dns_port, lab)
    address = [f"http://127.0.0.1:{server.server_address[1]}" for server in servers]
    lab.addresses = {
        "pid": os.getpid(), "endpoint": address[0], "admin": address[1],
        "dns": f"127.0.0.1:{names.port}", "health": address[2],
    }  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    for server in [*servers, names]:
        server.start()
    ready = {**lab.addresses, "started_at": lab.started_at, "version": VERSION}
    write_whole(place, json.dumps(ready) + "\n")
    print(json.dumps(ready), flush=True)
    threading.Thread(target=parse.warm, args=(SERVICES,), daemon=True).start()
    while not ended.wait(1.0):
        if options.with_parent and os.getppid() != parent:
            break
    for server in [*servers, names]:
        server.stop()
    lab.close()
    if os.path.exists(place):
        os.remove(place)
    return 0

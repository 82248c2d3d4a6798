"""A mail from the standard input, as Python's own parser reads it: headers, and the tree of its parts, as JSON."""

import email
import email.policy
import json
import sys


def part(of):
    kind = of.get_content_type()
    found = {"type": kind, "defects": [str(defect) for defect in of.defects]}
    if of.is_multipart():
        found["parts"] = [part(one) for one in of.iter_parts()]
    else:
        found["charset"] = of.get_content_charset()
        found["id"] = of["Content-ID"]
        found["disposition"] = of.get_content_disposition()
        found["text"] = of.get_payload(decode=True).decode().replace("\r\n", "\n")
    return found


mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
headers = [[name, str(value)] for name, value in mail.items()]
defects = [str(defect) for value in mail.values() for defect in value.defects]
people = {name: [[one.display_name, one.addr_spec] for one in mail[name].addresses] for name in ("From", "To")}
json.dump({"headers": headers, "header_defects": defects, "people": people, "body": part(mail)}, sys.stdout)

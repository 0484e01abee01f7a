"""Rights at a broker with an authorizer: what one user is denied. All else is allowed."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.integration.documents import kafka_wire

# For a broker's properties: who comes without SASL (test, checker, the broker itself) may all.
SETTINGS = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS", "allow.everyone.if.no.acl.found": "true"}

# The numbers of the protocol.
TOPIC, GROUP, TRANSACTIONAL_ID = 2, 3, 5
ALL, READ, WRITE = 2, 3, 4
LITERAL, DENY, ALLOW = 3, 2, 3


def _entry(user, kind, name, operation, permission):
    return (kafka_wire.Writer().put("b", kind).string(name).put("b", LITERAL)
            .string(f"User:{user}").string("*").put("bb", operation, permission))


def deny(bootstrap, user, kind, name, operation):
    """This operation alone: where a resource has entries, nothing else is allowed by default."""
    body = kafka_wire.Writer().put("i", 2)
    body.out += _entry(user, kind, name, ALL, ALLOW).out + _entry(user, kind, name, operation,
                                                                  DENY).out
    _call(bootstrap, "CreateAcls", body)


def allow(bootstrap, user, kind, name, operation):
    """Takes back what deny() did."""
    body = kafka_wire.Writer().put("i", 1)
    body.out += _entry(user, kind, name, operation, DENY).out
    _call(bootstrap, "DeleteAcls", body)


def _call(bootstrap, api, body):
    client = kafka_wire.Client(bootstrap)
    reader = client.call(client.bootstrap, api, body)
    reader.get("i")
    for _ in reader.items():
        code, text = reader.get("h"), reader.string()
        kafka_wire.check(code, f"{api}: {text}")
        if api == "DeleteAcls":
            assert reader.get("i") == 1, "there is no such denial"
            break
    client.close()

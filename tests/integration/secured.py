"""What the tests of brokers with users share: passwords that can be looked for, and documents."""
USER = "worker"


def canary(t, what="password"):
    return f"CANARY-{what}-{t.run_id}"


def secret_file(t, text, mode=0o600, name="password"):
    path = t.write(name, text)
    path.chmod(mode)
    return path


def security(bootstrap, path, ca=None):
    """The keys of a document that make its clients speak SASL; with `ca` over TLS."""
    kafka = {"brokers": [bootstrap], "client": {"compression.type": "none"},
             "sasl": {"mechanism": "PLAIN", "username": USER, "password": {"secret": "pw"}}}
    if ca:
        kafka["tls"] = {"ca": str(ca)}
    return {"secrets": {"pw": {"file": str(path)}}, "kafka": kafka}


def last_line(worker):
    return worker.stderr().strip().splitlines()[-1]


def feed(t, source):
    t.kafka.produce(source, [(f"k{n}", f'{{"user_id":"k{n}","amount":1}}') for n in range(40)])

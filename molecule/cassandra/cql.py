"""Run one CQL statement through one node: ADDRESS USER PASSWORD CERTIFICATE STATEMENT."""

from __future__ import annotations

import ssl
import sys

from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import WhiteListRoundRobinPolicy

address, user, password, certificate, statement = sys.argv[1:]
context = ssl.create_default_context(cafile="/etc/cassandra/tls/ca.crt")
if certificate:
    context.load_cert_chain(certificate, certificate.replace(".crt", ".key"))
cluster = Cluster(
    [address],
    auth_provider=PlainTextAuthProvider(user, password),
    ssl_context=context,
    protocol_version=5,
    execution_profiles={EXEC_PROFILE_DEFAULT: ExecutionProfile(WhiteListRoundRobinPolicy([address]))},
)
for row in cluster.connect().execute(statement):
    print(*row)
cluster.shutdown()

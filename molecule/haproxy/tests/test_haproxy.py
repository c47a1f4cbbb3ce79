"""What the role promises, seen on real hosts with real back ends."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from testinfra.host import Host

from lab.hung import wait_until_replaced

INSTANCES = ["edge", "database"]
MAIN_PID = "systemctl show --property=MainPID --value haproxy-{}.service"


def module(host: Host, name: str, **arguments: object) -> dict[str, Any]:
    """Run a module of the collection on the host and return its result, also when it fails."""
    return host.ansible(f"zerospof.temporal.{name}", json.dumps(arguments), check=False)


def address(host: Host) -> str:
    """Return the address on which the edge instance of this host listens besides the VIP."""
    return host.ansible.get_variables()["ansible_host"]


def main_pid(host: Host, instance: str) -> str:
    """Return the process id of the master process of an instance."""
    return host.check_output(MAIN_PID.format(instance))


def python(host: Host, program: str) -> str:
    """Run a Python program on the host and return its output."""
    return host.check_output("python3 -c %s", program)


def names_behind(host: Host, place: str, connections: int) -> set[str]:
    """Return the names of the servers that answer at ``place``; each says its name first."""
    one = (
        f"import socket; print(socket.create_connection({tuple(place.rsplit(':', 1))!r}, 5).recv(64).decode().strip())"
    )
    return {python(host, one) for _ in range(connections)}


@pytest.mark.parametrize("instance", INSTANCES)
def test_each_instance_is_a_service_of_its_own(host: Host, instance: str) -> None:
    service = host.service(f"haproxy-{instance}.service")
    assert service.is_running
    assert service.is_enabled
    assert main_pid(host, "edge") != main_pid(host, "database")


def test_the_packaged_service_cannot_start(host: Host) -> None:
    assert host.check_output("systemctl show --property=LoadState --value haproxy.service") == "masked"


@pytest.mark.parametrize("instance", INSTANCES)
def test_no_process_is_root_and_each_has_files_for_its_connections(host: Host, instance: str) -> None:
    pid = main_pid(host, instance)
    assert host.check_output(f"ps -o user= -p {pid}") == "haproxy"
    assert int(host.check_output(f"awk '/Max open files/ {{print $4}}' /proc/{pid}/limits")) > 2 * 8000


@pytest.mark.parametrize("instance", INSTANCES)
def test_others_can_neither_read_the_configuration_nor_command_the_process(host: Host, instance: str) -> None:
    assert host.file(f"/etc/haproxy/{instance}.cfg").mode == 0o640
    assert host.file(f"/run/haproxy-{instance}").mode == 0o750
    assert host.run(f"runuser -u nobody -- test -r /run/haproxy-{instance}/admin.sock").rc != 0


def test_the_vip_is_served_though_another_host_may_hold_it(host: Host) -> None:
    assert host.socket("tcp://10.89.6.10:7233").is_listening
    assert not host.interface("eth0").addresses.count("10.89.6.10")
    assert host.sysctl("net.ipv4.ip_nonlocal_bind") == 1
    assert "ip_nonlocal_bind=1" in host.file("/etc/sysctl.d/61-zerospof-haproxy.conf").content_string


def test_a_client_speaks_mutual_tls_with_the_frontend_itself(host: Host) -> None:
    arguments = {
        "address": address(host),
        "port": 7233,
        "server_name": "frontend",
        "ca_file": "/etc/haproxy/tls/ca.crt",
    }
    with_certificate = {**arguments, "cert_file": "/etc/haproxy/tls/haproxy.pem"}
    assert module(host, "grpc_health_info", **with_certificate)["status"] == "SERVING"
    assert module(host, "grpc_health_info", **arguments)["status"] == "ERROR"


def test_connections_are_spread_over_all_servers(host: Host) -> None:
    assert names_behind(host, f"{address(host)}:7000", 4) == {"backend-a", "backend-b"}


def test_the_database_is_where_patroni_says(host: Host) -> None:
    assert names_behind(host, "127.0.0.1:5000", 4) == {"backend-a"}


@pytest.mark.parametrize("port", [8405, 8406])
def test_metrics_are_there_for_prometheus(host: Host, port: int) -> None:
    fetch = f"import urllib.request as u; print(u.urlopen('http://{address(host)}:{port}/%s').read().decode())"
    assert "haproxy_server_status" in python(host, fetch % "metrics")
    assert python(host, fetch % "servers").split() == (
        ["frontend", "2", "ui", "2", "echo", "2"] if port == 8405 else ["postgresql", "1"]
    )


def test_five_reloads_lose_no_connection_old_or_new(host: Host) -> None:
    """One connection is used across all reloads, and a new one is made every 10 ms."""
    result = json.loads(
        python(
            host,
            f"""
import json, socket, subprocess, threading, time
place = ({address(host)!r}, 7000)
kept = socket.create_connection(place, 5)
kept.recv(64)
made, errors, over = 0, [], threading.Event()
def connect():
    global made
    while not over.is_set():
        try:
            with socket.create_connection(place, 5) as new:
                if not new.recv(64):
                    raise OSError("closed")
            made += 1
        except OSError as error:
            errors.append(str(error))
        time.sleep(0.01)
thread = threading.Thread(target=connect, daemon=True)
thread.start()
for number in range(5):
    subprocess.run(["systemctl", "reload", "haproxy-edge.service"], check=True)
    time.sleep(0.5)
    kept.sendall(b"%d" % number)
    assert kept.recv(64) == b"%d" % number
over.set()
thread.join()
print(json.dumps([made, errors]))
""",
        )
    )
    made, errors = result
    assert errors == []
    assert made > 20


# Packets of the servers are dropped on their way in, as if their hosts had vanished. A client that begins then may be
# told nothing or be closed, but not be forgotten; neither may those that were connected before.
VANISH = """
import asyncio, json, subprocess, sys
place, servers = ({address!r}, 7000), {servers!r}
forgotten, kept = [], []
async def begin():
    reader, writer = await asyncio.open_connection(*place)
    kept.append(writer)
    # So much that it cannot be sent before the server is connected to.
    writer.write(bytes(1400))
    return reader
async def ends(what, reader):
    try:
        while await asyncio.wait_for(reader.read(65536), 20):
            pass
    except asyncio.TimeoutError:
        forgotten.append(what)
    except OSError:
        pass
async def main():
    before = [await begin() for _ in range(8)]
    rules = "add chain ip vanish input {{ type filter hook input priority -300; }}\\n"
    rules += "add rule ip vanish input ip saddr {{ " + servers + " }} drop\\n"
    subprocess.run(["nft", "-f", "-"], input=b"add table ip vanish\\n" + rules.encode(), check=True)
    try:
        waiting = [asyncio.create_task(ends("before", reader)) for reader in before]
        for _ in range(200):
            waiting.append(asyncio.create_task(ends("after", await begin())))
            await asyncio.sleep(0.02)
        await asyncio.gather(*waiting)
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "vanish"], check=True)
    print(json.dumps(forgotten))
asyncio.run(main())
"""


def test_no_client_is_forgotten_when_servers_vanish_while_it_connects(host: Host) -> None:
    forgotten = json.loads(python(host, VANISH.format(address=address(host), servers="10.89.6.21, 10.89.6.22")))
    for server in ("backend-a", "backend-b"):
        for proxy in ("frontend", "ui", "echo"):
            place = {"socket": "/run/haproxy-edge/admin.sock", "proxy": proxy, "server": server}
            assert module(host, "haproxy_server", **place, state="ready", wait=30)["server"]["status"] == "UP"
    assert forgotten == []


def test_a_drained_server_stays_drained_over_a_reload_and_comes_back(host: Host) -> None:
    place = {"socket": "/run/haproxy-edge/admin.sock", "proxy": "echo", "server": "backend-a"}
    try:
        drained = module(host, "haproxy_server", **place, state="drain", health="disabled")
        assert drained["changed"]
        assert not module(host, "haproxy_server", **place, state="drain", health="disabled")["changed"]
        host.check_output("systemctl reload haproxy-edge.service && sleep 1")
        assert names_behind(host, f"{address(host)}:7000", 4) == {"backend-b"}
        kept = module(host, "haproxy_server", **place, state="drain")
        assert (kept["changed"], kept["server"]["checked"]) == (False, False)
    finally:
        back = module(host, "haproxy_server", **place, state="ready", health="enabled", wait=20)
    assert back["server"]["status"] == "UP"
    assert names_behind(host, f"{address(host)}:7000", 4) == {"backend-a", "backend-b"}


def test_the_last_server_that_clients_can_use_is_not_drained(host: Host) -> None:
    place = {"socket": "/run/haproxy-edge/admin.sock", "proxy": "echo"}
    try:
        assert module(host, "haproxy_server", **place, server="backend-b", state="drain")["changed"]
        refused = module(host, "haproxy_server", **place, server="backend-a", state="drain")
        assert "backend-a is the last one of echo that clients can use (backend-b DRAIN" in refused["msg"]
        assert names_behind(host, f"{address(host)}:7000", 4) == {"backend-a"}
    finally:
        module(host, "haproxy_server", **place, server="backend-b", state="ready", wait=20)


def test_check_mode_of_the_server_module_tells_and_does_nothing(host: Host) -> None:
    arguments = {"socket": "/run/haproxy-edge/admin.sock", "proxy": "echo", "server": "backend-a", "state": "drain"}
    told = host.ansible("zerospof.temporal.haproxy_server", json.dumps(arguments), check=True)
    assert told["changed"]
    assert told["server"]["state"] == "ready"


# HAProxy itself says that backend-a has a connection (the fifth column of its statistics).
HELD = """
until echo show stat | socat stdio /run/haproxy-edge/admin.sock | grep -qE '^echo,backend-a,[0-9]*,[0-9]*,[1-9]'; do
    sleep 0.1
done
"""

# Goes on to connect: on a busy machine a server may be taken for dead for a while, and gets none of the first.
HOLD = """
import socket, time
kept = []
for _ in range(60):
    kept.append(socket.create_connection(({address!r}, 7000)))
    time.sleep(0.5)
time.sleep(60)
"""


def test_draining_waits_for_connections_and_names_them_when_they_stay(host: Host) -> None:
    hold = HOLD.format(address=address(host))
    host.check_output("systemd-run --quiet --unit=holder python3 -c %s", hold)
    place = {"socket": "/run/haproxy-edge/admin.sock", "proxy": "echo", "server": "backend-a"}
    try:
        host.check_output("timeout 60 sh -c %s", HELD)
        refused = module(host, "haproxy_server", **place, state="drain", wait=1)
        assert re.search(r"still has [1-9]\d* connections", refused["msg"])
        host.check_output("systemctl stop holder.service")
        assert not module(host, "haproxy_server", **place, state="drain", wait=5).get("failed")
    finally:
        host.run("systemctl stop holder.service")
        module(host, "haproxy_server", **place, state="ready")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"server": "backend-z"}, "there is no server echo/backend-z; there are: frontend/backend-a"),
        ({"socket": "/run/haproxy-other/admin.sock"}, "does not answer on /run/haproxy-other/admin.sock"),
    ],
)
def test_a_server_that_is_not_there_is_refused_by_name(host: Host, change: dict[str, str], reason: str) -> None:
    arguments = {"socket": "/run/haproxy-edge/admin.sock", "proxy": "echo", "server": "backend-a", "state": "drain"}
    assert reason in module(host, "haproxy_server", **{**arguments, **change})["msg"]


def test_an_instance_that_hangs_is_ended_and_started_again(host: Host) -> None:
    wait_until_replaced(host, MAIN_PID.format("database"), "haproxy-database*", unit="haproxy-database.service")
    journal = host.check_output("journalctl --no-pager -u haproxy-database-guard.service")
    assert "haproxy-database.service hangs" in journal
    host.run_test("systemctl is-active --quiet haproxy-edge.service")

"""Command line of the lab: ``python -m lab --help``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import disks, faults, hosts, images, inventory, machine, state
from lab.machine import LabError


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    lab = argparse.ArgumentParser(add_help=False)
    lab.add_argument("--name", default="lab", help="name of the lab (default: lab)")

    up = commands.add_parser("up", parents=[lab], help="start the hosts of an inventory, or what is missing of them")
    up.add_argument("--inventory", type=Path, required=True, help="inventory directory or file")
    up.add_argument("--subnet", help="a /24 to use instead of the one written in the inventory")
    systems = sorted(images.recipes())
    up.add_argument("--image", choices=systems, help="operating system of all hosts instead of what the inventory says")
    up.add_argument("--disks", action="store_true", help="databases have disks of their own, which can be full")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[lab], help="remove a lab and all that belongs to it")
    down.add_argument("--all", action="store_true", help="every lab, the images and all other traces on this machine")
    down.add_argument("--tests", action="store_true", help="every lab of the tests, whichever checkout made it")
    down.add_argument("--missing-ok", action="store_true", help="no error when there is no such lab")
    down.set_defaults(run=_down)

    status = commands.add_parser("status", parents=[lab], help="hosts, zones, addresses and active faults")
    status.set_defaults(run=_status)

    ssh = commands.add_parser("ssh", parents=[lab], help="a shell or one command on a host")
    ssh.add_argument("host")
    ssh.add_argument("remote", nargs=argparse.REMAINDER, metavar="COMMAND")
    ssh.set_defaults(run=_ssh)
    _add_faults(commands, lab)
    return top


def _add_faults(commands: argparse._SubParsersAction[argparse.ArgumentParser], lab: argparse.ArgumentParser) -> None:
    timed = argparse.ArgumentParser(add_help=False, parents=[lab])
    timed.add_argument(
        "--for",
        dest="seconds",
        type=_positive,
        default=faults.DEFAULT_SECONDS,
        metavar="SECONDS",
        help=f"heal after so many seconds (default: {faults.DEFAULT_SECONDS})",
    )

    def add(name: str, help_text: str, **defaults: object) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[timed], help=help_text)
        none = {"others": [], "milliseconds": 0.0, "jitter": 0.0, "loss": 0.0, "process": "", "file": ""}
        command.set_defaults(run=_inject, **none, **defaults)
        return command

    def of_process(command: argparse.ArgumentParser) -> None:
        command.add_argument("targets", nargs="+", help=hosts_help)
        command.add_argument(
            "--process", required=True, help="all of a unit, NAME.service, or the oldest process of that name"
        )

    hosts_help = "hosts, or zones such as az_b"
    add("kill-host", "power off hosts at once", kind="kill").add_argument("targets", nargs="+", help=hosts_help)
    add("kill-az", "power off a zone at once", kind="kill").add_argument("targets", nargs=1, type=_zone, metavar="AZ")
    add("pause-host", "freeze all processes of hosts", kind="pause").add_argument("targets", nargs="+", help=hosts_help)
    of_process(add("pause-process", "freeze a process of hosts", kind="pause-process"))
    kill_process = commands.add_parser("kill-process", parents=[lab], help="kill a process of hosts, once")
    kill_process.set_defaults(run=_kill_process)
    of_process(kill_process)
    cut = add("cut-az", "drop all packets between a zone and the rest, silently", kind="cut")
    cut.add_argument("targets", nargs=1, type=_zone, metavar="AZ")
    cut_host = add("cut-host", "drop all packets between hosts and the rest, silently", kind="cut")
    cut_host.add_argument("targets", nargs="+", help=hosts_help)
    one_way = add("cut-one-way", "drop the packets that go from one host or zone to another", kind="cut-one-way")
    one_way.add_argument("targets", nargs=1, metavar="FROM")
    one_way.add_argument("others", nargs=1, metavar="TO")
    latency = add("latency", "add milliseconds to every packet on its way to hosts", kind="latency")
    latency.add_argument("targets", nargs="+", help=hosts_help)
    latency.add_argument("--milliseconds", type=_positive, required=True)
    latency.add_argument("--jitter", type=_positive, default=0.0, metavar="MILLISECONDS")
    latency.add_argument("--loss", type=_positive, default=0.0, metavar="PERCENT")
    names = add("forget-names", "let hosts find no name any more: neither in /etc/hosts nor by DNS", kind="names")
    names.add_argument("targets", nargs="+", help=hosts_help)
    expire = add("expire-certificate", "put one in place of a certificate whose time is over", kind="certificate")
    expire.add_argument("targets", nargs="+", help=hosts_help)
    expire.add_argument("--file", required=True, help="file on the hosts, issued by the authority of the lab")

    fill = add("fill-disk", "leave nothing of a disk that hosts have for a directory alone", kind="disk")
    fill.add_argument("targets", nargs="+", help=hosts_help)
    fill.add_argument("--directory", dest="file", required=True, help="where it is mounted")

    start = commands.add_parser("start-host", parents=[lab], help="bring killed or paused hosts back")
    start.add_argument("targets", nargs="+", help=hosts_help)
    start.set_defaults(run=_start_host)
    heal = commands.add_parser("heal", parents=[lab], help="end all faults, or those named")
    heal.add_argument("faults", nargs="*", metavar="FAULT")
    heal.set_defaults(run=_heal)
    for name, body in (("_watchdog", faults.watch), ("_delay", faults.delay_packets)):
        internal = commands.add_parser(name, parents=[lab])
        internal.add_argument("fault")
        internal.add_argument("token")
        internal.set_defaults(run=_background, body=body)


def _positive(value: str) -> float:
    number = float(value)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{value} is not above 0")
    return number


def _zone(value: str) -> str:
    return value if value.startswith("az_") else f"az_{value}"


def _up(options: argparse.Namespace) -> None:
    started = time.monotonic()
    path = options.inventory.resolve()
    groups = inventory.listing(path)
    found = inventory.read_hosts(groups, options.image)
    written = inventory.subnet_of(found)
    subnet = inventory.parse_subnet(options.subnet or written)
    members = tuple(
        state.Host(host.name, inventory.remap(host.address, written, subnet), host.zone, host.image) for host in found
    )
    # Disks that were made stay.
    disky = options.disks or (options.name in state.names() and state.load(options.name).disks)
    lab = state.Lab(state.check_name(options.name), subnet, str(path), members, disky)
    machine.prepare()
    with faults.locked(lab):
        faults.heal_all(lab)
        state.save(lab)
        overlay = inventory.write_overlay(lab, inventory.host_variables(groups, found, written, subnet))
        if lab.disks:
            disks.provide(groups)
        with ThreadPoolExecutor(1) as beside:
            complete = beside.submit(inventory.write_complete, lab)
            hosts.up(lab)
        complete.result()
        if lab.disks:
            disks.make(lab, groups)
    machine.say(f"{lab.name} is up after {time.monotonic() - started:.1f} s")
    machine.say(f"use it: ansible-playbook -i {os.path.relpath(path)} -i {os.path.relpath(overlay)} playbooks/site.yml")


def _down(options: argparse.Namespace) -> None:
    if options.missing_ok and options.name not in state.names():
        machine.say(f"{options.name} is not there")
        return
    machine.prepare()
    names = state.names() if options.all else list(filter(machine.is_of_tests, state.names()))
    for name in names if options.all or options.tests else [options.name]:
        lab = state.load(name)
        with faults.locked(lab):
            faults.forget(lab)
            if hosts.owner(lab) == str(lab.directory):
                hosts.down(lab)
            hosts.remove_state(lab.directory)
        machine.say(f"{lab.name} is gone")
    if options.all:
        machine.remove_everything()
    elif options.tests:
        machine.remove_hosts(tests_only=True)


def _status(options: argparse.Namespace) -> None:
    lab = state.load(options.name)
    machine.prepare()
    with faults.locked(lab):
        faults.heal_expired(lab)
    found = hosts.states(lab)
    print(f"lab {lab.name}  {lab.subnet}  inventory {lab.inventory}")
    for host in lab.hosts:
        power = found.get(lab.container(host), "absent")
        print(f"  {host.name:20} {host.address:15} {host.zone or '-':6} {host.image:10} {power}")
    for fault in faults.active(lab):
        print(f"  fault {fault.name} on {', '.join(fault.hosts)}: heals itself in {fault.remaining(time.time()):.0f} s")


def _ssh(options: argparse.Namespace) -> None:
    lab = state.load(options.name)
    os.execvp("ssh", [*inventory.ssh_command(lab, lab.host(options.host)), *options.remote])


def _inject(options: argparse.Namespace) -> None:
    lab = state.load(options.name)
    targets, others = (tuple(host.name for host in lab.pick(names)) for names in (options.targets, options.others))
    if set(targets) & set(others):
        raise LabError(f"{', '.join(sorted(set(targets) & set(others)))} is on both sides of the cut")
    words = [options.kind, *options.targets, *(["to", *options.others] if others else [])]
    words += [options.process] if options.process else []
    words += [Path(options.file).name] if options.file else []
    fault = faults.Fault(
        name="-".join(words),
        kind=options.kind,
        hosts=targets,
        others=others,
        deadline=time.time() + options.seconds,
        delay=(options.milliseconds, options.jitter, options.loss),
        process=options.process,
        file=options.file,
    )
    machine.prepare()
    with faults.locked(lab):
        faults.inject(lab, fault)
    machine.say(f"{fault.name}: {', '.join(targets)}; heals itself in {options.seconds:.0f} s")


def _kill_process(options: argparse.Namespace) -> None:
    lab = state.load(options.name)
    targets = tuple(host.name for host in lab.pick(options.targets))
    machine.prepare()
    with faults.locked(lab):
        faults.kill_process(lab, targets, options.process)
    machine.say(f"killed {options.process} on {', '.join(targets)}")


def _start_host(options: argparse.Namespace) -> None:
    lab = state.load(options.name)
    members = lab.pick(options.targets)
    machine.prepare()
    with faults.locked(lab):
        for host in members:
            faults.start_host(lab, host)


def _heal(options: argparse.Namespace) -> None:
    lab = state.load(options.name)
    machine.prepare()
    with faults.locked(lab):
        healed = faults.heal_all(lab, options.faults)
    machine.say(f"healed: {', '.join(healed) or 'nothing was broken'}")


def _background(options: argparse.Namespace) -> None:
    options.body(state.load(options.name), options.fault, options.token)


def main() -> int:
    """Run one command; errors are one line and exit code 1."""
    options = parser().parse_args()
    try:
        machine.require_root()
        options.run(options)
    except LabError as error:
        print(f"lab: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/bin/sh
# Last step of an image build, run by mmdebstrap: $1 is the new root, $2 a directory with the files
#   cached_packages   names to download into the apt archive cache
#   ca/*.crt          certificate authorities of this machine
#   apt.conf pip.conf environment   client settings of this machine
#   compile_cache.py  start-up hook of Python
set -eu
root=$1
input=$2

cp "$input/pip.conf" "$root/etc/pip.conf"
cp "$input/apt.conf" "$root/etc/apt/apt.conf.d/90lab"
cat "$input/environment" >>"$root/etc/environment"
mkdir -p "$root/usr/local/share/ca-certificates"
find "$input/ca" -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates/" ';'
chroot "$root" update-ca-certificates >/dev/null

# Every host is made from this image: an identity of its own is made at its first boot.
: >"$root/etc/machine-id"
touch "$root/etc/.updated" "$root/var/.updated" # no catalogue to rebuild at the first boot
rm -f "$root/var/lib/dbus/machine-id"

# Units that a container cannot or must not run: they would act on the machine, or wait for devices.
chroot "$root" systemctl mask --quiet \
    systemd-modules-load.service systemd-udevd.service systemd-logind.service systemd-resolved.service \
    systemd-networkd-wait-online.service getty@tty1.service console-getty.service getty.target \
    proc-sys-fs-binfmt_misc.automount apt-daily.timer apt-daily-upgrade.timer tmp.mount
chroot "$root" systemctl enable --quiet ssh.service
mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/ssh/sshd_config.d" "$root/root/.ssh"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n' >"$root/etc/systemd/journald.conf.d/lab.conf"
# An Ansible run of 14 hosts opens many sessions at once.
printf 'UseDNS no\nMaxStartups 100\nMaxSessions 100\n' >"$root/etc/ssh/sshd_config.d/lab.conf"
chmod 0700 "$root/root/.ssh"

# Speed: the disk of a lab host need not survive a power cut of the machine, and nobody reads translated descriptions.
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/lab"
echo 'Acquire::Languages "none";' >>"$root/etc/apt/apt.conf.d/90lab"

# shellcheck disable=SC2046
chroot "$root" apt-get install --quiet=2 --yes --download-only --no-install-recommends \
    $(cat "$input/cached_packages")

# Speed: a host reads its package lists at every question about packages, a second of the processor each. They shrink to what
# is installed or waits in the archive cache, with what that needs.
names=$(mktemp)
{
    chroot "$root" dpkg-query --show --showformat '${Package}\n'
    find "$root/var/cache/apt/archives" -name '*.deb' -printf '%f\n' | cut -d_ -f1
} | sort -u >"$names"
for list in "$root"/var/lib/apt/lists/*_Packages; do
    awk -v ORS='\n\n' -v names="$names" \
        'BEGIN { while ((getline name < names) > 0) known[name] = 1; RS = "" } $2 in known' "$list" >"$list.short"
    touch --reference="$list" "$list.short"
    mv "$list.short" "$list"
done
rm "$names"
chroot "$root" apt-cache gencaches --quiet=2

# Speed: see there.
for directory in "$root"/etc/python3.*; do
    cp "$input/compile_cache.py" "$directory/sitecustomize.py"
done

#!/bin/sh
# Turns a fresh Debian root into a guest system. mmdebstrap runs it outside the root, as root of
# its namespace, with the root's path.
set -eu
root=$1

# On a first boot systemd enables units by preset, and asks for whatever is missing.
echo perfsec >"$root/etc/hostname"
echo 00000000000000000000000000000001 >"$root/etc/machine-id"
touch "$root/etc/.updated" "$root/var/.updated"

# A login user in the domain of an ordinary user; root stays in its own.
chroot "$root" useradd --create-home --shell /bin/bash user
# In the store, from which each build of the policy writes seusers.
echo 'user:user_u:s0' >>"$root/var/lib/selinux/default/active/seusers.local"

# root and the user log in on the console without a password, and nowhere else: both passwords are
# locked.
pam=$root/etc/pam.d/login
{
    echo 'auth sufficient pam_succeed_if.so quiet user in root:user tty in ttyS0:/dev/ttyS0'
    cat "$pam"
} >"$pam.new"
mv "$pam.new" "$pam"
: >"$root/etc/motd"
printf '\nA perfsec guest system: log in as root or user. %s\n\n' \
    '`systemctl poweroff` (as root) ends it.' >"$root/etc/issue"

# The stock unit waits for a device unit, which only udev makes.
unit=etc/systemd/system/serial-getty@.service
sed -e '/^BindsTo=dev-/d' -e '/^After=/s/dev-%i.device //' -e 's/^Type=idle/Type=simple/' \
    "$root/usr/lib/systemd/system/serial-getty@.service" >"$root/$unit"

# The units of the system without those that need hardware, a disk, a network or a message bus, or
# do at each boot what the image has done already.
for unit in \
    apt-daily-upgrade.timer apt-daily.timer dpkg-db-backup.timer fstrim.timer \
    dbus.service dbus.socket \
    dev-hugepages.mount dev-mqueue.mount run-lock.mount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount proc-sys-fs-binfmt_misc.automount \
    e2scrub_reap.service e2scrub_all.timer \
    getty@tty1.service getty-static.service \
    kmod-static-nodes.service modprobe@.service systemd-modules-load.service \
    remote-fs.target \
    selinux-autorelabel-mark.service \
    systemd-ask-password-console.path systemd-ask-password-wall.path \
    systemd-binfmt.service systemd-creds.socket systemd-firstboot.service \
    systemd-hibernate-clear.service systemd-hostnamed.socket systemd-hwdb-update.service \
    systemd-initctl.socket systemd-journal-catalog-update.service systemd-journal-flush.service \
    systemd-logind.service systemd-machine-id-commit.service \
    systemd-network-generator.service systemd-pcrextend.socket systemd-pcrlock.socket \
    systemd-pcrmachine.service systemd-pcrphase-sysinit.service systemd-pcrphase.service \
    systemd-pstore.service systemd-random-seed.service systemd-sysext.socket \
    systemd-sysusers.service systemd-timesyncd.service systemd-tmpfiles-clean.timer \
    systemd-tmpfiles-setup-dev-early.service systemd-tmpfiles-setup-dev.service \
    systemd-tpm2-setup-early.service systemd-tpm2-setup.service \
    systemd-udev-load-credentials.service systemd-udev-trigger.service systemd-udevd.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-update-done.service \
    ldconfig.service
do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# The journal has audit's records too, and is in memory as everything is.
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/perfsec.conf"
if [ -e "$root/usr/lib/systemd/system/systemd-journald-audit.socket" ]; then
    mkdir -p "$root/etc/systemd/system/sockets.target.wants"
    ln -sf /usr/lib/systemd/system/systemd-journald-audit.socket \
        "$root/etc/systemd/system/sockets.target.wants/systemd-journald-audit.socket"
fi

# The agent, once everything else has started, or has failed: it says so.
cat >"$root/etc/systemd/system/perfsec.service" <<'EOF'
[Unit]
Description=perfsec's agent
DefaultDependencies=no
After=multi-user.target emergency.target rescue.target
FailureAction=poweroff-immediate

[Service]
Type=exec
ExecStart=/init
# As in a guest with nothing but the agent, so that cells see the same.
SELinuxContext=system_u:system_r:kernel_t:s0
KeyringMode=inherit
OOMScoreAdjust=-1000
EOF
for target in multi-user emergency rescue; do
    mkdir -p "$root/etc/systemd/system/$target.target.wants"
    ln -sf /etc/systemd/system/perfsec.service \
        "$root/etc/systemd/system/$target.target.wants/perfsec.service"
done
ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

# Linux reads version 33 of the binary format since 5.7. A policy in another version would be
# converted at each boot.
echo 'policy-version = 33' >>"$root/etc/selinux/semanage.conf"
chroot "$root" semodule --build --noreload
grep -q '^user:user_u:s0$' "$root/etc/selinux/default/seusers"
find "$root/etc/selinux/default/policy" -name 'policy.*' ! -name policy.33 -delete

# Nothing of the host, and nothing that only packages need. /tmp is left to mmdebstrap, whose
# configuration of apt is in it: without that, its last apt-get works on the host's lists.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
    "$root"/var/lib/dpkg/*-old "$root"/var/log/* "$root"/boot/* \
    "$root"/etc/apt/sources.list* "$root"/etc/apt/apt.conf.d/99mmdebstrap \
    "$root"/usr/lib/udev/hwdb.bin "$root"/etc/resolv.conf
find "$root/usr/lib/python3/dist-packages" -type d -name tests -prune -exec rm -r {} +
mkdir -p "$root/var/log/audit" "$root/var/log/journal"
chmod 700 "$root/var/log/audit"
rmdir "$root/var/log/journal"

mkdir -p "$root/perfsec"
chroot "$root" dpkg-query --show >"$root/perfsec/packages"
# The label of every file, as setfiles finds it: an initramfs holds no extended attributes.
chroot "$root" setfiles -n -v -F -e /dev -e /proc -e /run -e /sys \
    /etc/selinux/default/contexts/files/file_contexts / >"$root/perfsec/labels"

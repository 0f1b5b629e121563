# Prints what a run could leave changed, without what changes by itself.
cd /
cat /sys/fs/selinux/enforce; echo
cat /sys/fs/selinux/avc/cache_threshold; echo
sha256sum </sys/fs/selinux/policy
getsebool -a
# In the domain of the shell: the files of the guest have no labels that semodule may read.
runcon "$(id -Z)" semodule -lfull
cut -d' ' -f1 /proc/modules | sort
auditctl -s | grep -v -e '^lost' -e '^backlog ' -e actual
auditctl -l
cat /proc/mounts
ls /sys/kernel/tracing/instances
cat /sys/kernel/tracing/kprobe_events
cat /sys/kernel/rcu_expedited
grep -rs . /proc/sys/kernel /proc/sys/fs /proc/sys/net/core /proc/sys/vm |
    grep -v -e random/ -e ns_last_pid -e -state -e -nr -e cad_pid
# Of processes with a command line: others are the kernel's.
for process in /proc/[0-9]*; do
    tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep .
done | grep -v -e state.sh -e '^tr ' -e '^grep ' -e '^sort ' -e '^uniq ' | sort | uniq -c
find / -xdev -printf '%p %y %s %m %U %Z\n' | grep -v -e '^/root' -e '^/var/log' | sort
ls -A /tmp /run

/*
 * open/cpu-kernel/none_t/paranoid=2/perfmon/permissive
 *
 * a system-wide event asks for open, kernel and cpu, in that order
 *   from Documentation/admin-guide/perf-security.rst, 'perf_events access control': level 0
 *   from kernel/events/core.c, find_get_context(): perf_allow_cpu()
 *   from the thread '[PATCH v5 01/10] capabilities: introduce CAP_PERFMON', its three
 *        file-capability settings
 *
 *   cc -Wall -Werror -o reproducer reproducer.c && ./reproducer    (as root)
 *
 * returns 0 if the kernel does what is expected of Linux 6.12, 1 if it does something else, 4 if
 * it cannot be seen here. A policy without the domain needs the module below:
 *
 *   sed -n '/^(/p' reproducer.c >reproducer.cil && semodule -i reproducer.cil
 *
(type none_t) (roletype unconfined_r none_t) (typeattributeset domain (none_t))
(allow none_t file_type (file (all))) (allow none_t file_type (dir (all)))
(allow none_t unconfined_t (fifo_file (all)))
(allow none_t unconfined_t (netlink_audit_socket (all)))
(allow unconfined_t none_t (process (all))) (allow none_t none_t (fd (all)))
(allow none_t none_t (process (all))) (allow none_t unconfined_t (fd (all)))
(allow none_t unconfined_t (process (all)))
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { AUDIT = 100, ANY = 1 << 30 };	/* a descriptor; any success */
static int differences;
static struct vfs_cap_data caps = {
	.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
	.data[1].permitted = CAP_TO_MASK(CAP_PERFMON) };

static struct perf_event_attr attr = {
	.type = PERF_TYPE_SOFTWARE,
	.size = sizeof(struct perf_event_attr),
	.config = PERF_COUNT_SW_CPU_CLOCK,
};

/* Compares a step with the expected result and AVC records, which are patterns, one a line. */
static long check(const char *call, long result, long expected, const char *records)
{
	struct { struct nlmsghdr head; char text[8192]; } m;
	char *rest = strdup(records), *want = strsep(&rest, "\n");

	result = result == -1 ? -errno : result;
	dprintf(1, "%s = %ld %s\n", call, result, result < 0 ? strerror(-result) : "");
	if (expected == ANY ? result < 0 : result != expected)
		differences += dprintf(1, "- expected %ld %s\n", expected, expected < 0 ?
			strerror(-expected) : expected == ANY ? "or any success" : "") > 0;
	dprintf(1, "%c", '\0');		/* the parent puts a mark behind the last record */
	do {
		memset(&m, 0, sizeof m);
		if (recv(AUDIT, &m, sizeof m - 1, 0) < 0)
			err(4, "read the audit log");
		char *record = strstr(m.text, "avc:");
		if (m.head.nlmsg_type == AUDIT_AVC && record && strstr(record, " comm=\"subject\" ")) {
			int same = want && !fnmatch(want, record, 0);
			dprintf(1, "%c %s\n", same ? ' ' : '+', record);
			differences += !same;
			if (same && *want != '*')
				want = strsep(&rest, "\n");
		}
	} while (m.head.nlmsg_type != AUDIT_USER_AVC || !strstr(m.text, "the end"));
	for (; want && *want && *want != '*'; want = strsep(&rest, "\n"))
		differences += dprintf(1, "- %s\n", want) > 0;
	return result;
}

static void subject(void)
{
	/* cap perfmon = granted, which leaves no record */
	/* cap perfmon = granted, which leaves no record */
	check("perf_event_open(software/cpu-clock, pid=-1, cpu=0)",
	      syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0), ANY,
	      "avc:  denied  { open } for  pid=* comm=\"subject\" scontext=*:none_t* "
	      "tcontext=*:none_t* tclass=perf_event permissive=1\n"
	      "avc:  denied  { perfmon } for  pid=* comm=\"subject\" capability=38  "
	      "scontext=*:none_t* tcontext=*:none_t* tclass=capability2 permissive=1\n"
	      "avc:  denied  { kernel } for  pid=* comm=\"subject\" scontext=*:none_t* "
	      "tcontext=*:none_t* tclass=perf_event permissive=1\n"
	      "avc:  denied  { cpu } for  pid=* comm=\"subject\" scontext=*:none_t* "
	      "tcontext=*:none_t* tclass=perf_event permissive=1");
}

/* Changes a setting; returns what it was. */
static char *set(const char *file, const char *text)
{
	int fd = open(file, O_RDWR);
	char *old = calloc(1, 64);

	if (read(fd, old, 63) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		err(4, "%s", file);
	close(fd);
	return old;
}

int main(int argc, char **argv)
{
	struct { struct nlmsghdr head; char text[8]; } mark = {
		{ sizeof mark, AUDIT_USER_AVC, NLM_F_REQUEST }, "the end" };
	struct sockaddr_nl readers = { AF_NETLINK, .nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1) };
	char user[64], role[64], type[64], level[256] = "", context[512];
	FILE *own = fopen("/proc/self/attr/current", "r"), *output;
	int pipes[2], letter, status, copy, marks = 0;

	if (argc > 1) {			/* the copy of this program in the domain */
		check("start", 0, 0, "*");
		subject();
		return !!differences;
	}
	if (!own || fscanf(own, "%63[^:]:%63[^:]:%63[^:]%255s", user, role, type, level) < 3)
		errx(4, "SELinux has no policy");
	snprintf(context, sizeof context, "%s:%s:none_t%s", user, role, level);
	set("/sys/fs/selinux/context", context);
	if (dup2(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT), AUDIT) < 0 ||
	    bind(AUDIT, (void *)&readers, sizeof readers))
		err(4, "listen to the audit log");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755") ||
	    (copy = open("/tmp/subject", O_WRONLY | O_CREAT, 0755)) < 0 ||
	    sendfile(copy, open("/proc/self/exe", O_RDONLY), NULL, 1 << 30) < 0 ||
	    fsetxattr(copy, "security.capability", &caps, XATTR_CAPS_SZ_2, 0) ||
	    fchmod(copy, 0755) || close(copy))
		err(4, "copy this program to a tmpfs of our own on /tmp");
	char *old_perf_event_paranoid = set("/proc/sys/kernel/perf_event_paranoid", "2");
	char *old_enforce = set("/sys/fs/selinux/enforce", "0");
	if (pipe2(pipes, O_CLOEXEC) || !(output = fdopen(pipes[0], "r")))
		err(4, "pipe");
	pid_t pid = fork();
	if (!pid) {
		alarm(60);
		dup2(pipes[1], 1);
		set("/proc/self/attr/exec", context);
		if (setgroups(0, NULL) || setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000) ||
		    execl("/tmp/subject", "/tmp/subject", "subject", NULL))
			err(4, "start the subject");
	}
	close(pipes[1]);
	while ((letter = getc(output)) != EOF)
		if (letter)
			putchar(letter);
		else if (!marks++ && write(open("/sys/fs/selinux/commit_pending_bools", O_WRONLY), "1", 1) < 1)
			err(4, "empty the access vector cache");
		else if (send(AUDIT, &mark, sizeof mark, 0) < 0)
			err(4, "write to the audit log");
	waitpid(pid, &status, 0);
	set("/sys/fs/selinux/enforce", old_enforce);
	set("/proc/sys/kernel/perf_event_paranoid", old_perf_event_paranoid);
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	puts(status == 0 ? "as expected" : status == 1 ? "DIFFERS" : "cannot run here");
	return status;
}

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
 * The result is 0 if the kernel does what is expected of Linux 6.12, 1 if it does
 * something else, 4 if it cannot be seen here. Expected, with the capability checks,
 * which leave no record if they pass:
 *
 *   perf_event_open(software/cpu-clock, pid=-1, cpu=0) = fd
 *     avc denied { open } tclass=perf_event
 *     cap perfmon = granted
 *     avc denied { perfmon } capability=38 tclass=capability2
 *     avc denied { kernel } tclass=perf_event
 *     cap perfmon = granted
 *     avc denied { cpu } tclass=perf_event
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The module that defines the domains, for a machine whose policy lacks them. */
static const char policy[] =		/* %1$s, %2$s: role and type of whoever runs this */
	"(type none_t) (roletype %1$s none_t) (typeattributeset domain (none_t))\n"
	"(allow none_t file_type (file (all)))\n"
	"(allow none_t file_type (dir (all)))\n"
	"(allow none_t %2$s (fifo_file (all)))\n"
	"(allow %2$s none_t (process (all)))\n"
	"(typepermissive none_t)\n"
	"(allow none_t none_t (fd (all)))\n"
	"(allow none_t none_t (process (all)))\n"
	"(allow none_t %2$s (fd (all)))\n"
	"(allow none_t %2$s (process (all)))\n";

enum { SHARED = 100, DONE, GO };	/* descriptors of the subject: memory, two pipes */
static struct {				/* what all processes share */
	int step;			/* the step that was performed */
	long result;			/* what it returned, or -errno */
	long fd, parent;
} *s;

static struct perf_event_attr attr = {
	.type = PERF_TYPE_SOFTWARE,
	.size = sizeof(struct perf_event_attr),
	.config = PERF_COUNT_SW_CPU_CLOCK,
};

enum { START = -1, ANY = 1 << 30, NEVER };	/* no step; any success; no such call */
static const struct {
	const char *call;
	int result;			/* a number, or -errno */
	const char *records[5];
} expected[] = {
	{ "perf_event_open(software/cpu-clock, pid=-1, cpu=0)", ANY, {
		"avc:  denied  { open } for  comm=\"subject\" scontext=none_t tcontext=none_t tclass=perf_event permissive=1",
		"avc:  denied  { perfmon } for  comm=\"subject\" capability=38  scontext=none_t tcontext=none_t tclass=capability2 permissive=1",
		"avc:  denied  { kernel } for  comm=\"subject\" scontext=none_t tcontext=none_t tclass=perf_event permissive=1",
		"avc:  denied  { cpu } for  comm=\"subject\" scontext=none_t tcontext=none_t tclass=perf_event permissive=1", } },
};

static char user[128], role[128], type[128], level[128];	/* the own context */

static int read_context(void)
{
	FILE *own = fopen("/proc/thread-self/attr/current", "r");
	int parts = own ? fscanf(own, "%127[^:]:%127[^:]:%127[^:]%127s", user, role, type, level) : 0;

	return own && !fclose(own) ? parts : 0;
}

/* The own context with another type. */
static const char *context(const char *domain)
{
	static char text[512];

	snprintf(text, sizeof text, "%s:%s:%s%s", user, role, domain, level);
	return text;
}

/* Reports a step, and waits until its records have been read. */
static long done(int step, long result)
{
	char go;

	s->step = step;
	s->result = result == -1 ? -errno : result;
	if (write(DONE, "", 1) != 1 || read(GO, &go, 1) != 1)
		_exit(1);
	return s->result;
}

/* The steps. */
static void subject(void)
{
	s->fd = done(0, syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0));
}

/* From here on: the set-up, and the comparison. Only the settings and files differ by cell. */

static struct { const char *file; char old[64]; } changed[64];
static int changes, installed, differences;

/* Ends the program if something is not as it must be to run here. */
static void need(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "cannot run here: %s: %s\n", what, strerror(errno));
	exit(4);
}

static long put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);
	long result = write(fd, text, strlen(text));

	close(fd);
	return result;
}

/* Changes a setting until restore(). */
static long set(const char *file, const char *text)
{
	int fd = open(file, O_RDONLY);

	if (read(fd, changed[changes].old, sizeof changed->old - 1) >= 0)
		changed[changes++].file = file;
	close(fd);
	return put(file, text);
}

static void restore(void)
{
	while (changes--)
		put(changed[changes].file, changed[changes].old);
	if (installed && system("semodule -r perfsec_reproducer"))
		perror("semodule -r perfsec_reproducer");
}

static void replace(char *text, const char *old, const char *new)
{
	for (; *old && (text = strstr(text, old)); text += strlen(new)) {
		memmove(text + strlen(new), text + strlen(old), strlen(text + strlen(old)) + 1);
		memcpy(text, new, strlen(new));
	}
}

/*
 * Reads the audit records up to a mark of ours, and compares the AVC records of a process with
 * those wanted: without the pid, and each context without what it shares with our own.
 */
static void read_log(int log, pid_t pid, const char *const *wanted)
{
	struct { struct nlmsghdr head; char text[8192]; } m = {
		.head = { NLMSG_LENGTH(8), AUDIT_USER_AVC, NLM_F_REQUEST }, .text = "the end" };
	char pids[32], own[600], before[300];

	snprintf(pids, sizeof pids, "pid=%d ", pid);
	snprintf(own, sizeof own, "context=%s", context(type));
	snprintf(before, sizeof before, "context=%s:%s:", user, role);
	need(send(log, &m, m.head.nlmsg_len, 0) > 0, "write to the audit log");
	for (;;) {
		ssize_t length = recv(log, &m, sizeof m - 1, 0);

		need(length > NLMSG_HDRLEN && m.head.nlmsg_type != NLMSG_ERROR, "read the audit log");
		m.text[length - NLMSG_HDRLEN] = '\0';
		if (m.head.nlmsg_type == AUDIT_USER_AVC && strstr(m.text, "the end"))
			break;
		char *record = strstr(m.text, "avc:");
		if (!wanted || m.head.nlmsg_type != AUDIT_AVC || !record || !strstr(record, pids))
			continue;
		replace(record, pids, "");
		replace(record, own, "context=(parent)");
		replace(record, before, "context=");
		replace(record, level, "");
		int same = *wanted && !strcmp(*wanted, record);
		printf("%s %s\n", same ? " " : "+", record);
		differences += !same;
		wanted += same;
	}
	for (; wanted && *wanted; wanted++, differences++)
		printf("- %s\n", *wanted);
}

/* Makes a program of ours with file capabilities. */
static void make(const char *file, mode_t mode, struct vfs_ns_cap_data caps)
{
	int in = open("/proc/self/exe", O_RDONLY), out = open(file, O_WRONLY | O_CREAT, 0755);

	need(sendfile(out, in, NULL, 1 << 30) > 0 && !fchmod(out, mode), file);
	if (caps.magic_etc)
		need(!fsetxattr(out, "security.capability", &caps, XATTR_CAPS_SZ_2, 0), "setcap");
	close(in);
	close(out);
}

/* Starts a program of ours in a domain. */
static pid_t launch(const char *file, const char *domain, uid_t uid, const char *name)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (put("/proc/self/attr/exec", context(domain)) > 0 && !setgroups(0, NULL) &&
	    !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid))
		execl(file, file, name, NULL);
	return done(START, -1);
}

/* Compares a step with what is expected of it. */
static void compare(int log, pid_t pid)
{
	int want = expected[s->step].result;

	printf("%s = %ld %s\n", expected[s->step].call, s->result,
	       s->result < 0 ? strerror(-s->result) : "");
	if (want == ANY ? s->result < 0 : s->result != want) {
		printf("- expected %d %s\n", want, want == ANY ? "(any success)" :
		       want == NEVER ? "(no such call)" : want < 0 ? strerror(-want) : "");
		differences++;
	}
	read_log(log, pid, expected[s->step].records);
}

int main(int argc, char **argv)
{
	struct sockaddr_nl readers = { AF_NETLINK, .nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1) };
	int log, from[2], to[2], memory = memfd_create("shared", MFD_CLOEXEC);
	char byte;

	if (argc > 1) {			/* started again by launch(), or by an execve */
		s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
		done(START, 0);
		subject();
		return 0;
	}
	alarm(60); 			/* if a process dies without a word */
	setvbuf(stdout, NULL, _IOLBF, 0);
	log = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	need(!bind(log, (void *)&readers, sizeof readers), "listen to the audit log");
	need(read_context() > 2, "SELinux has no policy");
	atexit(restore);
	if (put("/sys/fs/selinux/context", context("none_t")) < 0) {
		FILE *module = fopen("/tmp/perfsec_reproducer.cil", "w");

		need(module && fprintf(module, policy, role, type) > 0 && !fclose(module) &&
		     !system("semodule -i /tmp/perfsec_reproducer.cil"), "install the domains");
		installed = 1;
	}
	need(installed || set("/sys/fs/selinux/enforce", "0") > 0, "set the mode");
	need(set("/proc/sys/kernel/perf_event_paranoid", "2") > 0, "kernel.perf_event_paranoid");
	need(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	     !mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755"), "mount a tmpfs of our own on /tmp");
	mkdir("/tmp/perfmon", 0755);
	make("/tmp/perfmon/subject", 0755, (struct vfs_ns_cap_data){
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[1].permitted = CAP_TO_MASK(CAP_PERFMON) });
	need(!pipe2(from, O_CLOEXEC) && !pipe2(to, O_CLOEXEC) && !ftruncate(memory, sizeof *s) &&
	     dup2(memory, SHARED) > 0 && dup2(from[1], DONE) > 0 && dup2(to[0], GO) > 0, "share");
	s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	s->parent = getpid();
	s->fd = -1;
	pid_t pid = launch("/tmp/perfmon/subject", "none_t", 1000, "subject");
	close(from[1]);
	close(DONE);
	while (read(from[0], &byte, 1) == 1) {
		errno = -s->result;
		need(s->step != START || !s->result, "start the subject");
		if (s->step == START)
			read_log(log, pid, NULL);
		else
			compare(log, pid);
		if (s->step == START)
			put("/sys/fs/selinux/commit_pending_bools", "1");
		if (write(to[1], "", 1) != 1)
			break;
	}
	if (s->step != 0)
		differences += puts("- the subject did not reach its last step") > 0;
	puts(differences ? "DIFFERS" : "as expected");
	return !!differences;
}

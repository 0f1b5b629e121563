@HEAD@
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
//@if pattern
#include <fnmatch.h>
//@end
#include <grp.h>
//@if bpf
#include <limits.h>
//@end
#include <linux/audit.h>
//@if bpf
#include <linux/bpf.h>
//@end
#include <linux/capability.h>
//@if breakpoint
#include <linux/hw_breakpoint.h>
//@end
#include <linux/netlink.h>
#include <linux/perf_event.h>
//@if securebits
#include <linux/securebits.h>
//@end
//@if poll
#include <poll.h>
//@end
#include <sched.h>
//@if signal
#include <signal.h>
//@end
//@if bpf
#include <stddef.h>
//@end
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
//@if ioctl
#include <sys/ioctl.h>
//@end
#include <sys/mman.h>
#include <sys/mount.h>
//@if prctl
#include <sys/prctl.h>
//@end
//@if rlimit
#include <sys/resource.h>
//@end
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
//@if wait
#include <sys/wait.h>
//@end
//@if iovec
#include <sys/uio.h>
//@end
//@if fsuid
#include <sys/fsuid.h>
//@end
#include <sys/xattr.h>
#include <unistd.h>

/* The module that defines the domains, for a machine whose policy lacks them. */
static const char policy[] =		/* %1$s, %2$s: role and type of whoever runs this */
@POLICY@;

//@if exec
struct became {				/* a process after an execve */
	__u64 permitted, effective;
	uid_t uid;
	char domain[128];
};
//@end
enum { SHARED = 100, DONE, GO };	/* descriptors of the subject: memory, two pipes */
static struct {				/* what all processes share */
	int step;			/* the step that was performed */
	long result;			/* what it returned, or -errno */
//@if exec
	struct became became;		/* what an execve made of the process */
//@end
//@if text
	char text[4097];		/* a result that is a text */
//@end
@VARIABLES@
} *s;

@DATA@
enum { START = -1, ANY = 1 << 30, NEVER };	/* no step; any success; no such call */
static const struct {
	const char *call;
	int result;			/* a number, or -errno */
//@if exec
	struct became became;
//@end
//@if text
	const char *text;
//@end
	const char *records[@RECORDS@];
} expected[] = {
@EXPECTED@
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

//@if must
/* A step that is not under test must succeed. */
static long must(long result)
{
	return result == -1 ? done(START, result) : result;
}

//@end
//@if process
/* Waits while the subject performs its steps. */
static void ready(void)
{
	s->result = 0;
	if (write(DONE, "", 1) == 1)
		close(DONE);
	for (;;)
		pause();
}

//@end
//@if clone
static char stacks[@STACKS@][65536] __attribute__((aligned(16)));	/* of new tasks */

//@end
//@if idle
/* A task that only waits; a thread shares its descriptors. */
static int wait_forever(void *is_thread)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!is_thread)
		close(DONE);
	return pause();
}

//@end
//@if zombie
static int end(void *unused)
{
	return 0;
}

//@end
//@if heir
static void subject(void);

/* A task that performs the remaining steps while its creator waits. */
static int go_on(void *unused)
{
	char go;

	if (read(GO, &go, 1) == 1)
		subject();
	_exit(0);
	return 0;
}

/* Reports the task that performs the remaining steps, and waits; a thread shares descriptors. */
static long hand_over(int step, int is_thread, long *task, long result)
{
	if (result == -1)
		return done(step, result);
	*task = result;
	s->step = step;
	s->result = result;
	if (write(DONE, "", 1) == 1 && !is_thread)
		close(DONE);
	for (;;)
		pause();
}

//@end
//@if send
/* Sends a descriptor over a socket. */
static long send_fd(int socket, int fd)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof fd)]; } control = {
		.head = { CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { "", 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control };

	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	return sendmsg(socket, &message, 0);
}

//@end
//@if receive
/* Receives a descriptor over a socket; returns 0 if the message brings none. */
static long receive_fd(int socket)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int))]; } control;
	struct iovec byte = { &(char){ 0 }, 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof control };
	int fd = 0;

	if (recvmsg(socket, &message, MSG_DONTWAIT) < 0)
		return -1;
	if (message.msg_controllen >= CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
	return fd;
}

//@end
//@if capset
/* Sets the permitted, effective and inheritable capabilities. */
static long set_caps(__u64 permitted, __u64 effective, __u64 inheritable)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = {
		{ effective, permitted, inheritable },
		{ effective >> 32, permitted >> 32, inheritable >> 32 } };

	return syscall(SYS_capset, &head, sets);
}

//@end
//@if path
/* A path below /proc, with the id of a process. */
static const char *of(const char *format, long pid)
{
	static char path[256];

	snprintf(path, sizeof path, format, pid);
	return path;
}

//@end
//@if exec
/* Stores what this process is. */
static void look_at_myself(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	if (read_context() < 3 || syscall(SYS_capget, &head, sets))
		done(START, -1);
	strcpy(s->became.domain, type);
	s->became.permitted = sets[0].permitted | (__u64)sets[1].permitted << 32;
	s->became.effective = sets[0].effective | (__u64)sets[1].effective << 32;
	s->became.uid = getuid();
}

//@end
@PROCESSES@
//@if text
/* Reads a text. */
static long read_text(int fd, size_t size)
{
	memset(s->text, 0, sizeof s->text);
	return read(fd, s->text, size);
}

//@end
//@if setexeccon
/* Writes a text at once. */
static long write_text(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

//@end
/* The steps. */
static void subject(void)
{
@STEPS@
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
//@if boolean
	put("/sys/fs/selinux/commit_pending_bools", "1");
//@end
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

//@if child
static int is_of(const char *record, long pid)
{
	char pids[32];

	snprintf(pids, sizeof pids, "pid=%ld ", pid);
	return strstr(record, pids) != NULL;
}

//@end
//@if lookup
/* The number in a file. */
static long number_in(const char *file)
{
	FILE *open = fopen(file, "r");
	long number;

	need(open && fscanf(open, "%ld", &number) == 1, file);
	fclose(open);
	return number;
}

//@end
/*
 * Reads the audit records up to a mark of ours, and compares the AVC records of a process with
 * those wanted: without the pid, and each context without what it shares with our own.
 */
static void read_log(int log, pid_t pid, const char *const *wanted)
{
	struct { struct nlmsghdr head; char text[8192]; } m = {
		.head = { NLMSG_LENGTH(8), AUDIT_USER_AVC, NLM_F_REQUEST }, .text = "the end" };
	char pids[32], own[600], before[300];
//@if child
	char pids2[32];
//@end

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
		if (!wanted || m.head.nlmsg_type != AUDIT_AVC || !record || !@OURS@)
			continue;
		replace(record, pids, "");
@NAMES@
		replace(record, own, "context=(parent)");
		replace(record, before, "context=");
		replace(record, level, "");
//@if pattern
		int same = *wanted && !fnmatch(*wanted, record, 0);
//@end
//@if plain
		int same = *wanted && !strcmp(*wanted, record);
//@end
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
		need(!fsetxattr(out, "security.capability", &caps, @CAPS_SIZE@, 0), "setcap");
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

//@if actions
/* What the parent does in place of a step of the subject. */
static long act(int step)
{
	switch (step) {
@ACTIONS@
	}
	return s->result;
}

//@end
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
//@if text
	const char *text = s->result < 0 ? NULL : expected[s->step].text;
	if (text && strcmp(text, s->text))
		printf("+ %s\n- %s\n", s->text, text), differences++;
//@end
//@if exec
	const struct became *is = &s->became, *wanted = &expected[s->step].became;
	if (s->result >= 0 && *wanted->domain && (is->permitted != wanted->permitted ||
	    is->effective != wanted->effective || is->uid != wanted->uid ||
	    strcmp(is->domain, wanted->domain))) {
		printf("+ permitted %llx, effective %llx, uid %d, %s\n- permitted %llx, effective %llx, "
		       "uid %d, %s\n", is->permitted, is->effective, is->uid, is->domain,
		       wanted->permitted, wanted->effective, wanted->uid, wanted->domain);
		differences++;
	}
//@end
	read_log(log, pid, expected[s->step].records);
}

int main(int argc, char **argv)
{
	struct sockaddr_nl readers = { AF_NETLINK, .nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1) };
	int log, from[2], to[2], memory = memfd_create("shared", MFD_CLOEXEC);
	char byte;

	if (argc > 1) {			/* started again by launch(), or by an execve */
		s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
@ROLES@
//@if exec
		look_at_myself();
		s->fresh = 1;
		done(s->next - 1, 0);
//@end
//@if straight
		done(START, 0);
//@end
		subject();
		return 0;
	}
	alarm(60); 			/* if a process dies without a word */
	setvbuf(stdout, NULL, _IOLBF, 0);
	log = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	need(!bind(log, (void *)&readers, sizeof readers), "listen to the audit log");
	need(read_context() > 2, "SELinux has no policy");
	atexit(restore);
	if (put("/sys/fs/selinux/context", context("@DOMAIN@")) < 0) {
		FILE *module = fopen("/tmp/perfsec_reproducer.cil", "w");

		need(module && fprintf(module, policy, role, type) > 0 && !fclose(module) &&
		     !system("semodule -i /tmp/perfsec_reproducer.cil"), "install the domains");
		installed = 1;
	}
@SETTINGS@
	need(!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	     !mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755"), "mount a tmpfs of our own on /tmp");
@FILES@
	need(!pipe2(from, O_CLOEXEC) && !pipe2(to, O_CLOEXEC) && !ftruncate(memory, sizeof *s) &&
	     dup2(memory, SHARED) > 0 && dup2(from[1], DONE) > 0 && dup2(to[0], GO) > 0, "share");
	s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
@GIVEN@
	pid_t pid = launch("@FILE@", "@DOMAIN@", @UID@, "subject");
	close(from[1]);
	close(DONE);
	while (read(from[0], &byte, 1) == 1) {
		errno = -s->result;
		need(s->step != START || !s->result, "start the subject");
//@if actions
		if (s->step != START && (s->result = act(s->step)) == -1)
			s->result = -errno;
//@end
		if (s->step == START)
			read_log(log, pid, NULL);
		else
			compare(log, pid);
@FLUSH@
		if (write(to[1], "", 1) != 1)
			break;
	}
	if (s->step != @LAST@)
		differences += puts("- the subject did not reach its last step") > 0;
@END@
	puts(differences ? "DIFFERS" : "as expected");
	return !!differences;
}

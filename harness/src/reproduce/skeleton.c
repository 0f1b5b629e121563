@HEAD@
#define _GNU_SOURCE
@INCLUDES@

@CONSTANTS@
//@if simple
static int differences;
//@end
//@if simple-filecaps
static struct vfs_cap_data caps = {@CAPS@};
//@end
//@if full

//@end
//@if full
static volatile struct {			/* what all processes share */
	int differences;
//@end
//@if full-flush
	int fresh;				/* the program has just been executed */
//@end
//@if actions
	int action;				/* what the parent is to do, and its result */
	long result;
//@end
@VARIABLES@
//@if full
} *s;
//@end
@DATA@

/* Compares a step with the expected result and AVC records, which are patterns, one a line. */
static long check(const char *call, long result, long expected, const char *records)
{
	struct { struct nlmsghdr head; char text[8192]; } m;
	char *rest = strdup(records), *want = strsep(&rest, "\n");

	result = result == -1 ? -errno : result;
	dprintf(1, "%s = %ld %s\n", call, result, result < 0 ? strerror(-result) : "");
//@if any
	if (expected == ANY ? result < 0 : result != expected)
		@DIFFERENCES@ += dprintf(1, "- expected %ld %s\n", expected, expected < 0 ?
			strerror(-expected) : @ANY@) > 0;
//@end
//@if exact
	if (result != expected)
		@DIFFERENCES@ += dprintf(1, "- expected %ld %s\n", expected, strerror(-expected)) > 0;
//@end
	dprintf(1, "%c", '\0');		/* the parent puts a mark behind the last record */
	do {
		memset(&m, 0, sizeof m);
		if (recv(AUDIT, &m, sizeof m - 1, 0) < 0)
			err(4, "read the audit log");
		char *record = strstr(m.text, "avc:");
		if (m.head.nlmsg_type == AUDIT_AVC && record && @OURS@) {
			int same = want && !fnmatch(want, record, 0);
			dprintf(1, "%c %s\n", same ? ' ' : '+', record);
			@DIFFERENCES@ += !same;
			if (same && *want != '*')
				want = strsep(&rest, "\n");
		}
	} while (m.head.nlmsg_type != AUDIT_USER_AVC || !strstr(m.text, "the end"));
	for (; want && *want && *want != '*'; want = strsep(&rest, "\n"))
		@DIFFERENCES@ += dprintf(1, "- %s\n", want) > 0;
	return result;
}

//@if parent
/* A pattern with the type of the parent. */
static const char *with_parent(const char *pattern)
{
	char *text;

	return asprintf(&text, pattern, getenv("PARENT")) < 0 ? "" : text;
}

//@end
//@if context
static char type[64];			/* of this process */

/* The context of this process with another type. */
static const char *context(const char *domain)
{
	static char text[512];
	char user[64], role[64], level[256] = "";
	FILE *own = fopen("/proc/self/attr/current", "r");

	if (!own || fscanf(own, "%63[^:]:%63[^:]:%63[^:]%255s", user, role, type, level) < 3)
		errx(4, "SELinux has no policy");
	fclose(own);
//@end
//@if context-parent
	setenv("PARENT", type, 0);
//@end
//@if context
	snprintf(text, sizeof text, "%s:%s:%s%s", user, role, domain, level);
	return text;
}

//@end
//@if must
/* A step that is not under test must succeed. */
static long must(long result)
{
	if (result == -1) {
		dprintf(1, "!");
		err(4, "a step of another process");
	}
	return result;
}

//@end
//@if process
/* Waits while the subject performs its steps. */
static void ready(void)
{
	dprintf(1, "%c", '\0');
	close(1);
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
		close(1);
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
	subject();
	return 0;
}

/* Waits for the task that performs the remaining steps. */
static void hand_over(pid_t task)
{
	int status = 1;

	waitpid(task, &status, __WALL);
	_exit(!!status);
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
//@if became
/* Compares this process after an execve with what it is to be. */
static void is_now(__u64 permitted, __u64 effective, uid_t uid, const char *domain)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &head, sets) || !context(domain))
		err(4, "capget");
	__u64 permits = sets[0].permitted | (__u64)sets[1].permitted << 32;
	__u64 has = sets[0].effective | (__u64)sets[1].effective << 32;
	if (permits == permitted && has == effective && getuid() == uid && !strcmp(type, domain))
		return;
	dprintf(1, "+ permitted %llx, effective %llx, uid %d, %s\n", permits, has, getuid(), type);
	dprintf(1, "- permitted %llx, effective %llx, uid %d, %s\n", permitted, effective, uid, domain);
	@DIFFERENCES@++;
}

//@end
//@if text
static char text[4097];			/* what a step has read */

static long read_text(int fd, size_t size)
{
	memset(text, 0, sizeof text);
	return read(fd, text, size);
}

static void check_text(const char *expected)
{
	if (strcmp(text, expected))
		@DIFFERENCES@ += dprintf(1, "+ %s\n- %s\n", text, expected) > 0;
}

//@end
//@if setexeccon
/* Writes a text at once. */
static long write_text(int fd, const char *text)
{
	return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

//@end
//@if actions
/* Asks the parent to do something in place of a step. */
static long ask(int action)
{
	s->action = action;
	dprintf(1, "\1");
	while (s->action)
		usleep(1000);
	errno = s->result < 0 ? -s->result : 0;
	return s->result < 0 ? -1 : s->result;
}

//@end
@PROCESSES@
static void subject(void)
{
@STEPS@
}

//@if pass
/* Passes a number to the subject. */
static void pass(const char *name, long number)
{
	char text[32];

	snprintf(text, sizeof text, "%ld", number);
	setenv(name, text, 1);
}

//@end
//@if simple
/* Changes a setting; returns what it was. */
static char *set(const char *file, const char *text)
{
//@end
//@if simple-plain
	int fd = open(file, O_RDWR);
//@end
//@if simple-lookup
	int fd = open(file, text ? O_RDWR : O_RDONLY);
//@end
//@if simple
	char *old = calloc(1, 64);

//@end
//@if simple-plain
	if (read(fd, old, 63) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
//@end
//@if simple-lookup
	if (read(fd, old, 63) < 0 || (text && pwrite(fd, text, strlen(text), 0) < 0))
//@end
//@if simple
		err(4, "%s", file);
	close(fd);
	return old;
}

//@end
//@if full
static struct { const char *file; char old[64]; } changed[64];
static int changes;

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
	while (changes-- > 0)
		put(changed[changes].file, changed[changes].old);
//@end
//@if boolean
	put("/sys/fs/selinux/commit_pending_bools", "1");
//@end
//@if full
}

/* Makes a copy of this program with file capabilities. */
static void make(const char *file, mode_t mode, struct vfs_ns_cap_data caps)
{
	int self = open("/proc/self/exe", O_RDONLY), copy = open(file, O_WRONLY | O_CREAT, 0755);

	if (sendfile(copy, self, NULL, 1 << 30) < 0 || fchmod(copy, mode))
		err(4, "%s", file);
//@end
//@if full-filecaps
	if (caps.magic_etc && fsetxattr(copy, "security.capability", &caps, @CAPS_SIZE@, 0))
		err(4, "give capabilities to %s", file);
//@end
//@if full
	close(self);
	close(copy);
}

/* Starts such a program in a domain, with a pipe as its standard output. */
static pid_t launch(int out, const char *file, const char *domain, uid_t uid, const char *name)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	changes = 0;
	alarm(60);
	if (dup2(out, 1) == 1 && put("/proc/self/attr/exec", context(domain)) > 0 &&
	    !setgroups(0, NULL) && !setresgid(uid, uid, uid) && !setresuid(uid, uid, uid))
		execl(file, file, name, NULL);
	warn("start %s", name);
	dprintf(1, "!");
	_exit(4);
}

//@end
//@if lookup-full
/* The number in a file. */
static long number_in(const char *file)
{
	FILE *open = fopen(file, "r");
	long number;

	if (!open || fscanf(open, "%ld", &number) != 1)
		err(4, "%s", file);
	fclose(open);
	return number;
}

//@end
//@if actions
static long act(int action)
{
	switch (action) {
@ACTIONS@
	}
	return -1;
}

//@end
int main(int argc, char **argv)
{
	struct { struct nlmsghdr head; char text[8]; } mark = {
		{ sizeof mark, AUDIT_USER_AVC, NLM_F_REQUEST }, "the end" };
	struct sockaddr_nl readers = { AF_NETLINK, .nl_groups = 1 << (AUDIT_NLGRP_READLOG - 1) };
//@if simple
	char user[64], role[64], type[64], level[256] = "", context[512];
	FILE *own = fopen("/proc/self/attr/current", "r"), *output;
	int pipes[2], letter, status, copy@MARKS@;
//@end
//@if full
	FILE *output;
	int pipes[2], letter, status;
//@end

	if (argc > 1) {			/* the copy of this program in the domain */
//@if full
		s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED, 0);
//@end
@ROLES@
//@if full-flush
		s->fresh = 1;
//@end
//@if exec
		if (!s->next)
//@end
		check("start", 0, 0, "*");
		subject();
		return @VERDICT@;
	}
//@if simple
	if (!own || fscanf(own, "%63[^:]:%63[^:]:%63[^:]%255s", user, role, type, level) < 3)
		errx(4, "SELinux has no policy");
//@end
//@if simple-parent
	setenv("PARENT", type, 1);
//@end
//@if simple
	snprintf(context, sizeof context, "%s:%s:@DOMAIN@%s", user, role, level);
	set("/sys/fs/selinux/context", context);
//@end
//@if full
	if (put("/sys/fs/selinux/context", context("@DOMAIN@")) < 0)
		err(4, "the policy lacks the domain @DOMAIN@");
//@end
	if (dup2(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT), AUDIT) < 0 ||
	    bind(AUDIT, (void *)&readers, sizeof readers))
		err(4, "listen to the audit log");
//@if full
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755"))
		err(4, "mount a tmpfs of our own on /tmp");
//@end
//@if simple
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", "/tmp", "tmpfs", 0, "mode=755") ||
	    (copy = open("@FILE@", O_WRONLY | O_CREAT, 0755)) < 0 ||
//@end
//@if simple-filecaps
	    sendfile(copy, open("/proc/self/exe", O_RDONLY), NULL, 1 << 30) < 0 ||
	    fsetxattr(copy, "security.capability", &caps, XATTR_CAPS_SZ_2, 0) ||
//@end
//@if simple-nocaps
	    sendfile(copy, open("/proc/self/exe", O_RDONLY), NULL, 1 << 30) < 0 ||
//@end
//@if simple
	    fchmod(copy, 0755) || close(copy))
		err(4, "copy this program to a tmpfs of our own on /tmp");
//@end
//@if full
	atexit(restore);
//@end
@FILES@
@BEFORE@
@SETTINGS@
//@if full
	int memory = memfd_create("shared", MFD_CLOEXEC);
	if (ftruncate(memory, sizeof *s) || dup2(memory, SHARED) < 0)
		err(4, "share memory");
	s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
//@end
	if (pipe2(pipes, O_CLOEXEC) || !(output = fdopen(pipes[0], "r")))
		err(4, "pipe");
@GIVEN@
//@if simple
	pid_t pid = fork();
	if (!pid) {
		alarm(60);
		dup2(pipes[1], 1);
		set("/proc/self/attr/exec", context);
		if (setgroups(0, NULL) || setresgid(@UID@, @UID@, @UID@) || setresuid(@UID@, @UID@, @UID@) ||
		    execl("@FILE@", "@FILE@", "subject", NULL))
			err(4, "start the subject");
	}
//@end
//@if full
	pid_t pid = launch(pipes[1], "@FILE@", "@DOMAIN@", @UID@, "subject");
//@end
	close(pipes[1]);
	while ((letter = getc(output)) != EOF)
//@if actions
		if (letter == '\1') {
			long result = act(s->action);
			s->result = result == -1 ? -errno : result;
			s->action = 0;
		} else if (letter)
			putchar(letter);
//@end
//@if idle-parent
		if (letter)
			putchar(letter);
//@end
//@if simple-flush
		else if (!marks++ && write(open("/sys/fs/selinux/commit_pending_bools", O_WRONLY), "1", 1) < 1)
			err(4, "empty the access vector cache");
//@end
//@if full-flush
		else if (s->fresh && (s->fresh = put("/sys/fs/selinux/commit_pending_bools", "1") - 1))
			err(4, "empty the access vector cache");
//@end
		else if (send(AUDIT, &mark, sizeof mark, 0) < 0)
			err(4, "write to the audit log");
	waitpid(pid, &status, 0);
@END@
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
//@if full
	if (!status)
		status = s->differences > 0;
//@end
	puts(status == 0 ? "as expected" : status == 1 ? "DIFFERS" : "cannot run here");
	return status;
}

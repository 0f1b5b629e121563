/*
 * Checks in the style of the kernel, on top of a few lines that stand for the kernel. What it
 * prints depends on every check: results, audit records and the order of the questions.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define __user
#define unlikely(x) __builtin_expect(!!(x), 0)
#define WARN_ON_ONCE(x) (x)
#define for_each_step(i, n) for ((i) = 0; (i) < (n); (i)++)
#define PERF_SAMPLE_RAW 1
#define PERF_SAMPLE_ADDR 2
#define PERF_SAMPLE_REGS 4
#define PERF_FLAG_CLOEXEC 1
#define PERF_FLAG_OUTPUT 2
#define PERF_FLAG_ALL (PERF_FLAG_CLOEXEC | PERF_FLAG_OUTPUT)
#define CAP_KILL 5
#define CAP_SYS_PTRACE 19
#define CAP_SYS_ADMIN 21
#define CAP_PERFMON 38
#define CAP_BPF 39
#define PTRACE_MODE_READ 1
#define PTRACE_MODE_ATTACH 2
#define SET_IOC_ON 1
#define SET_IOC_OFF 2
#define AUDIT_AVC 1400
#define AUDIT_SELINUX_ERR 1401
#define AUDIT_KERNEL 2000

struct user_namespace { int level; };
struct caps { unsigned long bits; };
struct cred {
	int uid, euid, fsuid;
	struct caps cap_effective, cap_permitted;
	struct user_namespace *user_ns;
};
struct task_struct {
	int pid, tgid;
	char comm[8];
	struct cred *cred, *real_cred;
	struct task_struct *group_leader;
};
struct attr {
	unsigned int exclude_kernel : 1, exclude_user : 1, exclude_hv : 1;
	unsigned long sample_type;
};
struct record { int a0, a1, ssid, tsid; };

static struct user_namespace init_user_ns = { 0 }, child_ns = { 1 };
static struct cred creds[] = {
	{ 0, 0, 0, { 7 }, { 7 }, &init_user_ns },
	{ 1, 2, 3, { 1 }, { 3 }, &child_ns },
};
static struct task_struct leader = { 10, 10, "main", &creds[0], &creds[0], &leader };
static struct task_struct thread = { 11, 10, "thread", &creds[1], &creds[0], &leader };
static struct task_struct *current = &thread;
static int granted;
int level = 2;

#define current_cred() (current->cred)
#define current_real_cred() (current->group_leader->cred)
#define current_user_ns() (current->cred->user_ns)
#define cap_clear(c) ((c).bits = 0)

static int task_pid_nr(struct task_struct *task) { return task->pid; }
static int task_tgid_nr(struct task_struct *task) { return task->tgid; }
static int task_tgid_vnr(struct task_struct *task) { return task->tgid - 9; }
static int task_pid_vnr(struct task_struct *task) { return task->pid - 9; }
static int uid_eq(int a, int b) { return a == b; }

static bool ns_capable_noaudit(struct user_namespace *ns, int cap)
{
	printf("<%d in %d quietly>", cap, ns->level);
	return granted == cap;
}

static bool ns_capable(struct user_namespace *ns, int cap)
{
	printf("<%d in %d>", cap, ns->level);
	return granted == cap;
}

static bool capable(int cap) { return ns_capable(&init_user_ns, cap); }
static bool perfmon_capable(void) { return capable(CAP_PERFMON) || capable(CAP_SYS_ADMIN); }

static int security_perf_event_read(int event)
{
	printf("<read %d>", event);
	return event == 3 ? -EACCES : 0;
}

static int security_perf_event_write(int event)
{
	printf("<write %d>", event);
	return event == 4 ? -EACCES : 0;
}

static int audit_log_start(int type) { printf("[%d", type); return 1; }
static void audit_log_end(int ab) { printf("]%d", ab); }

static void audit_log_format(int ab, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

static void audit_log_untrustedstring(int ab, const char *string)
{
	printf("\"%s\"", string);
}

static void audit_log_cap(int ab, const char *name, struct caps *caps)
{
	printf(" %s=%lx", name, caps->bits);
}

static void spin_lock(int *lock) { *lock += 1; }

/* The functions under mutation. */

static int open_event(struct attr __user *attr, long flags, int pid, int cpu)
{
	int err = -EINVAL, i;
	static const int limit = 2;

	/* for future expandability... */
	if (flags & ~PERF_FLAG_ALL)
		return -EINVAL;

	err = security_perf_event_read(pid); // asks first
	if (err)
		return err;

	if (level > 1 && !perfmon_capable())
		return -EACCES;

	if (!attr->exclude_kernel || cpu >= limit) {
		err = security_perf_event_write(pid);
		if (err)
			goto out;
	} else if (attr->exclude_user) {
		return -ENOENT;
	}

	if (attr->sample_type & PERF_SAMPLE_RAW) {
		if (!capable(CAP_SYS_ADMIN))
			return -EPERM;
	}
	if ((pid == -1 && cpu == -1) || unlikely(cpu < -1 || pid > 5))
		err = -ESRCH;
#ifdef CONFIG_NOT_SET
	if (cpu)
		return this does not compile;
#endif
	for_each_step(i, 2) {
		if (attr->sample_type & PERF_SAMPLE_REGS)
			cpu += i;
	}
out:
	spin_lock(&cpu);
	return err ? err : cpu;
}

static bool may_access(struct task_struct *task, unsigned int mode)
{
	const struct cred *cred = current_cred(), *tcred = task->cred;
	struct caps *caller;

	if (WARN_ON_ONCE(!task))
		return false;
	if (task == current)
		return true;
	if (mode & PTRACE_MODE_READ)
		caller = (struct caps *)&cred->cap_effective;
	else
		caller = (struct caps *)&cred->cap_permitted;
	if (uid_eq(cred->euid, tcred->uid) && uid_eq(cred->fsuid, tcred->uid) &&
	    cred->cap_permitted.bits == caller->bits)
		return true;
	if (cred->user_ns == tcred->user_ns)
		return ns_capable(tcred->user_ns, CAP_SYS_PTRACE);
	return ns_capable(current_user_ns(), CAP_KILL) || capable(CAP_SYS_ADMIN);
}

static int do_ioctl(int event, unsigned int cmd)
{
	switch (cmd) {
	case SET_IOC_ON:
		return level;
	case SET_IOC_OFF:
		level = 0;
		break;
	default:
		return -ENOTTY;
	}
	return 0;
}

static int event_ioctl(int event, unsigned int cmd)
{
	int ret;

	ret = security_perf_event_write(event);
	if (ret)
		return ret;
	ret = do_ioctl(event, cmd);
	return ret;
}

static void log_event(struct task_struct *task, int denied)
{
	struct record record;
	struct cred copy = *task->cred;
	int ab, ssid = 1, tsid = 2;

	ab = audit_log_start(AUDIT_AVC);
	record.ssid = ssid;
	record.tsid = tsid;
	record.a0 = task->pid;
	record.a1 = task->tgid;
	audit_log_format(ab, " avc: %s", denied ? "denied" : "granted");
	audit_log_format(ab, " a0=%d a1=%d"
			 " ssid=%d tsid=%d uid=%u",
			 record.a0, record.a1,
			 record.ssid, record.tsid, task->cred->uid);
	audit_log_format(ab, " pid=%d comm=", task_tgid_nr(current));
	audit_log_untrustedstring(ab, current->comm);
	if (denied)
		cap_clear(copy.cap_permitted);
	else if (task == current)
		audit_log_format(ab, " own");
	else
		audit_log_format(ab, " other");
	audit_log_cap(ab, "pe", &copy.cap_effective);
	audit_log_cap(ab, "pp", &copy.cap_permitted);
	audit_log_end(ab);
}

unsigned int perfsec_mutant;

int perfsec_reach(unsigned int mutant)
{
	return 0;
}

int main(int argc, char **argv)
{
	static const int caps[] = { 0, CAP_KILL, CAP_SYS_PTRACE, CAP_SYS_ADMIN, CAP_PERFMON, CAP_BPF };
	unsigned int n, i;

	alarm(20);
	if (argc > 1)
		perfsec_mutant = atoi(argv[1]);
	for (n = 0; n < sizeof(caps) / sizeof(caps[0]); n++) {
		granted = caps[n];
		for (i = 0; i < 256; i++) {
			struct attr attr = {
				.exclude_kernel = i, .exclude_user = i >> 1, .exclude_hv = i >> 2,
				.sample_type = i >> 3 & 7,
			};
			int pid = (int)(i % 9) - 1, cpu = (int)(i % 5) - 2;

			level = i % 4;
			printf("open %d\n", open_event(&attr, i >> 4 & 7, pid, cpu));
			printf("ioctl %d\n", event_ioctl(i % 6, i % 4));
			printf("level %d\n", level);
			creds[0].uid = i & 1;
			creds[1].euid = i >> 1 & 1;
			creds[1].fsuid = i >> 2 & 1;
			creds[1].user_ns = i & 8 ? &init_user_ns : &child_ns;
			creds[1].cap_permitted.bits = i & 16 ? 1 : 3;
			printf("access %d\n", may_access(i & 32 ? &leader : &thread, 1 + (i >> 6 & 1)));
			log_event(i & 32 ? &leader : &thread, i >> 7);
			puts("");
		}
	}
	return 0;
}

/*
 * Process 1 of a guest without perfsec: loads /policy, runs every program of /programs, prints how
 * each ended, and powers off.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (write(fd, text, strlen(text)) < 0)
		perror(file);
	close(fd);
}

static void add(const char *kind, const char *at)
{
	mkdir(at, 0755);
	if (mount(kind, at, kind, 0, NULL))
		perror(at);
}

/* The kernel takes a policy in one write. */
static void load(void)
{
	static char policy[16 << 20];
	int from = open("/policy", O_RDONLY), to = open("/sys/fs/selinux/load", O_WRONLY);
	ssize_t size = read(from, policy, sizeof policy);

	if (write(to, policy, size) != size)
		perror("load the policy");
	close(from);
	close(to);
}

static void run(const char *name)
{
	static char text[1 << 16];
	char path[512];
	int out[2], status = 0;
	ssize_t size = 0, more;
	pid_t pid;

	snprintf(path, sizeof path, "/programs/%s", name);
	if (pipe2(out, O_CLOEXEC))
		perror("pipe");
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		dup2(out[1], 2);
		execl(path, path, NULL);
		_exit(127);
	}
	close(out[1]);
	while ((more = read(out[0], text + size, sizeof text - 1 - size)) > 0)
		size += more;
	text[size] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	printf("ENDED %d %s\n%s", code, name, code ? text : "");
	fflush(stdout);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
}

int main(void)
{
	struct dirent **found;
	int count;

	add("proc", "/proc");
	add("sysfs", "/sys");
	add("securityfs", "/sys/kernel/security");
	add("selinuxfs", "/sys/fs/selinux");
	add("tracefs", "/sys/kernel/tracing");
	mkdir("/tmp", 0755);
	load();
	/* Quick, and nothing but results on the console. */
	put("/sys/kernel/rcu_expedited", "1");
	put("/proc/sys/kernel/printk", "1 1 1 1");
	count = scandir("/programs", &found, NULL, alphasort);
	for (int at = 0; at < count; at++)
		if (*found[at]->d_name != '.')
			run(found[at]->d_name);
	puts("ALL ENDED");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}

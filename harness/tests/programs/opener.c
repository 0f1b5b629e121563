/*
 * Opens events as perf does: first on a CPU, and if that is refused, on itself without the kernel;
 * then from a child and from a thread. `forever` never ends, and neither does its child.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_event(long config, int pid, int cpu, int exclude_kernel)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = config,
		.exclude_kernel = exclude_kernel,
	};

	return syscall(SYS_perf_event_open, &attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static void *thread(void *unused)
{
	int fd = open_event(PERF_COUNT_SW_DUMMY, 0, -1, 1);

	if (fd >= 0) {
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
		close(fd);
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t other;
	char count[8];
	int fd;

	if (argc > 1 && !strcmp(argv[1], "forever")) {
		fork();
		for (;;)
			pause();
	}
	close(open("/proc/sys/kernel/perf_event_paranoid", O_RDONLY));
	close(open("/sys/kernel/tracing/events", O_RDONLY));
	fd = open_event(PERF_COUNT_SW_CPU_CLOCK, -1, 0, 0);
	if (fd < 0) {
		printf("refused: %s\n", strerror(errno));
		fd = open_event(PERF_COUNT_SW_CPU_CLOCK, 0, -1, 1);
	}
	if (fd >= 0) {
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
		mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		printf("counted %zd bytes\n", read(fd, count, sizeof(count)));
	}
	fflush(stdout);
	if (!fork()) {
		open_event(PERF_COUNT_SW_DUMMY, getppid(), -1, 1);
		_exit(0);
	}
	wait(NULL);
	pthread_create(&other, NULL, thread, NULL);
	pthread_join(other, NULL);
	return fd < 0 ? 3 : 0;
}

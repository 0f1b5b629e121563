// SPDX-License-Identifier: GPL-2.0
/* Chooses one of the mutants of this kernel, which perfsec has generated: see `perfsec selfcheck`. */
#include <linux/export.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/string.h>

unsigned int perfsec_mutant;
EXPORT_SYMBOL(perfsec_mutant);
core_param(perfsec_mutant, perfsec_mutant, uint, 0600);

int perfsec_reach(unsigned int mutant);

/*
 * Prints the number of a mutant whose code runs, once per tick for each of a few processes, and for
 * init once in 16: it reads the log, and reading runs the code again.
 * Deferred: the caller may hold any lock.
 */
int perfsec_reach(unsigned int mutant)
{
	static struct {
		unsigned long tick, init;
		pid_t seen[4];
	} last[8192];
	int i;

	if (mutant >= ARRAY_SIZE(last))
		return 0;
	if (current->tgid == 1) {
		if (last[mutant].init == jiffies / 16)
			return 0;
		last[mutant].init = jiffies / 16;
	} else {
		if (last[mutant].tick != jiffies) {
			last[mutant].tick = jiffies;
			memset(last[mutant].seen, -1, sizeof(last[mutant].seen));
		}
		for (i = 0; last[mutant].seen[i] != -1; i++) {
			if (i == 3 || last[mutant].seen[i] == current->pid)
				return 0;
		}
		last[mutant].seen[i] = current->pid;
	}
	printk_deferred(KERN_DEBUG "perfsec: mutant %u\n", mutant);
	return 0;
}
EXPORT_SYMBOL(perfsec_reach);

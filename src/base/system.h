/* The cores and the memory that this process may use. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdint.h>

uint32_t system_cores(void);            /* cores this process may run on, 1 or more */
uint64_t system_available_memory(void); /* bytes it may still take without swapping, or 0 if unknown */

#if defined(__linux__)
/* What the control groups of a process allow it: cores, by their CPU quotas, rounded up; and bytes that it may still
 * take, by their memory limits, 1 if none are left. UINT64_MAX: there is no limit. groups: a file like
 * /proc/self/cgroup; root: a folder like /sys/fs/cgroup. */
uint64_t cgroup_cores(const char *groups, const char *root);
uint64_t cgroup_memory_left(const char *groups, const char *root);
#endif

#endif

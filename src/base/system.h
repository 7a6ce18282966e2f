/* What the machine gives this process. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdint.h>

uint32_t system_cores(void);            /* cores this process may run on, 1 or more */
uint64_t system_available_memory(void); /* bytes it may still take without swapping, or 0 if unknown */

#if defined(__linux__)
/* What the control groups leave a process: the cores of their CPU quotas, a part of one counted as one, and the bytes
 * to their memory limits; UINT64_MAX where they set none. groups: a file like /proc/self/cgroup; root: a folder like
 * /sys/fs/cgroup. */
uint64_t cgroup_cores(const char *groups, const char *root);
uint64_t cgroup_memory_left(const char *groups, const char *root);
#endif

#endif

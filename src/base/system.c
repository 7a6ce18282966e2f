#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/system.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>

uint32_t system_cores(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
        int count = CPU_COUNT(&allowed);
        if (count > 0) return (uint32_t)count;
    }
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

/* The number in a file that holds one number; false for "max" and for a file that is not there. */
static int read_number(const char *path, unsigned long long *number) {
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    int read = fscanf(file, "%llu", number);
    fclose(file);
    return read == 1;
}

/* proc(5): MemAvailable is the kernel's estimate of what can be had without swapping. A container's limit
 * (cgroup v2, memory.max and memory.current) may be lower. */
uint64_t system_available_memory(void) {
    unsigned long long available = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    if (!file) return 0;
    char line[128];
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemAvailable: %llu kB", &available) == 1) break;
    fclose(file);
    available *= 1024;

    unsigned long long limit, used;
    if (read_number("/sys/fs/cgroup/memory.max", &limit) && read_number("/sys/fs/cgroup/memory.current", &used)) {
        unsigned long long left = limit > used ? limit - used : 0;
        if (left < available) available = left;
    }
    return available;
}

#else /* macOS and other Unix systems: half of the physical memory is a cautious guess at what is free */

uint32_t system_cores(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint64_t system_available_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : 0;
}

#endif

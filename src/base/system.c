/* Asks the kernel: Linux through sched_getaffinity(2), proc(5) and cgroups(7), others through sysconf(3). */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "base/system.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Half of the physical memory: a cautious guess at what is free, where the system does not say. */
static uint64_t half_of_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : 0;
}

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
static bool read_number(const char *path, uint64_t *number) {
    FILE *file = fopen(path, "re");
    if (!file) return false;
    bool read = fscanf(file, "%" SCNu64, number) == 1;
    fclose(file);
    return read;
}

/* The number that follows `name` in a file of lines "name number", or 0. */
static uint64_t read_field(const char *path, const char *name) {
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    char line[128];
    uint64_t number = 0;
    const size_t length = strlen(name);
    while (number == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0) number = strtoull(line + length, NULL, 10);
    fclose(file);
    return number;
}

/* proc(5): MemAvailable is the kernel's estimate of what can be had without swapping. A container's limit (cgroup v2)
 * may be lower; what it uses counts cached files too, which the kernel drops when the memory is needed. */
uint64_t system_available_memory(void) {
    uint64_t available = read_field("/proc/meminfo", "MemAvailable:") * 1024;
    if (available == 0) available = half_of_memory(); /* a chroot may lack /proc */
    uint64_t limit, used;
    if (read_number("/sys/fs/cgroup/memory.max", &limit) && read_number("/sys/fs/cgroup/memory.current", &used)) {
        const char *stat = "/sys/fs/cgroup/memory.stat";
        uint64_t cached = read_field(stat, "inactive_file ") + read_field(stat, "active_file ");
        used = used > cached ? used - cached : 0;
        uint64_t left = limit > used ? limit - used : 1;
        if (left < available) available = left;
    }
    return available;
}

#else /* macOS and other Unix systems */

uint32_t system_cores(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

uint64_t system_available_memory(void) { return half_of_memory(); }

#endif

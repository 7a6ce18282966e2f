/* Implements system.h by asking the kernel: on Linux with sched_getaffinity(2), proc(5) and cgroups(7), elsewhere with
 * sysconf(3). */
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

static uint32_t cores_online(void) {
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

/* Half of the physical memory: a cautious guess where the system does not say how much is available. */
static uint64_t half_of_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : 0;
}

#if defined(__linux__)
#include <sched.h>

#define MAX_PATH 4096

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static FILE *open_in(const char *folder, const char *name) {
    char path[MAX_PATH];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && (size_t)length < sizeof path ? fopen(path, "re") : NULL;
}

/* Read up to two numbers at the beginning of a file. Returns how many; 0 for "max" and for a missing file. */
static int read_numbers(const char *folder, const char *name, uint64_t numbers[2]) {
    FILE *file = open_in(folder, name);
    if (!file) return 0;
    int n_read = fscanf(file, "%" SCNu64 " %" SCNu64, &numbers[0], &numbers[1]);
    fclose(file);
    return n_read > 0 ? n_read : 0;
}

/* The number after `field` in a file of lines "field number", or 0. */
static uint64_t read_field(const char *folder, const char *name, const char *field) {
    FILE *file = open_in(folder, name);
    if (!file) return 0;
    char line[128];
    uint64_t number = 0;
    const size_t length = strlen(field);
    while (number == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, field, length) == 0) number = strtoull(line + length, NULL, 10);
    fclose(file);
    return number;
}

/* ---------------------------------------------------------------------------------------------- control groups */

/* The limit of one group, or UINT64_MAX. Versions 1 and 2 of cgroups have different files. */
typedef uint64_t (*group_reader)(const char *folder);

/* True if `word` is in a comma-separated list. */
static bool lists(const char *list, const char *word) {
    const size_t length = strlen(word);
    for (; list; list = strchr(list, ',')) {
        list += *list == ',';
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || !list[length])) return true;
    }
    return false;
}

/* The lowest limit of a group and all groups above it. In a container, the container's own group is often mounted as
 * the root. Then the groups in `path` do not exist: a missing file sets no limit. */
static uint64_t least_upwards(const char *root, const char *controller, const char *path, group_reader read_group) {
    char folder[MAX_PATH];
    int length = snprintf(folder, sizeof folder, "%s/%s%s", root, controller, path);
    if (length < 0 || (size_t)length >= sizeof folder) return UINT64_MAX;
    char *groups = folder + (size_t)length - strlen(path), *slash;
    uint64_t least = read_group(folder);
    while ((slash = strrchr(groups, '/'))) {
        *slash = 0;
        least = smaller(least, read_group(folder));
    }
    return least;
}

/* The lowest limit of all groups in the file `groups`. Its lines are "number:controllers:/path". In version 2 of
 * cgroups, `controllers` is empty; version 1 has a tree of groups for each controller. */
static uint64_t least_of_groups(const char *groups, const char *root, const char *controller, group_reader read_v1,
                                group_reader read_v2) {
    FILE *file = fopen(groups, "re");
    if (!file) return UINT64_MAX;
    uint64_t least = UINT64_MAX;
    char line[MAX_PATH];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(++controllers, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        if (!*controllers)
            least = smaller(least, least_upwards(root, "", path, read_v2));
        else if (lists(controllers, controller))
            least = smaller(least, least_upwards(root, controller, path, read_v1));
    }
    fclose(file);
    return least;
}

/* A quota is the CPU time that a group may use in a period, on all cores together. */
static uint64_t cores_of_quota(uint64_t quota, uint64_t period) {
    if (quota == 0 || period == 0) return UINT64_MAX;
    return quota / period + (quota % period != 0);
}

static uint64_t cores_v2(const char *folder) {
    uint64_t n[2];
    return read_numbers(folder, "cpu.max", n) == 2 ? cores_of_quota(n[0], n[1]) : UINT64_MAX;
}

static uint64_t cores_v1(const char *folder) {
    uint64_t quota[2], period[2]; /* -1 means no quota, and is read as a huge number */
    bool limited = read_numbers(folder, "cpu.cfs_quota_us", quota) && read_numbers(folder, "cpu.cfs_period_us", period);
    return limited ? cores_of_quota(quota[0], period[0]) : UINT64_MAX;
}

/* A group's usage includes cached files, which the kernel drops when memory is needed. */
static uint64_t left_of_memory(uint64_t limit, uint64_t used, uint64_t cached) {
    used = used > cached ? used - cached : 0;
    return limit > used ? limit - used : 1;
}

static uint64_t memory_v2(const char *folder) {
    uint64_t limit[2], used[2];
    if (!read_numbers(folder, "memory.max", limit) || !read_numbers(folder, "memory.current", used)) return UINT64_MAX;
    return left_of_memory(limit[0], used[0],
                          read_field(folder, "memory.stat", "inactive_file ") +
                              read_field(folder, "memory.stat", "active_file "));
}

static uint64_t memory_v1(const char *folder) {
    uint64_t limit[2], used[2]; /* a limit near INT64_MAX means no limit */
    if (!read_numbers(folder, "memory.limit_in_bytes", limit) || !read_numbers(folder, "memory.usage_in_bytes", used))
        return UINT64_MAX;
    return left_of_memory(limit[0], used[0],
                          read_field(folder, "memory.stat", "total_inactive_file ") +
                              read_field(folder, "memory.stat", "total_active_file "));
}

uint64_t cgroup_cores(const char *groups, const char *root) {
    return least_of_groups(groups, root, "cpu", cores_v1, cores_v2);
}

uint64_t cgroup_memory_left(const char *groups, const char *root) {
    return least_of_groups(groups, root, "memory", memory_v1, memory_v2);
}

/* ------------------------------------------------------------------------------------------- what this process has */

uint32_t system_cores(void) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
    uint32_t cores = count > 0 ? (uint32_t)count : cores_online();
    return (uint32_t)smaller(cores, cgroup_cores("/proc/self/cgroup", "/sys/fs/cgroup"));
}

/* proc(5): MemAvailable estimates the memory that is available without swapping */
uint64_t system_available_memory(void) {
    uint64_t available = read_field("/proc", "meminfo", "MemAvailable:") * 1024;
    if (available == 0) available = half_of_memory(); /* /proc may be missing in a chroot */
    return smaller(available, cgroup_memory_left("/proc/self/cgroup", "/sys/fs/cgroup"));
}

#else /* macOS and other Unix systems */

uint32_t system_cores(void) { return cores_online(); }
uint64_t system_available_memory(void) { return half_of_memory(); }

#endif

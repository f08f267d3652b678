/* How a benchmark program reports: one line "ROW name wall-seconds cpu-seconds check" for each measurement.
 * The same binary runs on the host and in the guests, and the lines are compared; "check" is a number that depends
 * on the work done, so that a wrong result is not taken for a fast one. */
#ifndef RYOKAN_BENCH_ROW_H
#define RYOKAN_BENCH_ROW_H

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

static inline double wall_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline double usage_seconds(const struct rusage *usage)
{
    return (double)usage->ru_utime.tv_sec + (double)usage->ru_utime.tv_usec * 1e-6
        + (double)usage->ru_stime.tv_sec + (double)usage->ru_stime.tv_usec * 1e-6;
}

static inline double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage_seconds(&usage);
}

static inline void print_row(const char *name, double wall, double cpu, uint64_t check)
{
    printf("ROW %s %.12f %.9f %016llx\n", name, wall, cpu, (unsigned long long)check);
    fflush(stdout);
}

#endif

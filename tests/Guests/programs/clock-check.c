/* clock-check line: prints "CLOCK realtime monotonic" in seconds.
 * clock-check sleeps: sleeps of several lengths are never early and seldom late.
 * clock-check monotonic: no CPU and no clock ever shows an earlier time than was seen before. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SLEEPS = 25, SWITCHES = 20000 };
static const int64_t second = 1000000000;
/* The most that the median sleep may be late. */
static const int64_t late_limit = 4000000;

static int64_t now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * second + time.tv_nsec;
}

static int line(void)
{
    int64_t real = now(CLOCK_REALTIME), monotonic = now(CLOCK_MONOTONIC);
    printf("CLOCK %lld.%09lld %lld.%09lld\n", (long long)(real / second), (long long)(real % second),
        (long long)(monotonic / second), (long long)(monotonic % second));
    return 0;
}

static int ascending(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static int sleeps(void)
{
    static const int64_t lengths[] = {100000, 1000000, 4000000, 20000000, 50000000};
    int failed = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        int64_t late[SLEEPS];
        for (int j = 0; j < SLEEPS; j++) {
            struct timespec length = {0, lengths[i]};
            int64_t start = now(CLOCK_MONOTONIC);
            while (nanosleep(&length, &length) != 0 && errno == EINTR)
                continue;
            late[j] = now(CLOCK_MONOTONIC) - start - lengths[i];
        }
        qsort(late, SLEEPS, sizeof late[0], ascending);
        printf("sleep of %lld us: late by %lld us at least, %lld us in the median, %lld us at most\n",
            (long long)lengths[i] / 1000, (long long)late[0] / 1000, (long long)late[SLEEPS / 2] / 1000,
            (long long)late[SLEEPS - 1] / 1000);
        failed |= late[0] < 0 || late[SLEEPS / 2] > late_limit;
    }
    return failed;
}

static int monotonic(void)
{
    static const clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t seen[3] = {0, 0, 0};
    for (int i = 0; i < SWITCHES; i++) {
        if (i % 16 == 0) {
            cpu_set_t cpu;
            CPU_ZERO(&cpu);
            CPU_SET((size_t)(i / 16) % (size_t)cpus, &cpu);
            sched_setaffinity(0, sizeof cpu, &cpu);
        }
        for (int j = 0; j < 3; j++) {
            int64_t time = now(clocks[j]);
            if (time < seen[j]) {
                printf("clock %d went back by %lld ns\n", (int)clocks[j], (long long)(seen[j] - time));
                return 1;
            }
            seen[j] = time;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "line") == 0)
        return line();
    if (strcmp(what, "sleeps") == 0)
        return sleeps();
    if (strcmp(what, "monotonic") == 0)
        return monotonic();
    fprintf(stderr, "usage: clock-check line|sleeps|monotonic\n");
    return 2;
}

/* cpu [NAME...]: runs the named programs, or all, each in a process of its own, and prints a ROW for each.
 * cpu --scale N: N processes that do the same integer work at the same time; the ROW gives the time until the
 * last has ended. */
#include <string.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../row.h"
#include "cpu.h"

struct program {
    const char *name;
    uint64_t (*run)(void);
    int needs_avx2;
};

static const struct program programs[] = {
    {"integer", run_integer, 0},
    {"recursion", run_recursion, 0},
    {"sort", run_sort, 0},
    {"hash", run_hash, 0},
    {"sieve", run_sieve, 0},
    {"crc", run_crc, 0},
    {"strings", run_strings, 0},
    {"sse2-matmul", run_sse2_matmul, 0},
    {"sse2-nbody", run_sse2_nbody, 0},
    {"avx2-matmul", run_avx2_matmul, 1},
    {"avx2-mandelbrot", run_avx2_mandelbrot, 1},
    {"x87", run_x87, 0},
    {"memcpy", run_memcpy, 0},
    {"chase", run_chase, 0},
    {"indirect", run_indirect, 0},
    {"interpreter", run_interpreter, 0},
};

enum { PROGRAM_COUNT = sizeof programs / sizeof programs[0], SCALE_MAXIMUM = 16 };

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

static void measure(const struct program *program)
{
    double wall = wall_seconds(), cpu = cpu_seconds();
    uint64_t check = program->run();
    print_row(program->name, wall_seconds() - wall, cpu_seconds() - cpu, check);
}

static int run_apart(const struct program *program)
{
    int status;
    pid_t child;

    if (program->needs_avx2 && !has_avx2()) {
        printf("SKIP %s: this CPU has no AVX2\n", program->name);
        return 0;
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        measure(program);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        printf("FAIL %s: ended with status %x\n", program->name, child < 0 ? -1 : status);
        return 1;
    }
    return 0;
}

static int scale(int count)
{
    pid_t children[SCALE_MAXIMUM];
    char name[32];
    int i, status, failed = 0;
    double wall = wall_seconds();

    for (i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            volatile uint64_t check = run_integer() + run_recursion() + run_integer() + run_recursion();
            (void)check;
            _exit(0);
        }
    }
    for (i = 0; i < count; i++)
        failed |= children[i] < 0 || waitpid(children[i], &status, 0) != children[i] || status != 0;
    snprintf(name, sizeof name, "scale-%d", count);
    if (failed)
        printf("FAIL %s\n", name);
    else
        print_row(name, wall_seconds() - wall, 0, (uint64_t)count);
    return failed;
}

int main(int argc, char **argv)
{
    int i, j, failed = 0;

    if (argc == 3 && strcmp(argv[1], "--scale") == 0) {
        int count = atoi(argv[2]);
        if (count < 1 || count > SCALE_MAXIMUM) {
            fprintf(stderr, "cpu: --scale takes 1 to %d\n", SCALE_MAXIMUM);
            return 2;
        }
        return scale(count);
    }
    for (i = 0; i < PROGRAM_COUNT; i++) {
        int wanted = argc == 1;
        for (j = 1; j < argc; j++)
            wanted |= strcmp(argv[j], programs[i].name) == 0;
        if (wanted)
            failed |= run_apart(&programs[i]);
    }
    return failed;
}

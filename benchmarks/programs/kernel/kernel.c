/* kernel [NAME...]: what the kernel's own work costs, one ROW for each operation: seconds for one of it.
 *
 * Each row repeats its operation until a batch takes long enough to be measured, runs several batches and
 * reports the median one. The rows are the kind that lmbench made usual; the code is our own. Run it in a
 * directory on a memory file system: it makes and removes a small file there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../row.h"

enum { BATCHES = 7, PAGE = 4096, FAULT_PAGES = 1024, PIPE_CHUNK = 65536 };
static const double batch_seconds = 0.02;
static const char file_name[] = "kernel-bench-file";
static const char *self;
static int zero_fd, null_fd;

static void die(const char *what)
{
    printf("FAIL kernel: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(long result, const char *what)
{
    if (result < 0)
        die(what);
}

static void null_call(long count)
{
    while (count-- > 0)
        check(syscall(SYS_getppid), "getppid");
}

static void read_zero(long count)
{
    char byte;
    while (count-- > 0)
        check(read(zero_fd, &byte, 1), "read");
}

static void write_null(long count)
{
    char byte = 0;
    while (count-- > 0)
        check(write(null_fd, &byte, 1), "write");
}

static void stat_file(long count)
{
    struct stat status;
    while (count-- > 0)
        check(stat(file_name, &status), "stat");
}

static void open_close(long count)
{
    while (count-- > 0) {
        int fd = open(file_name, O_RDONLY);
        check(fd, "open");
        close(fd);
    }
}

static volatile sig_atomic_t delivered;

static void on_signal(int number)
{
    (void)number;
    delivered++;
}

static void signal_install(long count)
{
    struct sigaction action = {.sa_handler = on_signal};
    while (count-- > 0)
        check(sigaction(SIGUSR1, &action, NULL), "sigaction");
}

static void signal_deliver(long count)
{
    pid_t me = getpid();
    long expected = count;
    signal_install(1);
    delivered = 0;
    while (count-- > 0)
        check(kill(me, SIGUSR1), "kill");
    if (delivered != (sig_atomic_t)expected)
        die("a signal was lost");
}

static void wait_for(pid_t child)
{
    int status;
    check(child, "fork");
    check(waitpid(child, &status, 0), "waitpid");
    if (status != 0)
        die("a child failed");
}

static void fork_exit(long count)
{
    while (count-- > 0) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        wait_for(child);
    }
}

static void fork_exec(long count)
{
    while (count-- > 0) {
        pid_t child = fork();
        if (child == 0) {
            execl(self, "kernel", "--nothing", (char *)NULL);
            _exit(1);
        }
        wait_for(child);
    }
}

/* A shell that runs a program: $BENCH_SH names a static shell, so that both sides run the same one. */
static void fork_shell(long count)
{
    const char *shell = getenv("BENCH_SH");
    char command[512];
    snprintf(command, sizeof command, "%s --nothing; :", self);
    while (count-- > 0) {
        pid_t child = fork();
        if (child == 0) {
            execl(shell ? shell : "/bin/sh", "sh", "-c", command, (char *)NULL);
            _exit(1);
        }
        wait_for(child);
    }
}

/* A token goes round two processes; "count" round trips, two switches and four pipe operations each. */
static void pipe_round_trip(long count)
{
    int there[2], back[2];
    char token = 0;
    pid_t child;
    check(pipe(there), "pipe");
    check(pipe(back), "pipe");
    child = fork();
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &token, 1) == 1)
            if (write(back[1], &token, 1) != 1)
                _exit(1);
        _exit(0);
    }
    check(child, "fork");
    close(there[0]);
    close(back[1]);
    while (count-- > 0) {
        check(write(there[1], &token, 1), "write");
        if (read(back[0], &token, 1) != 1)
            die("the other end of the pipe is gone");
    }
    close(there[1]);
    close(back[0]);
    wait_for(child);
}


/* What the pipe operations of a round trip cost one process alone. */
static void pipe_alone(long count)
{
    int ends[2];
    char token = 0;
    check(pipe(ends), "pipe");
    while (count-- > 0) {
        check(write(ends[1], &token, 1), "write");
        check(read(ends[0], &token, 1), "read");
    }
    close(ends[0]);
    close(ends[1]);
}

/* One MiB through a pipe. */
static void pipe_transfer(long count)
{
    static char buffer[PIPE_CHUNK];
    int ends[2];
    pid_t child;
    long left = count * 16;
    check(pipe(ends), "pipe");
    child = fork();
    if (child == 0) {
        close(ends[1]);
        while (read(ends[0], buffer, sizeof buffer) > 0)
            continue;
        _exit(0);
    }
    check(child, "fork");
    close(ends[0]);
    while (left-- > 0)
        if (write(ends[1], buffer, sizeof buffer) != sizeof buffer)
            die("write");
    close(ends[1]);
    wait_for(child);
}

/* First touch of an anonymous page; mapping and unmapping are spread over the pages. */
static void page_fault(long count)
{
    while (count > 0) {
        long pages = count < FAULT_PAGES ? count : FAULT_PAGES;
        char *area = mmap(NULL, FAULT_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            die("mmap");
        madvise(area, FAULT_PAGES * PAGE, MADV_NOHUGEPAGE);
        for (long i = 0; i < pages; i++)
            ((volatile char *)area)[i * PAGE] = 1;
        check(munmap(area, FAULT_PAGES * PAGE), "munmap");
        count -= pages;
    }
}

/* A page of a file in memory, mapped shared and read: a fault that finds its page. */
static void file_fault(long count)
{
    int fd = open(file_name, O_RDONLY);
    check(fd, "open");
    while (count-- > 0) {
        volatile char *area = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
        if (area == MAP_FAILED)
            die("mmap");
        (void)area[0];
        check(munmap((void *)area, PAGE), "munmap");
    }
    close(fd);
}

/* Map and unmap 1 MiB without touching it. */
static void map_unmap(long count)
{
    while (count-- > 0) {
        void *area = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (area == MAP_FAILED)
            die("mmap");
        check(munmap(area, 1 << 20), "munmap");
    }
}

/* Write to a read-only page: fault, signal, return with the page made writable. */
static char *guarded;

static void on_fault(int number)
{
    (void)number;
    mprotect(guarded, PAGE, PROT_READ | PROT_WRITE);
}

static void protection_fault(long count)
{
    struct sigaction action = {.sa_handler = on_fault};
    guarded = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guarded == MAP_FAILED)
        die("mmap");
    check(sigaction(SIGSEGV, &action, NULL), "sigaction");
    while (count-- > 0) {
        mprotect(guarded, PAGE, PROT_READ);
        *(volatile char *)guarded = 1;
    }
    munmap(guarded, PAGE);
}

static void clock_read(long count)
{
    struct timespec now;
    while (count-- > 0)
        check(clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
}

struct operation {
    const char *name;
    void (*run)(long count);
};

static const struct operation operations[] = {
    {"null-call", null_call},
    {"clock", clock_read},
    {"read", read_zero},
    {"write", write_null},
    {"stat", stat_file},
    {"open-close", open_close},
    {"signal-install", signal_install},
    {"signal-deliver", signal_deliver},
    {"protection-fault", protection_fault},
    {"page-fault", page_fault},
    {"file-fault", file_fault},
    {"mmap", map_unmap},
    {"pipe-latency", pipe_round_trip},
    {"pipe-1MiB", pipe_transfer},
    {"fork", fork_exit},
    {"exec", fork_exec},
    {"sh", fork_shell},
};

static double timed(void (*run)(long), long count)
{
    double start = wall_seconds();
    run(count);
    return wall_seconds() - start;
}

static int ascending(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double measure(void (*run)(long))
{
    double seconds[BATCHES], taken;
    long count = 1;
    while ((taken = timed(run, count)) < batch_seconds) {
        double factor = taken > 0 ? batch_seconds * 1.2 / taken : 16;
        count = (long)((double)count * (factor > 16 ? 16 : factor)) + 1;
    }
    for (int i = 0; i < BATCHES; i++)
        seconds[i] = timed(run, count) / (double)count;
    qsort(seconds, BATCHES, sizeof seconds[0], ascending);
    return seconds[BATCHES / 2];
}

/* The time of one switch between two processes on one CPU: half a round trip, less the pipe operations in it. */
static double context_switch(void)
{
    double pipe_seconds = measure(pipe_alone);
    double switch_seconds = measure(pipe_round_trip) / 2 - pipe_seconds;
    return switch_seconds > 0 ? switch_seconds : 0;
}

static int wanted(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc == 1;
}

static void prepare(void)
{
    static char page[PAGE], path[PAGE];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    cpu_set_t cpus;
    int fd, cpu = sched_getcpu();
    check(length, "/proc/self/exe");
    self = path;
    /* One CPU: the rows are about the kernel's own paths, not about the host's or guest's scheduler. */
    CPU_ZERO(&cpus);
    CPU_SET(cpu < 0 ? 0 : cpu, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    fd = open(file_name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    check(fd, file_name);
    check(write(fd, page, sizeof page), file_name);
    close(fd);
    zero_fd = open("/dev/zero", O_RDONLY);
    check(zero_fd, "/dev/zero");
    null_fd = open("/dev/null", O_WRONLY);
    check(null_fd, "/dev/null");
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--nothing") == 0)
        return 0;
    prepare();
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (wanted(argc, argv, operations[i].name))
            print_row(operations[i].name, measure(operations[i].run), 0, 0);
    if (wanted(argc, argv, "context-switch"))
        print_row("context-switch", context_switch(), 0, 0);
    unlink(file_name);
    return 0;
}

/* row NAME COMMAND [ARGUMENT...]: runs the command with its output in a file, then prints a ROW with the wall time,
 * the CPU time of it and its children, and a hash of the output. A command that fails is a FAIL line. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../row.h"

static uint64_t hash_of(int fd)
{
    static unsigned char buffer[65536];
    uint64_t hash = 14695981039346656037u;
    ssize_t length;
    lseek(fd, 0, SEEK_SET);
    while ((length = read(fd, buffer, sizeof buffer)) > 0)
        for (ssize_t i = 0; i < length; i++)
            hash = (hash ^ buffer[i]) * 1099511628211u;
    return hash;
}

int main(int argc, char **argv)
{
    char path[] = "row-output-XXXXXX";
    struct rusage usage;
    double wall, taken;
    pid_t child;
    int output, status;

    if (argc < 3) {
        fprintf(stderr, "usage: row NAME COMMAND [ARGUMENT...]\n");
        return 2;
    }
    output = mkstemp(path);
    if (output < 0) {
        printf("FAIL %s: cannot make a file here: %s\n", argv[1], strerror(errno));
        return 1;
    }
    unlink(path);
    wall = wall_seconds();
    child = fork();
    if (child == 0) {
        dup2(output, 1);
        execvp(argv[2], argv + 2);
        fprintf(stderr, "row: %s: %s\n", argv[2], strerror(errno));
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
        printf("FAIL %s: ended with status %x\n", argv[1], child < 0 ? -1 : status);
        return 1;
    }
    taken = wall_seconds() - wall;
    print_row(argv[1], taken, usage_seconds(&usage), hash_of(output));
    return 0;
}

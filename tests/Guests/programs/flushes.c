/*
 * Writes numbered blocks to a disk and says on its standard output when a flush has returned, for tests that end
 * the domain's process in between: flushes DEVICE BLOCKS SEED
 * Write number n (from 1) goes to a block that a generator chooses, and fills its 4096 bytes with n, as 64-bit
 * words. "FLUSHED n" means that all writes up to n were written and flushed before.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK = 4096, MAX_BETWEEN = 32 };

static uint64_t state;

/* Knuth's MMIX generator; the upper half is the number. */
static uint64_t next(void)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return state >> 32;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: flushes DEVICE BLOCKS SEED\n");
        return 2;
    }
    uint64_t blocks = strtoull(argv[2], NULL, 10);
    state = strtoull(argv[3], NULL, 10);
    int fd = open(argv[1], O_WRONLY | O_DIRECT);
    uint64_t *buffer = aligned_alloc(BLOCK, BLOCK);
    if (fd < 0 || !buffer || blocks == 0) {
        perror(argv[1]);
        return 1;
    }
    for (uint64_t n = 1;; n++) {
        uint64_t block = next() % blocks;
        for (int i = 0; i < BLOCK / 8; i++)
            buffer[i] = n;
        if (pwrite(fd, buffer, BLOCK, (off_t)(block * BLOCK)) != BLOCK) {
            perror("write");
            return 1;
        }
        if (next() % MAX_BETWEEN == 0) {
            if (fdatasync(fd) != 0) {
                perror("fdatasync");
                return 1;
            }
            printf("FLUSHED %llu\n", (unsigned long long)n);
            fflush(stdout);
        }
    }
}

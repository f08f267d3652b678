/* The CPU-bound programs: each does a fixed amount of work and returns a number that depends on all of it. */
#ifndef RYOKAN_BENCH_CPU_H
#define RYOKAN_BENCH_CPU_H

#include <stdint.h>

/* A small generator with a fixed start: the same numbers everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

uint64_t run_integer(void);
uint64_t run_recursion(void);
uint64_t run_sort(void);
uint64_t run_hash(void);
uint64_t run_sieve(void);
uint64_t run_crc(void);
uint64_t run_strings(void);
uint64_t run_sse2_matmul(void);
uint64_t run_sse2_nbody(void);
uint64_t run_avx2_matmul(void);
uint64_t run_avx2_mandelbrot(void);
uint64_t run_x87(void);
uint64_t run_memcpy(void);
uint64_t run_chase(void);
uint64_t run_indirect(void);
uint64_t run_interpreter(void);

#endif

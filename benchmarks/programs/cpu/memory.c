/* Memory and control flow: copies, a pointer chase, indirect calls, an interpreter loop. */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

/* Copies of many sizes and alignments through the C library. */
uint64_t run_memcpy(void)
{
    enum { LENGTH = 4 << 20, SMALL = 6000000, MEDIUM = 200000, LARGE = 60 };
    unsigned char *from = malloc(LENGTH), *to = malloc(LENGTH);
    uint64_t state = 123456789, check = 0;
    for (int i = 0; i < LENGTH; i++)
        from[i] = (unsigned char)next_random(&state);
    memset(to, 1, LENGTH);
    for (int i = 0; i < SMALL; i++) {
        unsigned at = (unsigned)i * 61 & 0xffff, length = (unsigned)i * 7 & 127;
        memcpy(to + at, from + at / 2, length);
        check += to[at + 64];
    }
    for (int i = 0; i < MEDIUM; i++) {
        unsigned at = (unsigned)i * 4099 & 0xfffff, length = 1024 + ((unsigned)i * 37 & 4095);
        memcpy(to + at, from + (at ^ 0x8000), length);
        check += to[at + 512];
    }
    for (int i = 0; i < LARGE; i++) {
        memcpy(to, from, LENGTH);
        memmove(to + 1, to, LENGTH - 1);
        check += to[(unsigned)i * 69997 % LENGTH];
    }
    free(from);
    free(to);
    return check;
}

/* A random cycle through 8 MiB, one load after the other. */
uint64_t run_chase(void)
{
    enum { COUNT = 1 << 21, STEPS = 3000000 };
    uint32_t *next = malloc(COUNT * sizeof *next), at = 0;
    uint64_t state = 88172645463325252u, check = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        next[i] = i;
    for (uint32_t i = COUNT - 1; i > 0; i--) {
        uint32_t other = (uint32_t)(next_random(&state) % i), swap = next[i];
        next[i] = next[other];
        next[other] = swap;
    }
    for (int i = 0; i < STEPS; i++) {
        at = next[at];
        check += at;
    }
    free(next);
    return check;
}

typedef uint64_t (*operation)(uint64_t);

static uint64_t operation_0(uint64_t x) { return x + 0x9e3779b97f4a7c15u; }
static uint64_t operation_1(uint64_t x) { return x ^ x >> 29; }
static uint64_t operation_2(uint64_t x) { return x * 5; }
static uint64_t operation_3(uint64_t x) { return x << 7 | x >> 57; }
static uint64_t operation_4(uint64_t x) { return ~x; }
static uint64_t operation_5(uint64_t x) { return x - 12345; }
static uint64_t operation_6(uint64_t x) { return x ^ 0x5555555555555555u; }
static uint64_t operation_7(uint64_t x) { return x + (x >> 3); }

uint64_t run_indirect(void)
{
    static const operation operations[8] = {
        operation_0, operation_1, operation_2, operation_3, operation_4, operation_5, operation_6, operation_7,
    };
    enum { CALLS = 100000000 };
    const operation *volatile table = operations;
    const operation *calls = table;
    uint64_t x = 1;
    unsigned char order[256];
    uint64_t state = 1181783497276652981u;
    for (int i = 0; i < 256; i++)
        order[i] = (unsigned char)(next_random(&state) & 7);
    for (int i = 0; i < CALLS; i++)
        x = calls[order[i & 255]](x);
    return x;
}

enum opcode { OP_ADD, OP_MULTIPLY, OP_XOR, OP_SHIFT, OP_LOAD, OP_STORE, OP_DECREMENT_JUMP, OP_END };

/* A byte-code machine: one unpredictable jump through a table for each instruction. */
uint64_t run_interpreter(void)
{
    static const unsigned char code[] = {
        OP_LOAD, 1, OP_ADD, 3, OP_XOR, 2, OP_STORE, 1, OP_LOAD, 2, OP_MULTIPLY, 3, OP_SHIFT, 5, OP_STORE, 2,
        OP_LOAD, 3, OP_XOR, 1, OP_ADD, 2, OP_STORE, 3, OP_DECREMENT_JUMP, 0, OP_END, 0,
    };
    uint64_t registers[4] = {6000000, 1, 2, 3}, accumulator = 0;
    const unsigned char *volatile start = code;
    for (const unsigned char *at = start;; at += 2) {
        unsigned argument = at[1];
        switch ((enum opcode)at[0]) {
        case OP_ADD: accumulator += registers[argument]; break;
        case OP_MULTIPLY: accumulator *= registers[argument] | 1; break;
        case OP_XOR: accumulator ^= registers[argument]; break;
        case OP_SHIFT: accumulator = accumulator << argument | accumulator >> (64 - argument); break;
        case OP_LOAD: accumulator = registers[argument]; break;
        case OP_STORE: registers[argument] = accumulator; break;
        case OP_DECREMENT_JUMP:
            if (--registers[0] != 0)
                at = start - 2;
            break;
        case OP_END: return accumulator ^ registers[1];
        }
    }
}

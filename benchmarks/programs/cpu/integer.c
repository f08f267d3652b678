/* Plain integer code: arithmetic, calls, sorting, hashing, bit work. */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

/* Lengths of Collatz sequences: dependent arithmetic and unpredictable branches. */
uint64_t run_integer(void)
{
    uint64_t sum = 0;
    for (uint64_t start = 1; start < 600000; start++) {
        uint64_t n = start;
        while (n != 1) {
            n = n & 1 ? 3 * n + 1 : n / 2;
            sum++;
        }
    }
    return sum;
}

__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static uint64_t fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

uint64_t run_recursion(void)
{
    return fibonacci(38);
}

static void quicksort(uint64_t *values, long low, long high)
{
    while (low < high) {
        uint64_t pivot = values[low + (high - low) / 2];
        long i = low, j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j) {
                uint64_t swap = values[i];
                values[i++] = values[j];
                values[j--] = swap;
            }
        }
        quicksort(values, low, j);
        low = i;
    }
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* One sort of our own, and the C library's with its call of a comparison function. */
uint64_t run_sort(void)
{
    enum { COUNT = 1000000, LIBRARY_COUNT = 400000 };
    uint64_t state = 88172645463325252u, check = 0;
    uint64_t *values = malloc(COUNT * sizeof *values);
    for (long i = 0; i < COUNT; i++)
        values[i] = next_random(&state);
    quicksort(values, 0, COUNT - 1);
    for (long i = 0; i < COUNT; i += 1000)
        check = check * 31 + values[i];
    for (long i = 0; i < LIBRARY_COUNT; i++)
        values[i] = next_random(&state);
    qsort(values, LIBRARY_COUNT, sizeof *values, compare);
    for (long i = 0; i < LIBRARY_COUNT; i += 1000)
        check = check * 31 + values[i];
    free(values);
    return check;
}

/* A hash table with open addressing: multiplication, random access. */
uint64_t run_hash(void)
{
    enum { BITS = 18, SIZE = 1 << BITS, KEYS = SIZE / 2, ROUNDS = 48 };
    uint64_t *keys = calloc(SIZE, sizeof *keys), *counts = calloc(SIZE, sizeof *counts), check = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t state = 2463534242u;
        for (int i = 0; i < KEYS; i++) {
            uint64_t key = next_random(&state) | 1;
            uint64_t slot = key * 0x9e3779b97f4a7c15u >> (64 - BITS);
            while (keys[slot] != 0 && keys[slot] != key)
                slot = (slot + 1) & (SIZE - 1);
            keys[slot] = key;
            counts[slot] += (uint64_t)i;
            check += counts[slot] ^ slot;
        }
    }
    free(keys);
    free(counts);
    return check;
}

uint64_t run_sieve(void)
{
    enum { LIMIT = 8000000 };
    unsigned char *composite = calloc(LIMIT, 1);
    uint64_t count = 0, sum = 0;
    for (int round = 0; round < 3; round++) {
        memset(composite, 0, LIMIT);
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            count++;
            sum += i;
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    free(composite);
    return count * 1000003 + sum;
}

/* CRC-32 by table, byte by byte, then bit by bit. */
uint64_t run_crc(void)
{
    enum { LENGTH = 1 << 20, ROUNDS = 40, BITWISE = 1 << 20 };
    uint32_t table[256], crc = ~0u;
    unsigned char *data = malloc(LENGTH);
    uint64_t state = 362436069;
    for (int i = 0; i < LENGTH; i++)
        data[i] = (unsigned char)next_random(&state);
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
        table[i] = value;
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LENGTH; i++)
            crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    for (int i = 0; i < BITWISE; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    free(data);
    return crc;
}

/* The C library's string functions on short and long strings. */
uint64_t run_strings(void)
{
    enum { COUNT = 20000, LONGEST = 200, ROUNDS = 100 };
    char *text = malloc(COUNT * (LONGEST + 1)), needle[8] = "zyx";
    uint64_t state = 521288629, check = 0;
    for (int i = 0; i < COUNT; i++) {
        unsigned length = (unsigned)(next_random(&state) % LONGEST);
        char *string = text + i * (LONGEST + 1);
        for (unsigned j = 0; j < length; j++)
            string[j] = (char)('a' + next_random(&state) % 26);
        string[length] = 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 1; i < COUNT; i++) {
            const char *string = text + i * (LONGEST + 1), *before = string - (LONGEST + 1), *found;
            check += strlen(string);
            check = check * 31 + (uint64_t)(strcmp(string, before) > 0);
            found = strchr(string, 'q');
            check += found ? (uint64_t)(found - string) : 0;
            found = strstr(string, needle);
            check += found ? (uint64_t)(found - string) : 1;
        }
    }
    free(text);
    return check;
}

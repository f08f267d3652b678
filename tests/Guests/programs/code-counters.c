// Two threads count with locked instructions in a page whose code both of them run all the time, and change now and then:
// no count may be lost.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { threads = 2, rounds = 40000, counter_at = 2048, exchanged_at = 2112 };

static uint8_t *page;
static int failures;

static void *count(void *argument) {
    intptr_t self = (intptr_t)argument;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(self, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    int (*code)(void) = (int (*)(void))(page + 64 * self); // mov eax, imm32; ret
    uint64_t *counter = (uint64_t *)(page + counter_at);
    uint32_t *exchanged = (uint32_t *)(page + exchanged_at);
    for (int n = 0; n < rounds; n++) {
        if (n % 1000 == 0) {
            int32_t value = n;
            memcpy(page + 64 * self + 1, &value, sizeof value);
        }
        if (code() != n / 1000 * 1000) {
            __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
        }
        __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
        uint32_t seen = __atomic_load_n(exchanged, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(exchanged, &seen, seen + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
        }
    }
    return NULL;
}

int main(void) {
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    pthread_t thread[threads];
    for (intptr_t n = 0; n < threads; n++) {
        memcpy(page + 64 * n, "\xb8\0\0\0\0\xc3", 6);
    }
    for (intptr_t n = 0; n < threads; n++) {
        pthread_create(&thread[n], NULL, count, (void *)n);
    }
    for (int n = 0; n < threads; n++) {
        pthread_join(thread[n], NULL);
    }
    uint64_t counted = *(uint64_t *)(page + counter_at);
    uint32_t exchanged = *(uint32_t *)(page + exchanged_at);
    printf("%d counted %llu and %u, %d times old code\n", threads * rounds, (unsigned long long)counted, exchanged, failures);
    return counted != threads * rounds || exchanged != threads * rounds || failures != 0;
}

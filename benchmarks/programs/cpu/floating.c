/* Floating point: SSE2 (vector and scalar) and the x87. */
#include <emmintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

uint64_t run_sse2_matmul(void)
{
    enum { N = 320, ROUNDS = 8 };
    double *a = aligned_alloc(64, N * N * sizeof *a), *b = aligned_alloc(64, N * N * sizeof *b);
    double *c = aligned_alloc(64, N * N * sizeof *c), sum = 0;
    for (int i = 0; i < N * N; i++) {
        a[i] = (double)(i % 97) / 97;
        b[i] = (double)(i % 89) / 89;
    }
    for (int round = 0; round < ROUNDS; round++) {
        memset(c, 0, N * N * sizeof *c);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) {
                __m128d factor = _mm_set1_pd(a[i * N + k]);
                for (int j = 0; j < N; j += 4) {
                    __m128d *target = (__m128d *)&c[i * N + j];
                    const __m128d *row = (const __m128d *)&b[k * N + j];
                    target[0] = _mm_add_pd(target[0], _mm_mul_pd(factor, row[0]));
                    target[1] = _mm_add_pd(target[1], _mm_mul_pd(factor, row[1]));
                }
            }
        sum += c[round * N + round];
        a[round] += c[round] * 1e-9;
    }
    free(a);
    free(b);
    free(c);
    return bits_of(sum);
}

struct body {
    double x, y, z, vx, vy, vz, mass;
};

/* Five bodies under gravity: scalar arithmetic with square roots and divisions. */
uint64_t run_sse2_nbody(void)
{
    enum { BODIES = 5, STEPS = 1200000 };
    struct body bodies[BODIES];
    double energy = 0;
    for (int i = 0; i < BODIES; i++)
        bodies[i] = (struct body){i * 1.5, i * 0.7 - 1, 0.3 * i * i, 0.01 * i, 0.02, -0.01 * i, i ? 0.01 : 10};
    for (int step = 0; step < STEPS; step++) {
        for (int i = 0; i < BODIES; i++)
            for (int j = i + 1; j < BODIES; j++) {
                struct body *p = &bodies[i], *q = &bodies[j];
                double dx = p->x - q->x, dy = p->y - q->y, dz = p->z - q->z;
                double square = dx * dx + dy * dy + dz * dz + 0.01;
                double magnitude = 0.0001 / (square * __builtin_sqrt(square));
                p->vx -= dx * q->mass * magnitude;
                p->vy -= dy * q->mass * magnitude;
                p->vz -= dz * q->mass * magnitude;
                q->vx += dx * p->mass * magnitude;
                q->vy += dy * p->mass * magnitude;
                q->vz += dz * p->mass * magnitude;
            }
        for (int i = 0; i < BODIES; i++) {
            bodies[i].x += 0.0001 * bodies[i].vx;
            bodies[i].y += 0.0001 * bodies[i].vy;
            bodies[i].z += 0.0001 * bodies[i].vz;
        }
    }
    for (int i = 0; i < BODIES; i++)
        energy += bodies[i].mass * (bodies[i].vx * bodies[i].vx + bodies[i].vy * bodies[i].vy);
    return bits_of(energy);
}

/* 80-bit arithmetic: a logistic map, a Newton square root and a rounded sum. */
uint64_t run_x87(void)
{
    enum { STEPS = 12000000 };
    long double x = 0.3L, root = 1, sum = 0;
    for (int i = 0; i < STEPS; i++) {
        x = 3.75L * x * (1 - x);
        root = (root + (i + 2) / root) / 2;
        sum += x * root - (long double)(i & 1023);
    }
    return bits_of((double)sum) ^ bits_of((double)x);
}

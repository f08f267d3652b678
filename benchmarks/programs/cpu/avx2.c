/* AVX2; compiled with -mavx2 and run only where the CPU says it has it. Without fused multiply-add on purpose: QEMU
 * 7.2 emulates that one thousands of times slower than native, which would drown every other figure. */
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

uint64_t run_avx2_matmul(void)
{
    enum { N = 384, ROUNDS = 16 };
    float *a = aligned_alloc(64, N * N * sizeof *a), *b = aligned_alloc(64, N * N * sizeof *b);
    float *c = aligned_alloc(64, N * N * sizeof *c), sum = 0;
    uint32_t bits;
    for (int i = 0; i < N * N; i++) {
        a[i] = (float)(i % 97) / 97;
        b[i] = (float)(i % 89) / 89;
    }
    for (int round = 0; round < ROUNDS; round++) {
        memset(c, 0, N * N * sizeof *c);
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++) {
                __m256 factor = _mm256_broadcast_ss(&a[i * N + k]);
                for (int j = 0; j < N; j += 16) {
                    __m256 *target = (__m256 *)&c[i * N + j];
                    const __m256 *row = (const __m256 *)&b[k * N + j];
                    target[0] = _mm256_add_ps(target[0], _mm256_mul_ps(factor, row[0]));
                    target[1] = _mm256_add_ps(target[1], _mm256_mul_ps(factor, row[1]));
                }
            }
        sum += c[round * N + round];
        a[round] += c[round] * 1e-6f;
    }
    free(a);
    free(b);
    free(c);
    memcpy(&bits, &sum, sizeof bits);
    return bits;
}

/* Eight points at a time: arithmetic, comparisons, masks, integer lanes. */
uint64_t run_avx2_mandelbrot(void)
{
    enum { SIZE = 1024, ITERATIONS = 1024 };
    const __m256 lanes = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7), four = _mm256_set1_ps(4);
    __m256i total = _mm256_setzero_si256();
    uint32_t counts[8];
    uint64_t check = 0;
    for (int py = 0; py < SIZE; py++) {
        __m256 cy = _mm256_set1_ps((float)py * (2.4f / SIZE) - 1.2f);
        for (int px = 0; px < SIZE; px += 8) {
            __m256 points = _mm256_add_ps(_mm256_set1_ps((float)px), lanes);
            __m256 cx = _mm256_add_ps(_mm256_mul_ps(points, _mm256_set1_ps(3.0f / SIZE)), _mm256_set1_ps(-2.2f));
            __m256 x = _mm256_setzero_ps(), y = x;
            for (int i = 0; i < ITERATIONS; i++) {
                __m256 xx = _mm256_mul_ps(x, x), yy = _mm256_mul_ps(y, y);
                __m256 inside = _mm256_cmp_ps(_mm256_add_ps(xx, yy), four, _CMP_LT_OQ);
                if (_mm256_testz_ps(inside, inside))
                    break;
                total = _mm256_sub_epi32(total, _mm256_castps_si256(inside));
                y = _mm256_add_ps(_mm256_mul_ps(_mm256_add_ps(x, x), y), cy);
                x = _mm256_add_ps(_mm256_sub_ps(xx, yy), cx);
            }
        }
    }
    _mm256_storeu_si256((__m256i *)counts, total);
    for (int i = 0; i < 8; i++)
        check = check * 31 + counts[i];
    return check;
}

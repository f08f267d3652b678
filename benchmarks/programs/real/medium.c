/* A medium-sized translation unit for the compiler row: the other benchmark programs in one. */
#define _GNU_SOURCE
#include "../cpu/integer.c"
#include "../cpu/floating.c"
#include "../cpu/memory.c"
#include "../cpu/avx2.c"
#include "../kernel/kernel.c"

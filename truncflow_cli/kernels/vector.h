/* Sums and products of short rows, four numbers at a time where the processor can. */

#pragma once

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FMA__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

typedef double Four __attribute__((vector_size(32), aligned(8)));

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE double minimum(double a, double b) { return a < b ? a : b; }
INLINE double maximum(double a, double b) { return a > b ? a : b; }

INLINE Four four_at(const double *a)
{
    return *(const Four *)a;
}

INLINE void put_four(double *a, Four value)
{
    *(Four *)a = value;
}

INLINE Four all_four(double a)
{
    return (Four){a, a, a, a};
}

INLINE double sum_of_four(Four a)
{
    return (a[0] + a[1]) + (a[2] + a[3]);
}

/* Return a b + c, rounded once where the processor can do that. */
INLINE Four multiply_add(Four a, Four b, Four c)
{
#ifdef __FMA__
    return (Four)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    return a * b + c;
#endif
}

/* The same of single numbers. */
INLINE double multiply_add_one(double a, double b, double c)
{
#ifdef __FMA__
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}

/* Return Σ_k a_k b_k. */
INLINE double along(const double *a, const double *b, int64_t size)
{
    Four sums = {0.0, 0.0, 0.0, 0.0};
    int64_t k = 0;
    for (; k + 4 <= size; k += 4)
        sums = multiply_add(four_at(a + k), four_at(b + k), sums);
    double total = sum_of_four(sums);
    for (; k < size; k++)
        total += a[k] * b[k];
    return total;
}

/* The same for long ones, from four sums that do not wait for one another. */
INLINE double long_along(const double *a, const double *b, int64_t size)
{
    Four sums[4] = {all_four(0.0), all_four(0.0), all_four(0.0), all_four(0.0)};
    int64_t k = 0;
    for (; k + 16 <= size; k += 16)
        for (int v = 0; v < 4; v++)
            sums[v] = multiply_add(four_at(a + k + 4 * v), four_at(b + k + 4 * v), sums[v]);
    return sum_of_four((sums[0] + sums[1]) + (sums[2] + sums[3])) + along(a + k, b + k, size - k);
}

/* Let a be b. */
INLINE void copy_row(double *restrict a, const double *restrict b, int64_t size)
{
    int64_t k = 0;
    for (; k + 4 <= size; k += 4)
        put_four(a + k, four_at(b + k));
    for (; k < size; k++)
        a[k] = b[k];
}

/* Add w b to a. */
INLINE void add_multiple(double *restrict a, double w, const double *restrict b, int64_t size)
{
    int64_t k = 0;
    for (; k + 4 <= size; k += 4)
        put_four(a + k, multiply_add(all_four(w), four_at(b + k), four_at(a + k)));
    for (; k < size; k++)
        a[k] += w * b[k];
}

/* Four integers; what comparing Fours gives: -1, all bits, where it holds, 0 where not. */
typedef int64_t Wholes __attribute__((vector_size(32), aligned(8)));

/* Return a where it is marked, b elsewhere. */
INLINE Four choose(Wholes marked, Four a, Four b)
{
    return (Four)(((Wholes)a & marked) | ((Wholes)b & ~marked));
}

/* Return whether any is marked. */
INLINE int any_of(Wholes marked)
{
    return (marked[0] | marked[1] | marked[2] | marked[3]) != 0;
}

/* Return the greater of a and b, number by number. */
INLINE Four greater_of_four(Four a, Four b)
{
    return choose((Wholes)(b > a), b, a);
}

/* Return the greatest of four numbers. */
INLINE double greatest_of_four(Four a)
{
    return maximum(maximum(a[0], a[1]), maximum(a[2], a[3]));
}

/* Return |a_k| of each. */
INLINE Four sizes_of_four(Four a)
{
    const Wholes all = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    return (Four)((Wholes)a & all);
}

/* Return min(a_k, 0) of each. */
INLINE Four negative_part(Four a)
{
    return (Four)((Wholes)a & (Wholes)(a < all_four(0.0)));
}

/* Return max(a_k, 0) of each. */
INLINE Four positive_part(Four a)
{
    return (Four)((Wholes)a & (Wholes)(a > all_four(0.0)));
}

/* Return the last `count` entries of a, after zeros. */
INLINE Four last_of_four(Four a, int64_t count)
{
    const Wholes place = {0, 1, 2, 3}, first = {4 - count, 4 - count, 4 - count, 4 - count};
    return (Four)((Wholes)a & (Wholes)(place >= first));
}

/* Return the sums of a, b, c, d, each taken as in sum_of_four. */
INLINE Four four_sums(Four a, Four b, Four c, Four d)
{
#if defined(__clang__) || __GNUC__ >= 12
    const Four ab = __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
    const Four cd = __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
#else
    return (Four){sum_of_four(a), sum_of_four(b), sum_of_four(c), sum_of_four(d)};
#endif
}

/* Fill sums (rows) with Σ_k A_rk B_rk, for rows that are so far apart in A and in B, 0 if there is one only. */
INLINE void row_products(const double *A, int64_t apart_A, const double *B, int64_t apart_B, int64_t rows, int64_t size,
                         double *sums)
{
    const int64_t rest = size % 4;
    int64_t r = 0;
    if (size >= 4)
        for (; r + 4 <= rows; r += 4, A += 4 * apart_A, B += 4 * apart_B) {
            Four parts[4];
            for (int k = 0; k < 4; k++) {
                const double *a = A + k * apart_A + size - 4, *b = B + k * apart_B + size - 4;
                parts[k] = rest > 0 ? four_at(a) * last_of_four(four_at(b), rest) : all_four(0.0);
            }
            for (int64_t a = 0; a + 4 <= size; a += 4)
                for (int k = 0; k < 4; k++)
                    parts[k] = multiply_add(four_at(A + k * apart_A + a), four_at(B + k * apart_B + a), parts[k]);
            put_four(sums + r, four_sums(parts[0], parts[1], parts[2], parts[3]));
        }
    for (; r < rows; r++, A += apart_A, B += apart_B)
        sums[r] = along(A, B, size);
}

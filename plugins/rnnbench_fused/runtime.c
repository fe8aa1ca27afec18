/* What every kernel is made of: vectors, elementary functions, products of matrices, and teams of threads.
 *
 * Text in front of this defines DOUBLE as 0 or 1. `real` is the number computed with. Arrays are row-major; `ld` is
 * the distance between rows, in numbers. Arrays of the kernel's own start at multiples of 64 bytes and have rows padded
 * to PAD(width), so that whole vectors can be read from them; arrays of the caller are read and written exactly.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
#define MR 8 /* rows of a tile: with 32 registers, 16 of them hold a tile of 8 rows and 2 vectors */
#else
#define MR 4
#endif

#if DOUBLE
typedef double real;
typedef int64_t integer;
#define F(name) name
#define VL (BYTES / 8)
#else
typedef float real;
typedef int32_t integer;
#define F(name) name##f
#define VL (BYTES / 4)
#endif
#define NR (2 * VL) /* columns of a tile */
#define PAD(width) (((width) + NR - 1) / NR * NR)
#define PAD_ROWS(count) (((count) + MR - 1) / MR * MR)
#define INLINE static inline __attribute__((always_inline, unused))

typedef real V __attribute__((vector_size(BYTES)));
typedef integer M __attribute__((vector_size(BYTES)));
typedef V U __attribute__((aligned(sizeof(real)), may_alias));

/* Vectors. */

INLINE V splat(real x) { return x - (V){0}; }
INLINE V load(const real *p) { return *(const U *)p; }
INLINE void store(real *p, V v) { *(U *)p = v; }
INLINE V load_some(const real *p, long n) {
  V v = {0};
  for (long i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
INLINE void store_some(real *p, V v, long n) {
  for (long i = 0; i < n; ++i) p[i] = v[i];
}
INLINE V vwhere(M m, V a, V b) { return (V)((m & (M)a) | (~m & (M)b)); }
INLINE V first_of(V v, long n, real rest) {
  for (long i = n; i < VL; ++i) v[i] = rest;
  return v;
}
INLINE real sum_of(V v) {
  real total = 0;
  for (long i = 0; i < VL; ++i) total += v[i];
  return total;
}
/* NaN in either argument comes through. */
INLINE V vmax(V a, V b) { return vwhere((a > b) | (a != a), a, b); }
INLINE V vmin(V a, V b) { return vwhere((a < b) | (a != a), a, b); }
INLINE real peak_of(V v) {
  real most = v[0];
  for (long i = 1; i < VL; ++i) most = v[i] > most || v[i] != v[i] ? v[i] : most;
  return most;
}

/* Elementary functions. */

#define BY_LANES(name, function)                          \
  INLINE V name(V x) {                                    \
    V y;                                                  \
    for (long i = 0; i < VL; ++i) y[i] = F(function)(x[i]); \
    return y;                                             \
  }
BY_LANES(vlog, log)
BY_LANES(vlog1p, log1p)
BY_LANES(vexpm1, expm1)
BY_LANES(vsin, sin)
BY_LANES(vcos, cos)
BY_LANES(vsqrt, sqrt)
INLINE V vpower(V x, V y) {
  V z;
  for (long i = 0; i < VL; ++i) z[i] = F(pow)(x[i], y[i]);
  return z;
}
INLINE V vabs(V x) { return (V)((M)x & ~(M)splat((real)-0.0)); }
INLINE V vsign(V x) { return vwhere(x > 0, splat(1), vwhere(x < 0, splat(-1), x)); }
INLINE V vrelu(V x) { return vwhere(x < 0, splat(0), x); }

#if DOUBLE
BY_LANES(vexp, exp)
BY_LANES(vtanh, tanh)
#else
/* x between two numbers; NaN stays. One instruction each where the second operand is what comes of NaN. */
#if defined(__AVX512F__)
INLINE V between(V x, float low, float high) {
  return (V)_mm512_max_ps((__m512)splat(low), _mm512_min_ps((__m512)splat(high), (__m512)x));
}
INLINE V below_else(V x, float limit, V a, V b) {
  return (V)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)x, (__m512)splat(limit), _CMP_LT_OQ), (__m512)b, (__m512)a);
}
#elif defined(__AVX__)
INLINE V between(V x, float low, float high) {
  return (V)_mm256_max_ps((__m256)splat(low), _mm256_min_ps((__m256)splat(high), (__m256)x));
}
INLINE V below_else(V x, float limit, V a, V b) { return vwhere(x < limit, a, b); }
#else
INLINE V between(V x, float low, float high) { return vwhere(x > high, splat(high), vwhere(x < low, splat(low), x)); }
INLINE V below_else(V x, float limit, V a, V b) { return vwhere(x < limit, a, b); }
#endif
/* e^x = 2^n e^r, |r| <= ln 2 / 2, with the polynomial of the Cephes library (Moshier 1989) for e^r; below 1.5 ulp.
 * 2^n comes in two factors, so that results down to the smallest denormal and up to infinity are right. */
INLINE V vexp(V x) {
  V bounded = between(x, -104.0f, 89.0f);
  V shifted = bounded * 1.44269504088896341f + 12582912.0f;
  V n = shifted - 12582912.0f;
  V r = bounded - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  V p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  M whole = (M)shifted - (M)splat(12582912.0f);
  M half = whole >> 1;
  return p * (V)((half + 127) << 23) * (V)((whole - half + 127) << 23);
}
/* An odd polynomial (Cephes) below 0.625, 1 - 2 / (e^2x + 1) above; below 2 ulp. */
INLINE V vtanh(V x) {
  V size = vabs(x), z = x * x;
  V p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z + -5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z + -3.33332819422e-1f;
  V small = x + x * z * p;
  V large = 1.0f - 2.0f / (vexp(size + size) + 1.0f);
  large = (V)((M)large | ((M)x & (M)splat(-0.0f)));
  return below_else(size, 0.625f, small, large); /* NaN comes through `large` */
}
#endif
INLINE V vsigmoid(V x) { return 1 / (1 + vexp(-x)); }
INLINE V vsoftplus(V x) { return vmax(x, splat(0)) + vlog1p(vexp(-vabs(x))); }

/* Teams: threads that share rows of a batch and split columns. A team of one never waits. */

typedef struct {
  long size, first, rows;
  real *arena;
  atomic_long arrived, round;
} Team;

static __attribute__((unused)) void meet(Team *team) {
  if (team->size == 1) return;
  long round = atomic_load(&team->round);
  if (atomic_fetch_add(&team->arrived, 1) + 1 == team->size) {
    atomic_store(&team->arrived, 0);
    atomic_store(&team->round, round + 1);
    return;
  }
  for (long turn = 0; atomic_load(&team->round) == round; ++turn) {
    if (turn > 200) sched_yield(); /* some 10 µs: the others may be waiting for this core */
#if defined(__x86_64__)
    else __builtin_ia32_pause();
#endif
  }
}

/* The part of `units` that is for one of the team: from low to below high. */
#define SHARE(units, low, high)                          \
  long low = (units) * rank / team->size, high = (units) * (rank + 1) / team->size

INLINE real *take(real **at, long count) {
  real *found = *at;
  *at += PAD(count);
  return found;
}

/* Products. A packed matrix of K rows and N columns is cut into panels of NR columns, each K times NR numbers. */

#define PACKED(k, n) ((k) * PAD(n))

static __attribute__((unused)) void pack(const real *from, long k, long n, int transposed, real *to) {
  for (long j = 0; j < n; j += NR, to += k * NR)
    for (long row = 0; row < k; ++row)
      for (long c = 0; c < NR; ++c)
        to[row * NR + c] = j + c >= n ? 0 : transposed ? from[(j + c) * k + row] : from[row * n + j + c];
}

/* C = A B for tiles of `rows` rows of A; `depth` values of k have sums of their own where there are few rows, so that
 * one sum need not wait for the one before it. */
#define TILE(rows, depth)                                                                              \
  static __attribute__((unused, noinline)) void tile_##rows(long k, const real *a, long lda, const real *b, real *c, long ldc) { \
    V sums[rows][depth][2] = {0};                                                                      \
    long i = 0;                                                                                        \
    for (; i + depth <= k; i += depth)                                                                 \
      _Pragma("GCC unroll 4") for (long d = 0; d < depth; ++d, b += NR) {                              \
        V left = *(const V *)b, right = *(const V *)(b + VL);                                          \
        _Pragma("GCC unroll 8") for (long m = 0; m < rows; ++m) {                                      \
          V x = splat(a[m * lda + i + d]);                                                             \
          sums[m][d][0] += x * left;                                                                   \
          sums[m][d][1] += x * right;                                                                  \
        }                                                                                              \
      }                                                                                                \
    for (; i < k; ++i, b += NR) {                                                                      \
      V left = *(const V *)b, right = *(const V *)(b + VL);                                            \
      _Pragma("GCC unroll 8") for (long m = 0; m < rows; ++m) {                                        \
        V x = splat(a[m * lda + i]);                                                                   \
        sums[m][0][0] += x * left;                                                                     \
        sums[m][0][1] += x * right;                                                                    \
      }                                                                                                \
    }                                                                                                  \
    _Pragma("GCC unroll 8") for (long m = 0; m < rows; ++m) {                                          \
      _Pragma("GCC unroll 4") for (long d = 1; d < depth; ++d) {                                       \
        sums[m][0][0] += sums[m][d][0];                                                                \
        sums[m][0][1] += sums[m][d][1];                                                                \
      }                                                                                                \
      *(V *)(c + m * ldc) = sums[m][0][0];                                                             \
      *(V *)(c + m * ldc + VL) = sums[m][0][1];                                                        \
    }                                                                                                  \
  }
TILE(1, 4)
TILE(2, 2)
TILE(3, 2)
TILE(4, 1)
#if MR == 8
TILE(5, 1)
TILE(6, 1)
TILE(7, 1)
TILE(8, 1)
#endif

/* The tile that is left where there are `rows` rows: MR of them at most. */
INLINE void tile(long rows, long k, const real *from, long lda, const real *with, real *to, long ldc) {
  switch (rows) {
    case 1: tile_1(k, from, lda, with, to, ldc); break;
    case 2: tile_2(k, from, lda, with, to, ldc); break;
    case 3: tile_3(k, from, lda, with, to, ldc); break;
#if MR == 8
    case 4: tile_4(k, from, lda, with, to, ldc); break;
    case 5: tile_5(k, from, lda, with, to, ldc); break;
    case 6: tile_6(k, from, lda, with, to, ldc); break;
    case 7: tile_7(k, from, lda, with, to, ldc); break;
    default: tile_8(k, from, lda, with, to, ldc);
#else
    default: tile_4(k, from, lda, with, to, ldc);
#endif
  }
}

/* Columns of C = A B, A of `rows` rows and k columns, B packed; each of a team has panels of its own. */
static __attribute__((unused)) void product(
    Team *team, long rank, long rows, long n, long k, const real *a, long lda, const real *b, real *c, long ldc) {
  SHARE(PAD(n) / NR, low, high);
  for (long panel = low; panel < high; ++panel)
    for (long m = 0; m < rows; m += MR)
      tile(rows - m, k, a + m * lda, lda, b + panel * k * NR, c + m * ldc + panel * NR, ldc);
}

/* The same per head: of k columns of A each, by a matrix of its own, to n columns of C each; whole heads are shared out.
 * The columns of a head need not begin where a vector does, so a tile is made apart. */
static __attribute__((unused)) void product_heads(
    Team *team, long rank, long rows, long heads, long n, long k, const real *a, long lda, const real *b, real *c, long ldc) {
  V made[MR * 2];
  real *apart = (real *)made;
  SHARE(heads, low, high);
  for (long head = low; head < high; ++head)
    for (long j = 0; j < n; j += NR)
      for (long m = 0; m < rows; m += MR) {
        long left = rows - m < MR ? rows - m : MR, wide = n - j < NR ? n - j : NR;
        tile(left, k, a + m * lda + head * k, lda, b + head * PACKED(k, n) + j * k, apart, NR);
        for (long i = 0; i < left; ++i)
          memcpy(c + (m + i) * ldc + head * n + j, apart + i * NR, wide * sizeof(real));
      }
}

/* Rows of `width` numbers as blocks of `block` columns, each with its rows one after the other; zeros beyond the width. */
INLINE void cut(long rows, const real *from, long ld, long width, const long block, real *to) {
  long m = 0;
  for (; m + block <= width; m += block, to += rows * block)
    for (long row = 0; row < rows; ++row) memcpy(to + row * block, from + row * ld + m, block * sizeof(real));
  if (m < width)
    for (long row = 0; row < rows; ++row)
      for (long d = 0; d < block; ++d) to[row * block + d] = m + d < width ? from[row * ld + m + d] : 0;
}

/* G += Pᵀ Q over `rows` rows; P has I columns, Q has J, G is PAD_ROWS(I) times PAD(J). scratch: ACROSS(rows, I). */
#define ACROSS(rows, i) (PAD((rows) * PAD_ROWS(i)) + (rows) * NR)

static __attribute__((unused)) void across(
    Team *team, long rank, long rows, const real *p, long ldp, long i, const real *q, long ldq, long j, real *g, real *scratch) {
  real *blocks = scratch, *panel = scratch + PAD(rows * PAD_ROWS(i));
  cut(rows, p, ldp, i, MR, blocks);
  SHARE(PAD(j) / NR, low, high);
  for (long c = low; c < high; ++c) {
    cut(rows, q + c * NR, ldq, j - c * NR < NR ? j - c * NR : NR, NR, panel);
    for (long m = 0; m < i; m += MR) {
      V sums[MR][2] = {0};
      const real *a = blocks + m * rows, *b = panel;
      for (long row = 0; row < rows; ++row, a += MR, b += NR) {
        V left = *(const V *)b, right = *(const V *)(b + VL);
        _Pragma("GCC unroll 8") for (long d = 0; d < MR; ++d) {
          V x = splat(a[d]);
          sums[d][0] += x * left;
          sums[d][1] += x * right;
        }
      }
      _Pragma("GCC unroll 8") for (long d = 0; d < MR; ++d) {
        real *to = g + (m + d) * PAD(j) + c * NR;
        *(V *)to += sums[d][0];
        *(V *)(to + VL) += sums[d][1];
      }
    }
  }
}

/* Rows between arrays of the kernel and of the caller. */
static __attribute__((unused)) void copy_rows(long rows, long width, const real *from, long ld_from, real *to, long ld_to) {
  for (long m = 0; m < rows; ++m) memcpy(to + m * ld_to, from + m * ld_from, (size_t)width * sizeof(real));
}

static __attribute__((unused)) void add_up(real *to, const real *from, long count) {
  for (long i = 0; i < count; ++i) to[i] += from[i];
}

/* Calls. */

typedef struct {
  const long *n;
  long T, B, chunk;
  const real *const *in;
  real *const *out;
  real *common;
} Call;

typedef void (*Work)(const Call *, Team *, long);

typedef struct {
  Work work;
  const Call *call;
  Team *team;
  long rank;
  atomic_int *go; /* 0: wait, 1: work, -1: give up */
} Worker;

static void *enter(void *argument) {
  Worker *worker = argument;
  while (!atomic_load(worker->go)) sched_yield();
  if (atomic_load(worker->go) > 0) worker->work(worker->call, worker->team, worker->rank);
  return 0;
}

enum { MOST_THREADS = 256, ROWS = 256 };
/* ROWS: what a chunk has at most, so that it stays in the cache. */

/* Large arrays in large pages: to map them in small ones costs as much as to write them. */
static void advise(void *start, size_t bytes) {
#if defined(__linux__)
  uintptr_t page = 1 << 21, first = ((uintptr_t)start + page - 1) / page * page, end = ((uintptr_t)start + bytes) / page * page;
  if (start && end > first) madvise((void *)first, end - first, MADV_HUGEPAGE);
#else
  (void)start, (void)bytes;
#endif
}

static real *allocate(long count) {
  size_t bytes = (size_t)count * sizeof(real), page = 1 << 21;
  void *found = 0;
  if (posix_memalign(&found, bytes >= page ? page : 64, bytes ? bytes : 64)) return 0;
  advise(found, bytes);
  return found;
}

/* How a batch is shared out: `teams` of `size` threads each. Columns of a small batch are shared only where a step takes
 * some 10 µs at least: the team meets several times a step, and on a busy machine a meeting can take as long. */
static void share_out(long threads, long T, long B, double flops, double weights, long *teams, long *size) {
  *teams = *size = 1;
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads < 2 || flops * (double)T * (double)B < 2e6) return;
  int streams = weights * sizeof(real) > 1.5e6; /* from beyond the second-level cache */
  if (B >= threads * (streams ? 24 : 4)) *teams = threads;
  else if (flops * (double)B > 1e6) *size = threads;
  else if (B >= threads) *teams = threads;
}

/* Runs the work in threads of its own. They live as long as the call: nothing idles between calls, and a process may
 * fork whenever no call is under way. Returns 0, or 1 where there is no memory for it. */
static int run(const Call *call, long teams, long size, long (*arena)(const Call *, long, long), Work work, Team *team) {
  Worker workers[MOST_THREADS];
  pthread_t threads[MOST_THREADS];
  int started[MOST_THREADS] = {0}, failed = 0;
  for (long i = 0; i < teams; ++i) {
    team[i].size = size;
    team[i].first = call->B * i / teams;
    team[i].rows = call->B * (i + 1) / teams - team[i].first;
    team[i].arena = allocate(arena(call, team[i].rows, size));
    atomic_store(&team[i].arrived, 0);
    atomic_store(&team[i].round, 0);
    failed |= !team[i].arena;
  }
  if (failed) return 1;
  atomic_int go = 0;
  for (long w = 0; w < teams * size; ++w) workers[w] = (Worker){work, call, &team[w / size], w % size, &go};
  for (long w = 1; w < teams * size; ++w) started[w] = !pthread_create(&threads[w], 0, enter, &workers[w]);
  for (long w = 1; w < size; ++w) failed |= !started[w]; /* one of a team cannot work without the others */
  atomic_store(&go, failed ? -1 : 1);
  for (long w = 0; w < teams * size; ++w)
    if (!started[w]) enter(&workers[w]);
  for (long w = 1; w < teams * size; ++w)
    if (started[w]) pthread_join(threads[w], 0);
  return failed;
}

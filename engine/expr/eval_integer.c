/*
 * eval_integer.c - arithmetic on bigint. Each kernel computes the whole batch in one plain loop and
 * only notes whether anything went wrong; the rows are looked for in a second pass that hardly ever
 * runs. A wrapped result is never seen: its row is in error (22003).
 */
#include "engine/expr/expr_private.h"

typedef struct operands {
    const int64_t *a, *b;
    int64_t *out;
    uint32_t count;
} operands;

static operands begin(mr_frame *frame, const mr_program_step *step, uint32_t argument_count)
{
    mr_frame_strict(frame, step, argument_count);
    return (operands){.a = frame->registers[step->a].column.as.integers,
                      .b = frame->registers[step->b].column.as.integers,
                      .out = frame->registers[step->dst].cells,
                      .count = frame->row_count};
}

/* The rows that act, among them those for which `wrong` says so, are in error. */
static void find_wrong(mr_frame *frame, const mr_program_step *step, uint32_t argument_count,
                       mr_row_error error, bool (*wrong)(int64_t a, int64_t b))
{
    const int64_t *a = frame->registers[step->a].column.as.integers;
    const int64_t *b = frame->registers[step->b].column.as.integers;
    uint64_t live[MR_BATCH_WORDS_MAX];

    mr_frame_live(frame, step, argument_count, live);
    for (uint32_t row = 0; mr_next_row(live, frame->word_count, &row); row++) {
        if (wrong(a[row], b[row])) {
            mr_frame_fail_row(frame, row, error);
        }
    }
}

static bool sum_wrong(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_add_overflow(a, b, &out);
}

static bool difference_wrong(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_sub_overflow(a, b, &out);
}

static bool product_wrong(int64_t a, int64_t b)
{
    int64_t out;
    return __builtin_mul_overflow(a, b, &out);
}

static bool is_smallest(int64_t a, int64_t b)
{
    (void)b;
    return a == INT64_MIN;
}

static bool divisor_zero(int64_t a, int64_t b)
{
    (void)a;
    return b == 0;
}

static bool quotient_wrong(int64_t a, int64_t b)
{
    return a == INT64_MIN && b == -1;
}

void mr_run_add_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 2);
    uint64_t overflow = 0;

    for (uint32_t i = 0; i < o.count; i++) {
        const uint64_t x = (uint64_t)o.a[i], y = (uint64_t)o.b[i], sum = x + y;
        overflow |= (x ^ sum) & (y ^ sum);
        o.out[i] = (int64_t)sum;
    }
    if ((overflow >> 63) != 0) {
        find_wrong(frame, step, 2, MR_ROW_22003, sum_wrong);
    }
}

void mr_run_subtract_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 2);
    uint64_t overflow = 0;

    for (uint32_t i = 0; i < o.count; i++) {
        const uint64_t x = (uint64_t)o.a[i], y = (uint64_t)o.b[i], difference = x - y;
        overflow |= (x ^ y) & (x ^ difference);
        o.out[i] = (int64_t)difference;
    }
    if ((overflow >> 63) != 0) {
        find_wrong(frame, step, 2, MR_ROW_22003, difference_wrong);
    }
}

void mr_run_multiply_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 2);
    bool overflow = false;

    for (uint32_t i = 0; i < o.count; i++) {
        overflow |= __builtin_mul_overflow(o.a[i], o.b[i], &o.out[i]);
    }
    if (overflow) {
        find_wrong(frame, step, 2, MR_ROW_22003, product_wrong);
    }
}

void mr_run_divide_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 2);
    bool zero = false, overflow = false;

    for (uint32_t i = 0; i < o.count; i++) {
        const bool is_zero = o.b[i] == 0, wraps = quotient_wrong(o.a[i], o.b[i]);
        zero |= is_zero;
        overflow |= wraps;
        o.out[i] = o.a[i] / (is_zero || wraps ? 1 : o.b[i]);
    }
    if (zero) {
        find_wrong(frame, step, 2, MR_ROW_22012, divisor_zero);
    }
    if (overflow) {
        find_wrong(frame, step, 2, MR_ROW_22003, quotient_wrong);
    }
}

void mr_run_modulo_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 2);
    bool zero = false;

    for (uint32_t i = 0; i < o.count; i++) {
        /* x % -1 is 0, which the machine cannot say of the smallest bigint. */
        const bool is_zero = o.b[i] == 0;
        zero |= is_zero;
        o.out[i] = o.a[i] % (is_zero || o.b[i] == -1 ? 1 : o.b[i]);
    }
    if (zero) {
        find_wrong(frame, step, 2, MR_ROW_22012, divisor_zero);
    }
}

void mr_run_negate_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 1);
    bool overflow = false;

    for (uint32_t i = 0; i < o.count; i++) {
        overflow |= o.a[i] == INT64_MIN;
        o.out[i] = (int64_t)(0 - (uint64_t)o.a[i]);
    }
    if (overflow) {
        find_wrong(frame, step, 1, MR_ROW_22003, is_smallest);
    }
}

void mr_run_abs_integer(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 1);
    bool overflow = false;

    for (uint32_t i = 0; i < o.count; i++) {
        overflow |= o.a[i] == INT64_MIN;
        o.out[i] = o.a[i] < 0 ? (int64_t)(0 - (uint64_t)o.a[i]) : o.a[i];
    }
    if (overflow) {
        find_wrong(frame, step, 1, MR_ROW_22003, is_smallest);
    }
}

/* ---- Division by a constant ---- */

/*
 * |n| / d as a multiplication (Granlund and Montgomery, 1994): with 2^(l-1) < d <= 2^l and
 * m = floor(2^(63+l) / d) + 1, which fits 64 bits, floor(n m / 2^(63+l)) is the quotient for all
 * n <= 2^63 when d >= 2. A machine division costs several times as much.
 */
typedef struct divisor {
    uint64_t magic, magnitude;
    uint32_t shift; /* 63 + l - 64 */
    bool negative;
} divisor;

__extension__ typedef unsigned __int128 wide;

const void *mr_divisor_make(mr_arena *arena, int64_t value)
{
    const uint64_t d = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    if (d < 2) {
        return NULL; /* 0 is an error, 1 and -1 have their own cases. */
    }
    divisor *made = mr_arena_take(arena, sizeof(*made));
    if (made == NULL) {
        return NULL; /* The plain division will do. */
    }
    const uint32_t log = 64 - (uint32_t)__builtin_clzll(d - 1);
    made->magic = (uint64_t)(((wide)1 << (63 + log)) / d) + 1;
    made->magnitude = d;
    made->shift = log - 1;
    made->negative = value < 0;
    MR_ASSERT(log >= 1 && log <= 63);
    return made;
}

static inline uint64_t divide_magnitude(uint64_t n, uint64_t magic, uint32_t shift)
{
    return (uint64_t)(((wide)n * magic) >> 64) >> shift;
}

void mr_run_divide_fixed(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 1);
    const divisor *d = step->extra;
    const uint64_t magic = d->magic, flip = d->negative ? ~0ull : 0;
    const uint32_t shift = d->shift;

    for (uint32_t i = 0; i < o.count; i++) {
        const uint64_t sign = (uint64_t)(o.a[i] >> 63);
        const uint64_t q = divide_magnitude(((uint64_t)o.a[i] ^ sign) - sign, magic, shift);
        const uint64_t turn = sign ^ flip;
        o.out[i] = (int64_t)((q ^ turn) - turn);
    }
}

void mr_run_modulo_fixed(mr_frame *frame, const mr_program_step *step)
{
    const operands o = begin(frame, step, 1);
    const divisor *d = step->extra;
    const uint64_t magic = d->magic, magnitude = d->magnitude;
    const uint32_t shift = d->shift;

    for (uint32_t i = 0; i < o.count; i++) {
        const uint64_t sign = (uint64_t)(o.a[i] >> 63);
        const uint64_t n = ((uint64_t)o.a[i] ^ sign) - sign;
        const uint64_t rest = n - divide_magnitude(n, magic, shift) * magnitude;
        o.out[i] = (int64_t)((rest ^ sign) - sign);
    }
}

/* test_guard.c -- every kernel of every instruction set of this CPU in memory between two protected pages (guard.h): of 1 to 4
   vectors and one element more, at 64 offsets from the page before its arrays and from the one behind them.
       cc -Icsrc csrc/(all).c tests/c/test_guard.c -lm       (`make test-guard`; with --quick every third length at 2 offsets)
   It begins with kernels that do what none may, to show that each such fault is seen. Needs mmap(). */
#include <math.h>
#include <stdint.h>

#include "derivatives.h"
#include "guard.h"

enum { VECTORS = 4, WIDEST = 64, TARGETS = 1 << 16 };

/* What the arrays hold: bytes that are small numbers in every type, whichever comes first; classes, ignored and out of bounds.
 */
static unsigned char numbers[ROOM];
static int64_t targets[TARGETS];

/* How inputs and outputs are stored. */
struct storage {
    const char *name;
    enum crossent_dtype dtype;
    enum layout layout;
    int in_place; /* the output takes the place of the input */
    double factor;
};

/* What the trial at hand calls: a table's kernel with a job, whose pointers are set for each place. */
static struct {
    const struct crossent_table *table;
    enum crossent_dtype real;
    struct storage storage;
    size_t longer, step; /* from one length, and from one offset, to the next */
    char name[200];
    struct trial trial;
    struct crossent_softmax_job softmax;
    struct crossent_pointwise_job pointwise;
    struct crossent_margin_job margin;
    struct crossent_view view;
    const void *in;
    void *out, *scratch;
} now;

static void fill_contents(void) {
    srand(3);
    for (size_t i = 0; i < sizeof numbers; i++) numbers[i] = (unsigned char)(0x3c + rand() % 4);
    for (size_t i = 0; i < TARGETS; i++) targets[i] = rand() % 8 ? rand() % 3 : rand() % 2 ? -100 : rand() % 2 ? 1 << 20 : -1;
}

/* The arrays of a trial. */

static struct array *add(enum role role, size_t count, size_t size, void *pointer) {
    struct array *const a = &now.trial.arrays[now.trial.count++];
    *a = (struct array){.role = role, .count = count, .size = size, .pointer = pointer};
    if (role != WRITTEN && role != SCRATCH) a->content = numbers;
    return a;
}
static void add_reals(enum role role, size_t count, void *pointer) { add(role, count, crossent_size_of(now.real), pointer); }

static void add_view(struct crossent_view *view, size_t count) {
    const enum crossent_dtype dtype = now.storage.dtype;
    struct array *const a = add(READ, count, crossent_size_of(dtype), NULL);
    a->view = view, a->dtype = dtype, a->layout = now.storage.layout;
}

/* The input, and a result of as many elements or none, which may be the same memory. */
static void add_input_and_result(struct crossent_view *view, struct crossent_result *result, size_t count, int has_result) {
    add_view(view, count);
    result->dtype = now.storage.dtype;
    if (has_result && now.storage.in_place)
        now.trial.arrays[now.trial.count - 1].role = READ_AND_WRITTEN,
                                           now.trial.arrays[now.trial.count - 1].pointer = &result->data;
    else if (has_result)
        add(WRITTEN, count, crossent_size_of(result->dtype), &result->data);
}

static void add_targets(size_t count, const int64_t **pointer) {
    add(READ, count, sizeof(int64_t), pointer)->content = targets;
}

static void begin(double (*call)(void), size_t (*scratch_size)(void)) {
    now.trial = (struct trial){.name = now.name, .call = call, .scratch_size = scratch_size};
}

static void run_trial(void) {
    if (now.trial.scratch_size) add(SCRATCH, 0, 1, &now.scratch);
    if (!try_places(&now.trial, now.step, 0)) exit(1);
}

/* The softmax family. A loop is a kernel of the table, or three, and the shapes in which n elements lie along its lanes. */

static size_t rows_scratch(void) {
    now.softmax.input.factor = now.storage.factor;
    return now.table->rows_scratch(&now.softmax);
}
static size_t positions_scratch(void) {
    now.softmax.input.factor = now.storage.factor;
    return now.table->positions_scratch(&now.softmax);
}
static double call_rows(void) { return now.table->rows(&now.softmax, 0, now.softmax.outer, now.scratch); }
static double call_narrow(void) { return now.table->positions(&now.softmax, 0, 0, now.softmax.outer, now.scratch); }
static double call_inner(void) {
    double sum = 0;
    for (size_t outer = 0; outer < now.softmax.outer; outer++)
        sum += now.table->positions(&now.softmax, outer, 0, now.softmax.inner, now.scratch);
    return sum;
}
static double call_steps(void) {
    struct crossent_partial partials[2];
    struct crossent_row finished;
    const size_t blocks = (now.softmax.classes + now.table->block - 1) / now.table->block;
    double sum = 0;
    for (size_t row = 0; row < now.softmax.outer; row++) {
        for (size_t b = 0; b < blocks; b++) now.table->row_block(&now.softmax, row, b, &partials[b], now.scratch);
        sum += now.table->row_merge(&now.softmax, row, partials, &finished);
        for (size_t b = 0; crossent_writes_output(now.softmax.kind) && b < blocks; b++)
            now.table->row_output(&now.softmax, row, b, partials[b].max, &finished, now.scratch);
    }
    return sum;
}
static double call_nll(void) { return now.table->nll(&now.softmax, 0, now.softmax.outer * now.softmax.inner); }
static double call_target_weight(void) {
    size_t bad = SIZE_MAX;
    const double weight = now.table->target_weight(&now.softmax, 0, now.softmax.outer * now.softmax.inner, &bad);
    return weight + (double)(bad % 1000);
}

static const struct loop {
    const char *name;
    double (*call)(void);
    size_t (*scratch_size)(void);
    size_t outer, classes, inner; /* 0: n */
    int more;                     /* classes beside n, in blocks */
} loops[] = {
    {"rows", call_rows, rows_scratch, 3, 0, 1, 0},
    {"rows", call_rows, rows_scratch, 0, 5, 1, 0},
    {"rows of two blocks", call_rows, rows_scratch, 1, 0, 1, 1},
    {"steps of rows", call_steps, rows_scratch, 2, 0, 1, 0},
    {"steps of rows of two blocks", call_steps, rows_scratch, 1, 0, 1, 1},
    {"positions", call_inner, positions_scratch, 2, 3, 0, 0},
    {"positions of more classes", call_inner, positions_scratch, 1, 35, 0, 0},
    {"rows of few classes", call_narrow, positions_scratch, 0, 3, 1, 0},
    {"rows of some classes", call_narrow, positions_scratch, 0, 35, 1, 0},
    {"few rows of some classes", call_narrow, positions_scratch, 3, 0, 1, 0},
};
static const struct loop nll_loops[] = {{"nll of rows", call_nll, NULL, 0, 5, 1, 0}, {"nll", call_nll, NULL, 2, 3, 0, 0}};

enum coefficients { NO_TARGET, CLASSES, PROBABILITIES, COEFFICIENTS };

static void add_scores(struct crossent_scores *scores, size_t positions) {
    add(WRITTEN, positions, sizeof(int64_t), &scores->predicted);
    add(WRITTEN, positions, sizeof(int64_t), &scores->rank);
    add(WRITTEN, positions, sizeof(double), &scores->confidence);
    add(WRITTEN, positions, sizeof(double), &scores->entropy);
    add(WRITTEN, positions, sizeof(double), &scores->brier);
}

static void test_softmax(const struct loop *loop, size_t n, enum coefficients coefficients, int weighted, double smoothing,
                         enum crossent_output kind) {
    struct crossent_softmax_job *const job = &now.softmax;
    const size_t more = (size_t)loop->more * now.table->block;
    *job = (struct crossent_softmax_job){
        .outer = loop->outer ? loop->outer : n,
        .classes = loop->classes ? loop->classes : n + more,
        .inner = loop->inner ? loop->inner : n,
        .ignore_index = -100,
        .label_smoothing = smoothing,
        .grad_scale = 0.5,
        .kind = kind,
    };
    const size_t positions = job->outer * job->inner, logits = positions * job->classes;
    begin(loop->call, loop->scratch_size);
    snprintf(now.name, sizeof now.name, "%s, %s, %s, (%zu, %zu, %zu), target %d, weight %d, smoothing %g, output %d",
             now.table->isa, loop->name, now.storage.name, job->outer, job->classes, job->inner, coefficients, weighted,
             smoothing, kind);
    add_input_and_result(&job->input, &job->output, logits, crossent_writes_output(kind));
    if (coefficients == PROBABILITIES) add_view(&job->probabilities, logits);
    if (coefficients == CLASSES) add_targets(positions, &job->target);
    if (weighted) add_reals(READ, job->classes, &job->weight);
    if (kind == CROSSENT_GRADIENT) add_reals(READ, positions, &job->grad_output);
    if (kind == CROSSENT_SCORES) add_scores(&job->scores, positions);
    add_reals(WRITTEN, positions, &job->values);
    run_trial();
}

/* Every kind of coefficients with every output that it has: see EACH_KERNEL of kernels/table.h. */
static void test_softmaxes(const struct loop *loop, size_t n) {
    if (loop->call == call_inner && n == 1) return; /* these are rows */
    for (int coefficients = 0; coefficients < COEFFICIENTS; coefficients++)
        for (int weighted = 0; weighted < 2; weighted++)
            for (int smooth = 0; smooth < 2; smooth++)
                for (int kind = 0; kind < CROSSENT_OUTPUTS; kind++) {
                    if (coefficients == NO_TARGET && (weighted || smooth || kind == CROSSENT_SCORES)) continue;
                    if (kind == CROSSENT_LOG_SOFTMAX && coefficients != NO_TARGET) continue;
                    if (kind == CROSSENT_SCORES && (coefficients != CLASSES || smooth)) continue;
                    test_softmax(loop, n, (enum coefficients)coefficients, weighted, smooth * 0.1, (enum crossent_output)kind);
                }
}

static void test_nlls(size_t n) {
    for (int weighted = 0; weighted < 2; weighted++)
        for (size_t i = 0; i < sizeof nll_loops / sizeof *nll_loops; i++) {
            test_softmax(&nll_loops[i], n, CLASSES, weighted, 0, CROSSENT_NO_OUTPUT);
            test_softmax(&nll_loops[i], n, CLASSES, weighted, 0, CROSSENT_GRADIENT);
        }
}

static void test_target_weight(size_t n) {
    for (int weighted = 0; weighted < 2; weighted++) {
        now.softmax = (struct crossent_softmax_job){.outer = n, .classes = 5, .inner = 1, .ignore_index = -100};
        begin(call_target_weight, NULL);
        snprintf(now.name, sizeof now.name, "%s, weight of %zu targets", now.table->isa, n);
        add_targets(n, &now.softmax.target);
        if (weighted) add_reals(READ, 5, &now.softmax.weight);
        run_trial();
    }
}

/* The elementwise losses. */

static size_t pointwise_scratch(void) { return now.table->pointwise_scratch(&now.pointwise); }
static double call_pointwise(void) { return now.table->pointwise(&now.pointwise, 0, now.pointwise.count, now.scratch); }

static void test_pointwise(enum crossent_pointwise loss, enum crossent_derivative derivative, size_t n, int all, size_t group) {
    struct crossent_pointwise_job *const job = &now.pointwise;
    *job = (struct crossent_pointwise_job){
        .loss = loss,
        .derivative = derivative,
        .count = n,
        .group = group,
        .parameters = {0.25, 1.5},
        .grad_scale = 0.5,
        .values = {.dtype = now.storage.dtype},
    };
    begin(call_pointwise, pointwise_scratch);
    snprintf(now.name, sizeof now.name, "%s, %s, %s, %zu in groups of %zu, derivative %d", now.table->isa,
             crossent_pointwise_name(loss), now.storage.name, n, group, derivative);
    add_input_and_result(&job->input, &job->output, n, derivative != CROSSENT_NO_DERIVATIVE);
    add(WRITTEN, n / group, crossent_size_of(now.storage.dtype), &job->values.data);
    add_view(&job->target, n);
    if (all) add_view(&job->extra, n), add_view(&job->weight, n), add_view(&job->grad_output, n);
    run_trial();
}

static void test_pointwises(size_t n) {
    for (int loss = 0; loss < CROSSENT_POINTWISE_LOSSES; loss++)
        for (int derivative = 0; derivative < CROSSENT_DERIVATIVES; derivative++) {
            if (!has_derivative((enum crossent_pointwise)loss, (enum crossent_derivative)derivative)) continue;
            test_pointwise((enum crossent_pointwise)loss, (enum crossent_derivative)derivative, n, 0, 1);
            test_pointwise((enum crossent_pointwise)loss, (enum crossent_derivative)derivative, n, 1, 1);
            if (n % 3 == 0) test_pointwise((enum crossent_pointwise)loss, (enum crossent_derivative)derivative, n, 0, 3);
        }
}

static size_t outside_scratch(void) {
    const struct crossent_pointwise_job job = {.input = now.view};
    return now.table->pointwise_scratch(&job);
}
static double call_outside(void) {
    return (double)(now.table->outside(&now.view, 0, 0.125, 0, now.pointwise.count, now.scratch) % 1000);
}
static void test_outside(size_t n) {
    begin(call_outside, outside_scratch);
    snprintf(now.name, sizeof now.name, "%s, outside, %s, %zu", now.table->isa, now.storage.name, n);
    now.pointwise.count = n;
    add_view(&now.view, n);
    run_trial();
}

/* The margin losses. */

static size_t margin_scratch(void) { return now.table->margin_scratch(&now.margin); }
static double call_margin(void) { return now.table->margin(&now.margin, 0, now.margin.rows, now.scratch); }

static void test_margin(size_t n, int several, int power, int all) {
    struct crossent_margin_job *const job = &now.margin;
    *job = (struct crossent_margin_job){
        .rows = 3, .classes = n, .several = several, .power = power, .margin = 1, .grad_scale = 0.5};
    begin(call_margin, margin_scratch);
    snprintf(now.name, sizeof now.name, "%s, margin, %s, (3, %zu), several %d, power %d", now.table->isa, now.storage.name, n,
             several, power);
    add_input_and_result(&job->input, &job->output, 3 * n, all);
    add_targets(several ? 3 * n : 3, &job->target);
    if (all && !several) add_reals(READ, n, &job->weight);
    if (all) add_reals(READ, 3, &job->grad_output);
    add_reals(WRITTEN, 3, &job->values);
    run_trial();
}

static void test_margins(size_t n) {
    for (int all = 0; all < 2; all++) {
        test_margin(n, 1, 1, all);
        for (int power = 1; power <= 2; power++) test_margin(n, 0, power, all);
    }
}

/* The functions of one number. */

static double call_exp(void) { return now.table->exp(now.in, now.out, now.pointwise.count), 0; }
static double call_log1p(void) { return now.table->log1p(now.in, now.out, now.pointwise.count), 0; }
static double call_log(void) { return now.table->log(now.in, now.out, now.pointwise.count), 0; }

static void test_functions(size_t n) {
    double (*const calls[])(void) = {call_exp, call_log1p, call_log};
    for (int i = 0; i < 3; i++) {
        begin(calls[i], NULL);
        snprintf(now.name, sizeof now.name, "%s, function %d of %zu", now.table->isa, i, n);
        now.pointwise.count = n;
        add_reals(READ, n, &now.in);
        add_reals(WRITTEN, n, &now.out);
        run_trial();
    }
}

/* Faults: what no kernel may do. */

enum fault { NO_FAULT, READS_BEHIND, READS_BEFORE, WRITES_BEHIND, WRITES_BEFORE, CHANGES_INPUT, LEAVES_OUT, VARIES, FAULTS };
static enum fault fault;

static double call_faulty(void) {
    const size_t n = now.pointwise.count;
    volatile float *const in = (volatile float *)(uintptr_t)now.in, *const out = now.out;
    for (size_t i = fault == LEAVES_OUT; i < n; i++) out[i] = in[i];
    if (fault == READS_BEHIND) return (double)in[n] * 0;
    if (fault == READS_BEFORE) return (double)in[-1] * 0;
    if (fault == WRITES_BEHIND) out[n] = 1;
    if (fault == WRITES_BEFORE) out[-1] = 1;
    if (fault == CHANGES_INPUT) in[n - 1] = 1;
    return fault == VARIES ? (double)((uintptr_t)now.in % OFFSETS) : 0;
}

static void test_faults(void) {
    now.real = CROSSENT_FLOAT32;
    snprintf(now.name, sizeof now.name, "a kernel without a fault");
    for (fault = NO_FAULT; fault < FAULTS; fault++) {
        begin(call_faulty, NULL);
        now.pointwise.count = 7;
        add_reals(READ, 7, &now.in);
        add_reals(WRITTEN, 7, &now.out);
        if (try_places(&now.trial, 1, fault != NO_FAULT) == (fault == NO_FAULT)) continue;
        printf("fault number %d of enum fault is not seen\n", fault);
        exit(1);
    }
}

static void test_storage(size_t n) {
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) test_softmaxes(&loops[i], n);
    if (now.storage.factor != 1) return; /* of a softmin alone */
    test_nlls(n);
    test_pointwises(n);
    test_outside(n);
    test_margins(n);
}

static void test_table(const struct crossent_table *table, enum crossent_dtype real) {
    const enum crossent_dtype other = real == CROSSENT_FLOAT32 ? CROSSENT_FLOAT64 : CROSSENT_FLOAT32;
    const struct storage storages[] = {
        {"reals", real, DENSE, 0, 1},
        {"reals in place", real, DENSE, 1, 1},
        {"reals of the other byte order", real, SWAPPED, 0, 1},
        {"reals backwards", real, BACKWARDS, 0, 1},
        {"reals of a softmin", real, DENSE, 0, -1},
        {"the other reals", other, DENSE, 0, 1},
        {"float16", CROSSENT_FLOAT16, DENSE, 0, 1},
        {"float16 in place", CROSSENT_FLOAT16, DENSE, 1, 1},
        {"bfloat16", CROSSENT_BFLOAT16, DENSE, 0, 1},
        {"bfloat16 backwards", CROSSENT_BFLOAT16, BACKWARDS, 0, 1},
    };
    now.table = table, now.real = real, guard.calls = 0;
    for (size_t n = 1; n <= VECTORS * WIDEST / crossent_size_of(real) + 1; n += now.longer) {
        test_target_weight(n);
        test_functions(n);
        for (size_t i = 0; i < sizeof storages / sizeof *storages; i++) now.storage = storages[i], test_storage(n);
    }
    printf("%s, float%zu: %ld calls beside protected pages touched none\n", table->isa, 8 * crossent_size_of(real),
           guard.calls);
}

int main(int count, char **arguments) {
    const int quick = count > 1 && strcmp(arguments[1], "--quick") == 0;
    now.longer = quick ? 3 : 1, now.step = quick ? 37 : 1;
    open_rooms();
    fill_contents();
    test_faults();
    for (size_t i = 0; crossent_isa_name(i); i++)
        for (int real = 0; real < CROSSENT_REALS; real++)
            test_table(crossent_kernels(crossent_isa_name(i), (enum crossent_dtype)real), (enum crossent_dtype)real);
    return 0;
}

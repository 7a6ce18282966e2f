/* Prints what bench.c measured: a table for people, the same in Markdown, or all figures as JSON or CSV. */
#include "bench.h"
#include "json_output.h"
#include "program.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------ every figure */

typedef enum field_kind {
    TEXT_FIELD,  /* const char * */
    WHOLE_FIELD, /* uint64_t */
    REAL_FIELD,  /* double; NAN becomes null, and in CSV an empty field */
} field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t place;  /* in bench_result */
    bool compared; /* only with --compare */
} field;

#define FIELD(name) offsetof(bench_result, name)

static const field fields[] = {
    {"model", TEXT_FIELD, FIELD(model), false},
    {"file", TEXT_FIELD, FIELD(file), false},
    {"file_bytes", WHOLE_FIELD, FIELD(file_bytes), false},
    {"cpu_isa", TEXT_FIELD, FIELD(cpu_isa), false},
    {"kv_type", TEXT_FIELD, FIELD(kv_type), false},
    {"device", TEXT_FIELD, FIELD(device), false},
    {"gpu_layers", WHOLE_FIELD, FIELD(gpu_layers), false},
    {"threads", WHOLE_FIELD, FIELD(threads), false},
    {"batch", WHOLE_FIELD, FIELD(batch), false},
    {"prompt", WHOLE_FIELD, FIELD(prompt), false},
    {"depth", WHOLE_FIELD, FIELD(depth), false},
    {"gen", WHOLE_FIELD, FIELD(gen), false},
    {"sequences", WHOLE_FIELD, FIELD(sequences), false},
    {"prompt_tok_s", REAL_FIELD, FIELD(speed[BENCH_PROMPT].tok_s), false},
    {"prompt_tok_s_spread", REAL_FIELD, FIELD(speed[BENCH_PROMPT].tok_s_spread), false},
    {"prompt_tok_s_min", REAL_FIELD, FIELD(speed[BENCH_PROMPT].tok_s_min), false},
    {"prompt_tok_s_max", REAL_FIELD, FIELD(speed[BENCH_PROMPT].tok_s_max), false},
    {"decode_tok_s", REAL_FIELD, FIELD(speed[BENCH_DECODE].tok_s), false},
    {"decode_tok_s_spread", REAL_FIELD, FIELD(speed[BENCH_DECODE].tok_s_spread), false},
    {"decode_tok_s_min", REAL_FIELD, FIELD(speed[BENCH_DECODE].tok_s_min), false},
    {"decode_tok_s_max", REAL_FIELD, FIELD(speed[BENCH_DECODE].tok_s_max), false},
    {"decode_tok_s_each", REAL_FIELD, FIELD(speed[BENCH_DECODE].tok_s_each), false},
    {"gmac_s", REAL_FIELD, FIELD(speed[BENCH_PROMPT].gmac_s), false},
    {"decode_gmac_s", REAL_FIELD, FIELD(speed[BENCH_DECODE].gmac_s), false},
    {"gb_s", REAL_FIELD, FIELD(speed[BENCH_DECODE].gb_s), false},
    {"gpu_launches_per_token", REAL_FIELD, FIELD(launches), false},
    {"gpu_bytes_per_token", REAL_FIELD, FIELD(launched_bytes), false},
    {"machine_gmac_s", REAL_FIELD, FIELD(machine.float_gmac_s), false},
    {"machine_gb_s", REAL_FIELD, FIELD(machine.read_gb_s), false},
    {"prompt_theirs_tok_s", REAL_FIELD, FIELD(speed[BENCH_PROMPT].theirs_tok_s), true},
    {"prompt_ratio", REAL_FIELD, FIELD(speed[BENCH_PROMPT].ratio), true},
    {"decode_theirs_tok_s", REAL_FIELD, FIELD(speed[BENCH_DECODE].theirs_tok_s), true},
    {"decode_ratio", REAL_FIELD, FIELD(speed[BENCH_DECODE].ratio), true},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static const void *value_of(const bench_result *result, const field *f) { return (const char *)result + f->place; }

static json_t *json_speed(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *json_field(const bench_result *result, const field *f) {
    const void *value = value_of(result, f);
    switch (f->kind) {
    case TEXT_FIELD: return json_text(*(const char *const *)value, strlen(*(const char *const *)value));
    case WHOLE_FIELD: return json_integer((json_int_t) * (const uint64_t *)value);
    case REAL_FIELD: return json_speed(*(const double *)value);
    }
    return NULL;
}

static int report_json(const options *o, const bench_results *results) {
    json_t *document = json_object(), *list = json_array(), *machine = json_object(), *ceilings = json_array();
    for (size_t i = 0; i < results->count; i++) {
        json_t *result = json_object();
        for (size_t k = 0; k < N_FIELDS; k++)
            if (o->compare || !fields[k].compared)
                json_put(&result, fields[k].name, json_field(&results->items[i], &fields[k]));
        json_add(&list, result);
    }
    for (size_t i = 0; i < results->n_machines; i++) {
        json_t *ceiling = json_object();
        json_put(&ceiling, "threads", json_integer(results->machines[i].n_threads));
        json_put(&ceiling, "read_gb_s", json_speed(results->machines[i].read_gb_s));
        json_put(&ceiling, "float_gmac_s", json_speed(results->machines[i].float_gmac_s));
        json_add(&ceilings, ceiling);
    }
    cpu_name cpu = machine_cpu();
    json_put(&machine, "cpu", json_text(cpu.text, strlen(cpu.text)));
    json_put(&machine, "vectors", json_string(machine_vectors()));
    json_put(&machine, "ceilings", ceilings);
    json_put(&machine, "gpu", *results->gpu ? json_text(results->gpu, strlen(results->gpu)) : json_null());
    json_put(&document, "version", json_string(cllm_version()));
    json_put(&document, "repetitions", json_integer((json_int_t)o->repetitions));
    json_put(&document, "machine", machine);
    json_put(&document, "results", list);
    return print_json(document);
}

/* Print a field of CSV, in quotes only if it needs them (RFC 4180). */
static void print_csv_text(const char *text) {
    bool quoted = strpbrk(text, ",\"\r\n") != NULL;
    if (quoted) putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    if (quoted) putchar('"');
}

static void print_csv_field(const bench_result *result, const field *f) {
    const void *value = value_of(result, f);
    switch (f->kind) {
    case TEXT_FIELD: print_csv_text(*(const char *const *)value); break;
    case WHOLE_FIELD: printf("%" PRIu64, *(const uint64_t *)value); break;
    case REAL_FIELD:
        if (isfinite(*(const double *)value)) printf("%.6g", *(const double *)value);
    }
}

static void report_csv(const options *o, const bench_results *results) {
    for (size_t row = 0; row <= results->count; row++) {
        for (size_t k = 0; k < N_FIELDS; k++) {
            if (fields[k].compared && !o->compare) continue;
            if (k > 0) putchar(',');
            if (row == 0)
                fputs(fields[k].name, stdout);
            else
                print_csv_field(&results->items[row - 1], &fields[k]);
        }
        putchar('\n');
    }
}

/* -------------------------------------------------------------------------------------------- for people */

typedef enum column {
    MODEL,
    SIZE,
    THREADS,
    BATCH,
    TEST,
    TOK_S,
    SPREAD,
    EACH,
    GMAC_S,
    OF_GMAC_S,
    GB_S,
    OF_GB_S,
    THEIRS,
    RATIO,
    N_COLUMNS,
} column;

static const char *const titles[] = {"model", "size",   "threads",  "batch", "test",    "tok/s",  "+/-",
                                     "each",  "GMAC/s", "of float", "GB/s",  "of read", "theirs", "ratio"};

typedef struct cell {
    char text[256];
} cell;

static void put_number(cell *c, double value, int decimals, const char *unit) {
    if (isfinite(value))
        snprintf(c->text, sizeof c->text, "%.*f%s", decimals, value, unit);
    else
        strcpy(c->text, "-");
}

/* Add a file's name. '?' replaces bytes that would control a terminal. */
static void put_name(cell *c, const char *name) {
    size_t used = 0;
    for (size_t left = strlen(name), n; left > 0 && used + 4 < sizeof c->text; name += n, left -= n) {
        n = cllm_safe_length(name, left);
        memcpy(c->text + used, n ? name : "?", n ? n : 1);
        n = n ? n : 1;
        used += n;
    }
    c->text[used] = 0;
}

/* result: NULL for the titles. */
static cell make_cell(const bench_result *result, bench_kind kind, column which) {
    cell c = {""};
    if (!result) {
        snprintf(c.text, sizeof c.text, "%s", titles[which]);
        return c;
    }
    const bench_speed *speed = &result->speed[kind];
    switch (which) {
    case MODEL: put_name(&c, result->model); break;
    case SIZE: snprintf(c.text, sizeof c.text, "%s", format_bytes(result->file_bytes).text); break;
    case THREADS: snprintf(c.text, sizeof c.text, "%" PRIu64, result->threads); break;
    case BATCH: snprintf(c.text, sizeof c.text, "%" PRIu64, result->batch); break;
    case TEST: snprintf(c.text, sizeof c.text, "%s", bench_test_name(result, kind).text); break;
    case TOK_S: put_number(&c, speed->tok_s, 2, ""); break;
    case SPREAD: put_number(&c, speed->tok_s_spread, 2, ""); break;
    case EACH: put_number(&c, speed->tok_s_each, 2, ""); break;
    case GMAC_S: put_number(&c, speed->gmac_s, 2, ""); break;
    case OF_GMAC_S: put_number(&c, 100 * speed->gmac_s / result->machine.float_gmac_s, 0, "%"); break;
    case GB_S: put_number(&c, speed->gb_s, 2, ""); break;
    case OF_GB_S: put_number(&c, 100 * speed->gb_s / result->machine.read_gb_s, 0, "%"); break;
    case THEIRS: put_number(&c, speed->theirs_tok_s, 2, ""); break;
    case RATIO: put_number(&c, speed->ratio, 3, ""); break;
    case N_COLUMNS: break;
    }
    return c;
}

static bool is_shown(const options *o, int which) {
    if (which == EACH) return o->sequences.count > 0;
    return o->compare || which < THEIRS;
}

static void print_row(const options *o, const bench_result *result, bench_kind kind, const int *widths) {
    const char *between = o->markdown ? " | " : "  ";
    fputs(o->markdown ? "| " : "", stdout);
    for (int k = 0; k < N_COLUMNS; k++) {
        if (!is_shown(o, k)) continue;
        printf("%s%*s", k ? between : "", k == MODEL || k == TEST ? -widths[k] : widths[k],
               make_cell(result, kind, (column)k).text);
    }
    puts(o->markdown ? " |" : "");
}

static void print_rule(const options *o, const int *widths) {
    for (int k = 0; k < N_COLUMNS; k++) {
        if (!is_shown(o, k)) continue;
        fputs("| ", stdout);
        for (int i = 1; i < widths[k]; i++) putchar('-');
        fputs(k == MODEL || k == TEST ? "- " : ": ", stdout);
    }
    puts("|");
}

/* Print the titles, and a line for each kind of test that was measured. */
static void print_table(const options *o, const bench_results *results) {
    int widths[N_COLUMNS];
    for (int k = 0; k < N_COLUMNS; k++) {
        widths[k] = (int)strlen(titles[k]);
        for (size_t i = 0; i < 2 * results->count; i++) {
            int width = (int)strlen(make_cell(&results->items[i / 2], (bench_kind)(i % 2), (column)k).text);
            if (width > widths[k]) widths[k] = width;
        }
    }
    print_row(o, NULL, BENCH_PROMPT, widths);
    if (o->markdown) print_rule(o, widths);
    for (size_t i = 0; i < 2 * results->count; i++)
        if (isfinite(results->items[i / 2].speed[i % 2].tok_s))
            print_row(o, &results->items[i / 2], (bench_kind)(i % 2), widths);
}

static void report_table(const options *o, const bench_results *results) {
    cpu_name cpu = machine_cpu();
    printf("machine: %s%s%s vectors", cpu.text, *cpu.text ? ", " : "", machine_vectors());
    for (size_t i = 0; i < results->n_machines; i++) {
        const machine_speed *m = &results->machines[i];
        printf("; %" PRIu32 " thread%s: reads %.1f GB/s, computes %.1f float GMAC/s", m->n_threads,
               m->n_threads == 1 ? "" : "s", m->read_gb_s, m->float_gmac_s);
    }
    if (*results->gpu) printf("; GPU: %s", results->gpu);
    printf("\n%stok/s: the median of %" PRIu64 " %s, +/- half the distance between their quartiles",
           o->markdown ? "\n" : "", o->repetitions, o->compare ? "pairs" : "runs");
    if (o->compare) fputs("; ratio: the median of ours to theirs, pair by pair", stdout);
    fputs("\n\n", stdout);
    print_table(o, results);
}

int bench_report(const options *o, const bench_results *results) {
    if (o->json) {
        int status = report_json(o, results);
        if (status != EXIT_SUCCESS) return status;
    } else if (o->csv) {
        report_csv(o, results);
    } else {
        report_table(o, results);
    }
    return flush_output();
}

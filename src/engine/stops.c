/* Implements stops.h. */
#include "engine/stops.h"

#include "base/error.h"

/* How many bytes of a stop string the text ends with after this byte, if it ended with `matched` of them before. */
static size_t advance(const stop_string *s, size_t matched, char byte) {
    while (matched > 0 && (matched == s->length || s->bytes[matched] != byte)) matched = s->borders[matched - 1];
    return matched + (s->bytes[matched] == byte);
}

static bool fill(stop_string *s, const cllm_string *from, arena *a) {
    s->length = from->length;
    s->bytes = arena_string(a, from->data, from->length);
    s->borders = arena_alloc(a, from->length, sizeof *s->borders);
    if (!s->bytes || !s->borders) return false;
    for (size_t i = 1; i < s->length; i++) s->borders[i] = advance(s, s->borders[i - 1], s->bytes[i]);
    return true;
}

cllm_status stops_create(const cllm_string *strings, size_t count, arena *a, stops *out, cllm_error *err) {
    *out = (stops){.strings = arena_alloc(a, count, sizeof *out->strings), .count = count};
    bool complete = out->strings;
    for (size_t i = 0; complete && i < count; i++) {
        if (strings[i].length == 0) return error_set(err, CLLM_ERR_ARGUMENT, "stop string %zu is empty", i);
        complete = fill(&out->strings[i], &strings[i], a);
    }
    return complete ? CLLM_OK : error_set(err, CLLM_ERR_MEMORY, "no memory for %zu stop strings", count);
}

const stop_string *stops_take(stops *s, char byte) {
    const stop_string *longest = NULL;
    for (size_t i = 0; i < s->count; i++) {
        stop_string *string = &s->strings[i];
        string->matched = advance(string, string->matched, byte);
        if (string->matched == string->length && (!longest || string->length > longest->length)) longest = string;
    }
    return longest;
}

size_t stops_held(const stops *s) {
    size_t held = 0;
    for (size_t i = 0; i < s->count; i++) held = s->strings[i].matched > held ? s->strings[i].matched : held;
    return held;
}

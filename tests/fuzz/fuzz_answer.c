/* Any text as an answer: the first byte chooses the template, the second the length of the pieces. Nothing is an error,
 * and the pieces must give what the whole gives. Run by `make fuzz`. */
#include "cllm.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

#define CALLS(text) "{% for c in m.tool_calls or [] %}" text "{% endfor %}"
#define TEMPLATE(call)                                                                                            \
    "{% for m in messages %}<|{{ m.role }}|>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>" \
    "{% endif %}{{ m.content }}" CALLS(call) "</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
#define KEYS(before, between, after)                                        \
    "{% for k, v in c.function.arguments|items %}" before "{{ k }}" between \
    "{{ v if v is string else v|tojson }}" after "{% endfor %}"
#define F "{{ c.function.name }}"

static const char *const templates[] = {
    TEMPLATE("<call>{{ {'name': c.function.name, 'arguments': c.function.arguments}|tojson }}</call>"),
    TEMPLATE("[CALL]" F "[ARGS]{{ c.function.arguments|tojson }}"),
    TEMPLATE("<call>" F KEYS("<k>", "</k><v>", "</v>") "</call>"),
    TEMPLATE("<call name=\"" F
             "\">" KEYS("<p name=\"", "\" string=\"{{ 'true' if v is string else 'false' }}\">", "</p>") "</call>"),
    TEMPLATE("<call name=\"" F "\">" KEYS("#<", ">", "#</{{ k }}>") "</call>"),
    TEMPLATE("<call>[" F "({% for k, v in c.function.arguments|items %}{{ k }}={{ v|tojson }},{% endfor %})]<end>"),
    TEMPLATE("<call>" F
             "{{ '{' }}{% for k, v in c.function.arguments|items %}{{ k }}:{{ v|tojson }},{% endfor %}}<end>"),
    "{% for m in messages %}<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>{% endfor %}",
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content or m.tool_calls[0].function|tojson }}</s>{% endfor %}",
};

enum { N_TEMPLATES = sizeof templates / sizeof *templates };

typedef struct sum {
    char *bytes[4]; /* by kind of delta */
    size_t length[4];
} sum;

static void take(cllm_answer *answer, sum *s, const char *text, size_t length, bool ended) {
    const cllm_delta *deltas;
    size_t n;
    if (cllm_answer_take(answer, (cllm_string){text, length}, ended, &deltas, &n, NULL) != CLLM_OK) abort();
    for (size_t i = 0; i < n; i++) {
        const cllm_delta *d = &deltas[i];
        char *grown = realloc(s->bytes[d->kind], s->length[d->kind] + d->text.length + 1);
        if (!grown) abort();
        s->bytes[d->kind] = grown;
        memcpy(grown + s->length[d->kind], d->text.data, d->text.length);
        s->length[d->kind] += d->text.length;
    }
}

static sum parse(const cllm_chat *chat, const char *text, size_t length, size_t cut) {
    cllm_answer *answer;
    sum s = {.length = {0}};
    if (cllm_answer_create(chat, NULL, 0, (cllm_string){"", 0}, &answer, NULL) != CLLM_OK) abort();
    for (size_t at = 0, n; at < length; at += n) {
        n = cut < length - at ? cut : length - at;
        char *piece = malloc(n);
        if (!piece) abort();
        memcpy(piece, text + at, n);
        take(answer, &s, piece, n, false);
        free(piece);
    }
    take(answer, &s, "", 0, true);
    cllm_answer_destroy(answer);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static cllm_chat *chats[N_TEMPLATES];
    if (n_bytes < 2) return 0;
    const size_t which = bytes[0] % N_TEMPLATES;
    const cllm_chat_options options = {.source = {templates[which], strlen(templates[which])}};
    if (!chats[which] && cllm_chat_create(&options, &chats[which], NULL) != CLLM_OK) abort();
    const char *text = (const char *)bytes + 2;
    sum whole = parse(chats[which], text, n_bytes - 2, n_bytes),
        cut = parse(chats[which], text, n_bytes - 2, 1u + bytes[1] % 32);
    for (int i = 0; i < 4; i++) {
        if (whole.length[i] != cut.length[i]) abort();
        if (whole.length[i] > 0 && memcmp(whole.bytes[i], cut.bytes[i], whole.length[i]) != 0) abort();
        free(whole.bytes[i]);
        free(cut.bytes[i]);
    }
    return 0;
}
